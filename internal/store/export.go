package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

// exportPage is how many rows of an export are in memory at once. No read lasts
// longer than one page: a reader who is slow holds up nobody.
const exportPage = 500

// Export hands over all that is stored about a user: section by section, in an order
// that stays, and in each of them a page of rows at a time, every row a JSON object.
// Each section comes at least once, also when it has no rows. Secrets are not among
// it: see ExportLeavesOut. A user of whom there is nothing has empty sections.
func (s *Store) Export(ctx context.Context, o owner.Owner, each func(section string, rows [][]byte) error) error {
	for _, x := range exported {
		if err := each(x.name, nil); err != nil {
			return err
		}
		emit := func(rows [][]byte) error { return each(x.name, rows) }
		if x.under == "" {
			if err := s.exportRows(ctx, x, x.where, x.of(o), emit); err != nil {
				return err
			}
			continue
		}
		if err := s.exportUnder(ctx, x, o, emit); err != nil {
			return err
		}
	}
	return nil
}

// of is what stands for the user in the section's condition.
func (x *exportSection) of(o owner.Owner) []any {
	if x.args != nil {
		return x.args(o)
	}
	return slices.Repeat([]any{o.String()}, strings.Count(x.where+x.or, "?"))
}

// exportUnder goes through the rows of each of a user's accounts, journals or
// folders, as the keys of those tables begin with it: each page is read by its key.
func (s *Store) exportUnder(ctx context.Context, x *exportSection, o owner.Owner,
	emit func(rows [][]byte) error,
) error {
	p := parents[x.under]
	after := []any(nil)
	for {
		where, args := p.where, []any{o.String()}
		if after != nil {
			where, args = where+" AND "+p.id+" > ?", append(args, after...)
		}
		var ids []any
		err := s.on(s.r).each(ctx, func(r rowScanner) error {
			id := p.kind.dest()
			err := r.Scan(id)
			ids = append(ids, plain(id))
			return err
		}, "SELECT "+p.id+" FROM "+p.from+" WHERE "+where+" ORDER BY "+p.id+" LIMIT ?", append(args, exportPage)...)
		if err != nil {
			return s.wrap(ctx, "exporting a user", err)
		}
		for _, id := range ids {
			if err := s.exportRows(ctx, x, x.where, []any{id}, emit); err != nil {
				return err
			}
		}
		if len(ids) < exportPage {
			return nil
		}
		after = ids[len(ids)-1:]
	}
}

// exportRows hands over what a condition chooses, in the order of the section's key.
func (s *Store) exportRows(ctx context.Context, x *exportSection, where string, args []any,
	emit func(rows [][]byte) error,
) error {
	for after := []any(nil); ; {
		var rows [][]byte
		query, values := x.page(where, args, after)
		err := s.on(s.r).each(ctx, func(r rowScanner) error {
			dest := make([]any, 0, len(x.key)+len(x.columns))
			for _, c := range slices.Concat(x.key, x.columns) {
				dest = append(dest, c.kind.dest())
			}
			if err := r.Scan(dest...); err != nil {
				return err
			}
			after = nil
			for _, d := range dest[:len(x.key)] {
				after = append(after, plain(d))
			}
			row, err := x.row(dest[len(x.key):])
			rows = append(rows, row)
			return err
		}, query, values...)
		if err != nil {
			return s.wrap(ctx, "exporting a user", err)
		}
		if err := emit(rows); err != nil {
			return err
		}
		if len(rows) < exportPage {
			return nil
		}
	}
}

// page asks for the rows after a key, nil for the first. Two conditions are two reads of
// a page, each in the order of the key: asked for as one, all that either of them ever
// chooses would be read and sorted for each page.
func (x *exportSection) page(where string, args, after []any) (query string, values []any) {
	var key, columns []string
	for i, c := range slices.Concat(x.key, x.columns) {
		// Each by its own name: a column of the key may be shown as well.
		columns = append(columns, fmt.Sprintf("%s AS c%d", c.column, i))
	}
	for _, c := range x.key {
		key = append(key, c.column)
	}
	read := func(where string, args []any) string {
		values = append(values, args...)
		query := "SELECT " + strings.Join(columns, ", ") + " FROM " + x.table + " WHERE " + where
		if after != nil {
			query += " AND (" + strings.Join(key, ", ") + ") > " + marks(len(key))
			values = append(values, after...)
		}
		values = append(values, exportPage)
		return query + " ORDER BY " + strings.Join(key, ", ") + " LIMIT ?"
	}
	if x.or == "" {
		query = read("("+where+")", args)
		return query, values
	}
	n := strings.Count(where, "?")
	query = "SELECT * FROM (" + read(where, args[:n]) + ") AS a UNION ALL SELECT * FROM (" + read(x.or, args[n:]) +
		") AS b ORDER BY "
	for i := range x.key {
		query += fmt.Sprintf("c%d, ", i)
	}
	return strings.TrimSuffix(query, ", ") + " LIMIT ?", append(values, exportPage)
}

// row writes one row.
func (x *exportSection) row(values []any) ([]byte, error) {
	var b bytes.Buffer
	for i, c := range x.columns {
		b.WriteByte("{,"[min(i, 1)])
		v, err := c.value(plain(values[i]))
		if err == nil {
			err = writeMember(&b, c.name, v)
		}
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", x.table, c.column, err)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func writeMember(b *bytes.Buffer, name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	fmt.Fprintf(b, "%q:", name)
	b.Write(text)
	return nil
}

// exportKind is what a column holds, and how it is shown.
type exportKind int

const (
	exText    exportKind = iota
	exMaybe              // Text; '' is null.
	exDetail             // What is said of a failure, shown in English; '' is null.
	exNumber             // A whole number.
	exID                 // A whole number that is a name: shown as text.
	exTruth              // 0 is false.
	exTime               // Unix milliseconds; 0 and never are null.
	exSeconds            // Milliseconds, shown in seconds.
	exLimit              // never is null.
	exWord               // The number of a word.
	exOctets             // Octets of a server: text where they are UTF-8.
	exDigest             // Octets, shown in hexadecimal.
	exJSON               // JSON as text.
	exRules              // Which remote folders an account chooses.
	exMembers            // The messages of a batch.
)

// dest is where a value of the kind is read into.
func (k exportKind) dest() any {
	switch k {
	case exText, exMaybe, exDetail, exJSON, exRules:
		return new(sql.NullString)
	case exOctets, exDigest, exMembers:
		return new([]byte)
	}
	return new(sql.NullInt64)
}

// plain is the value that was read: a string, octets, an int64, or nil.
func plain(dest any) any {
	switch d := dest.(type) {
	case *sql.NullString:
		if d.Valid {
			return d.String
		}
	case *sql.NullInt64:
		if d.Valid {
			return d.Int64
		}
	case *[]byte:
		return *d
	}
	return nil
}

// exportColumn is a column of an export, and what it is called there.
type exportColumn struct {
	column string
	name   string
	kind   exportKind
	word   func(int16) string // Of exWord.
}

// value is what is shown of a value that was read.
func (c exportColumn) value(v any) (any, error) {
	switch v := v.(type) {
	case string:
		switch {
		case v == "" && (c.kind == exMaybe || c.kind == exDetail):
			return nil, nil
		case c.kind == exDetail:
			return words.Kept(v).String(), nil
		case c.kind == exJSON:
			return json.RawMessage(v), nil
		case c.kind == exRules:
			var rules route.FolderRules
			err := json.Unmarshal([]byte(v), &rules)
			return map[string][]string{"include": orNothing(rules.Include), "exclude": orNothing(rules.Exclude)}, err
		}
		return v, nil
	case []byte:
		switch {
		case c.kind == exDigest:
			return hex.EncodeToString(v), nil
		case c.kind == exMembers:
			return exportMembers(v)
		case utf8.Valid(v):
			return string(v), nil
		}
		return "base64:" + base64.StdEncoding.EncodeToString(v), nil
	case int64:
		return c.number(v), nil
	}
	return nil, nil
}

func (c exportColumn) number(n int64) any {
	switch c.kind {
	case exID:
		return fmt.Sprint(n)
	case exTruth:
		return n != 0
	case exTime:
		if n == 0 || n == never {
			return nil
		}
		return fromMillis(n).Format(time.RFC3339Nano)
	case exSeconds:
		return float64(n) / 1000
	case exLimit:
		if n == never {
			return nil
		}
	case exWord:
		if word := c.word(int16(n)); word != "" {
			return word
		}
		return nil
	}
	return n
}

// exportMembers names the messages of a batch that are on their way; before their
// bodies are there, none are known.
func exportMembers(b []byte) (any, error) {
	type message struct {
		Folder   string `json:"local_folder"`
		UID      uint32 `json:"uid"`
		UIDL     string `json:"uidl"`
		Size     int64  `json:"size"`
		Received string `json:"received_at"`
	}
	out := []message{}
	if len(b) == 0 {
		return out, nil
	}
	ms, err := decodeMembers(b)
	for _, m := range ms {
		uidl, _ := exportColumn{kind: exOctets}.value([]byte(m.ID.UIDL)) // Text has no error.
		out = append(out, message{
			m.Placement.Folder, m.ID.UID, fmt.Sprint(uidl), m.Fingerprint.Size,
			m.Placement.Received.Format(time.RFC3339Nano),
		})
	}
	return out, err
}

// LeftOut is something that is stored about a user and that no export has.
type LeftOut struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// ExportLeavesOut lists it, by name.
func ExportLeavesOut() (all []LeftOut) {
	for _, x := range exported {
		for column, why := range x.leftOut {
			if why != notOfTheUser && why != itIsTheUser {
				all = append(all, LeftOut{x.name + "." + column, why})
			}
		}
	}
	for table, why := range notExported {
		if !strings.HasPrefix(why, ofNobody) {
			all = append(all, LeftOut{table, why})
		}
	}
	slices.SortFunc(all, func(a, b LeftOut) int { return strings.Compare(a.What, b.What) })
	return all
}
