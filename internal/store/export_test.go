package store

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/logins"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// exports returns an export as its sections' rows.
func (w *world) exports(o owner.Owner) map[string][]map[string]any {
	w.Helper()
	out := map[string][]map[string]any{}
	w.must(w.Export(w.Context(), o, func(section string, rows [][]byte) error {
		if len(rows) > exportPage {
			w.Errorf("%s: %d rows at once", section, len(rows))
		}
		out[section] = append(out[section], nil...)
		for _, r := range rows {
			row := map[string]any{}
			if err := json.Unmarshal(r, &row); err != nil {
				w.Errorf("%s: %v: %s", section, err, r)
			}
			out[section] = append(out[section], row)
		}
		return nil
	}))
	return out
}

// left says what of the schema is neither exported nor named as left out, and what
// is that is not there.
func left(columns []string, sections []*exportSection, tables map[string]string) (wrong []string) {
	known := map[string]int{}
	for _, x := range sections {
		for _, c := range x.columns {
			known[x.table+"."+c.column]++
		}
		for c, why := range x.leftOut {
			if known[x.table+"."+c]++; why == "" {
				wrong = append(wrong, x.table+"."+c+" is left out for no reason")
			}
		}
	}
	for _, line := range columns {
		parts := strings.Split(line, "|")
		table, column := parts[0], parts[0]+"."+parts[1]
		switch why, out := tables[table]; {
		case out && why == "":
			wrong = append(wrong, table+" is left out for no reason")
		case out:
			for c := range known {
				if strings.HasPrefix(c, table+".") {
					wrong = append(wrong, c+" is exported, and its table is not")
				}
			}
		case known[column] == 1:
		case strings.HasSuffix(column, ".folder_id"), strings.HasSuffix(column, ".journal_id"),
			strings.HasSuffix(column, ".account_id"):
			if known[column] == 0 {
				wrong = append(wrong, column+" leads to a user and is not exported")
			}
		default:
			wrong = append(wrong, fmt.Sprintf("%s is exported or named as left out %d times", column, known[column]))
		}
		delete(known, column)
	}
	for _, c := range slices.Sorted(maps.Keys(known)) {
		wrong = append(wrong, c+" is not in the schema")
	}
	return wrong
}

func TestEveryColumnIsExportedOrNamedAsLeftOut(t *testing.T) {
	onBoth(t, func(w *world) {
		for _, wrong := range left(w.tablesOf(), exported, notExported) {
			w.Error(wrong)
		}
		// The control: a table and a column that came later.
		w.must(w.w.Exec("CREATE TABLE notes (owner VARCHAR(100), note VARCHAR(100))").Error)
		w.must(w.w.Exec("ALTER TABLE accounts ADD COLUMN nickname VARCHAR(100)").Error)
		wrong := left(w.tablesOf(), exported, notExported)
		if len(wrong) != 3 {
			w.Errorf("what was forgotten: %q", wrong)
		}
	})
}

func TestTheListOfWhatIsLeftOutNamesSecretsAndNoMachinery(t *testing.T) {
	var names []string
	for _, x := range ExportLeavesOut() {
		names = append(names, x.What)
		if x.Why == "" {
			t.Errorf("%s is left out for no reason", x.What)
		}
	}
	for _, want := range []string{
		"secrets", "sessions.hash", "known_browsers.hash", "links.hash", "grants.sealed", "repeatable_requests.sealed",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not among %v", want, names)
		}
	}
	if slices.Contains(names, "poll_counts") || slices.Contains(names, "schedule.lease_owner") || !slices.IsSorted(names) {
		t.Errorf("the list is %v", names)
	}
}

// aCopy is a copy of a mailbox elsewhere into its owner's own.
func aCopy(o owner.Owner, n int) transfer.Copy {
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", 900+n)
	return transfer.Copy{
		ID: transfer.ID(id), Owner: o, Journal: fmt.Sprintf("00000000-0000-4000-9000-%012d", 900+n),
		CreatedAt: time.Unix(1_770_000_000, 0), Source: remote.Mailbox{
			Protocol: remote.IMAP, Email: "old@example.org", Username: "old", Auth: remote.Password,
			Server: remote.Server{Host: "imap.example.org", Port: 993, Security: remote.TLS},
		},
	}
}

// inhabited has something of anna in every table, and something of jan.
func (w *world) inhabited() (o owner.Owner) {
	w.Helper()
	ctx, o := w.Context(), anOwner(w, annas)
	limit := int64(1 << 30)
	for i, user := range []string{annas, "jan@firma.test"} {
		x := anOwner(w, user)
		// One that was removed, and one that is there.
		gone := w.add(user, 10*i+1, func(a *account.Account) { a.Email = "gone@example.org" })
		l, f := w.lease(gone)
		w.deliver(l, 1, members(f, 1, 3))
		w.must(w.Accounts().Remove(ctx, x, gone.ID, true, nil))
		a := w.add(user, 10*i+2)
		l, f = w.lease(a)
		w.deliver(l, 1, members(f, 1, 3))
		w.skip(l, f, 1)
		on := fetch.BatchKey{Epoch: l.Epoch, Seq: 2}
		w.must(w.commit(l, fetch.Entry{Intend: &on}))
		w.must(w.commit(l, fetch.Entry{Stage: &fetch.Batch{Key: on, Members: members(f, 9, 1)}}))
		_, err := w.Copies().Add(ctx, aCopy(x, 10*i+3), map[remote.Field][]byte{transfer.SourceField: []byte("sealed")},
			[32]byte{}, 1)
		w.must(err)
		w.must(w.SetLimits(ctx, x, owner.Limit{Bytes: &limit}, nil))
		w.must(w.SetMailboxLogin(ctx, x, "name of "+x.String(), []byte("sealed")))
		w.must(w.SaveUsage(ctx, x, 100, 6, owner.Limit{}, nil))
		w.must(w.session(x, "session of "+user))
		w.must(w.Browsers().Remember(ctx, "browser of "+user, x, w.clock.now().Add(time.Hour)))
		w.must(w.Links().Save(ctx, "link of "+user, Link{Owner: x, ReturnTo: "/", Expires: w.clock.now().Add(time.Hour)}))
		_, err = w.Repeatable().Begin(ctx, x, "name of "+user, "attempt", []byte("sealed"), w.clock.now().Add(time.Hour))
		w.must(err)
		_, err = w.Recognise(ctx, x, owner.TextID("uid-of-"+user))
		w.must(err)
		at := logins.Attempt{Client: "192.0.2.7", Names: []string{logins.PagesName(x)}, Mailbox: logins.PagesName(x)}
		_, _, err = w.Logins().Reserve(ctx, at, loginLimits)
		w.must(err)
		c := w.on(w.w)
		for _, stmt := range []string{
			"INSERT INTO oauth_pending (hash, owner, sealed, expires_ms) VALUES (?, ?, ?, 7)",
			"INSERT INTO failed_logins (id, owner, name, mailbox, pending, until_ms) VALUES (?, ?, ?, 'm', 0, 7)",
			"INSERT INTO removals (worker, owner, folders, delete_mail, accounts, started_ms) VALUES (?, ?, ?, 0, '[]', 7)",
		} {
			values := []any{"x" + user, user, `["Gone"]`}
			if strings.Contains(stmt, "oauth_pending") {
				values = []any{[]byte("x" + user), user, []byte("y")}
			}
			_, err := c.exec(ctx, stmt, values...)
			w.must(err)
		}
		_, err = c.exec(ctx, "INSERT INTO ending_visits (account_id, owner, worker, until_ms) VALUES (?, ?, 'w', 7)",
			string(gone.ID), user)
		w.must(err)
		_, err = c.exec(ctx, "INSERT INTO passed (folder_id, epoch, uidl, ordinal) VALUES (?, 1, ?, 0)", f.ID,
			[]byte("uidl \xff"))
		w.must(err)
		_, err = c.exec(ctx, "INSERT INTO copied (folder_id, epoch, uid, uidl, ordinal, target_validity, target_uid) "+
			"VALUES (?, 1, 1, ?, 0, 7, 8)", f.ID, []byte{})
		w.must(err)
		_, err = c.exec(ctx, `INSERT INTO runs (id, account_id, started_ms, finished_ms, ok, messages, bytes, code, detail,
			since_ms) VALUES (?, ?, 7, 9, 1, 3, 100, '', '', 0)`, "run of "+user, string(a.ID))
		w.must(err)
	}
	return o
}

func TestAnExportHasAllOfAUserAndNothingOfAnother(t *testing.T) {
	onBoth(t, func(w *world) {
		o := w.inhabited()
		got := w.exports(o)
		counts := map[string]int{}
		for name, rows := range got {
			counts[name] = len(rows)
		}
		want := map[string]int{
			"limits": 1, "user_ids": 1, "mailbox_login": 1, "copies": 1, "accounts": 1, "schedule": 2, "visits": 1,
			"journals": 3, "copied": 1,
			"remote_folders": 2,
			"messages":       7, "passed_over": 1, "skipped": 1, "batches": 1, "sessions": 1, "known_browsers": 1,
			"links": 1, "grants": 1,
			"failed_logins": 2, "repeatable_requests": 1, "removals": 1, "ending_visits": 1, "audit": counts["audit"],
		}
		if diff := cmp.Diff(want, counts); diff != "" || counts["audit"] < 5 {
			w.Error(diff)
		}
		text, err := json.Marshal(got)
		w.must(err)
		if strings.Contains(string(text), "jan@") {
			w.Errorf("jan is in anna's export: %s", text)
		}
		a := got["accounts"][0]
		if a["protocol"] != "imap" || a["security"] != "tls" || a["created_at"] != "2026-02-01T00:00:02Z" ||
			a["poll_interval_seconds"] != 300.0 || !cmp.Equal(a["folders"], map[string]any{
			"include": []any{"INBOX"}, "exclude": []any{`\Junk`},
		}) {
			w.Errorf("the account is %v", a)
		}
		if m := got["messages"][0]; m["digest"] != "01"+hex.EncodeToString([]byte{1})+strings.Repeat("00", 30) ||
			m["received_at"] != "2026-01-02T03:04:05Z" || m["folder"] != got["remote_folders"][0]["id"] {
			w.Errorf("the message is %v", m)
		}
		if p := got["passed_over"][0]; p["uidl"] != "base64:"+base64.StdEncoding.EncodeToString([]byte("uidl \xff")) {
			w.Errorf("what was left out is %v", p)
		}
		if b := got["batches"][0]; b["state"] != "staged" || len(b["messages"].([]any)) != 1 {
			w.Errorf("the batch is %v", b)
		}
		if l := got["limits"][0]; l["limit_bytes"] != float64(1<<30) || l["limit_messages"] != nil ||
			l["set_by"] != "mailbrook" {
			w.Errorf("the limits are %v", l)
		}
		for name, rows := range w.exports(anOwner(w, "nobody@firma.test")) {
			if len(rows) != 0 {
				w.Errorf("of nobody %s has %v", name, rows)
			}
		}
	})
}

// What an administrator did to others is not in its export, and is in theirs.
func TestAnExportHasNoOneElsesActs(t *testing.T) {
	onBoth(t, func(w *world) {
		as := func(name string) context.Context {
			return audit.By(w.Context(), audit.Actor{Role: audit.Admin, Name: name, Client: "192.0.2.1"})
		}
		o, boss := anOwner(w, annas), anOwner(w, "boss@firma.test")
		w.must(w.SetLimits(as("boss@firma.test"), o, owner.Limit{}, nil))
		_, err := w.Sessions().EndAll(as("boss@firma.test"), owner.Owner{})
		w.must(err)
		if rows := w.exports(o)["audit"]; len(rows) != 1 || rows[0]["actor"] != "boss@firma.test" {
			w.Errorf("anna's: %v", rows)
		}
		if rows := w.exports(boss)["audit"]; len(rows) != 1 || rows[0]["action"] != "sessions.ended" ||
			rows[0]["user"] != nil {
			w.Errorf("the administrator's: %v", rows)
		}
	})
}

// Whatever stands in a column that is left out, and in the table of secrets, is
// nowhere in an export.
func TestSecretsArePlantedAndInNoExport(t *testing.T) {
	onBoth(t, func(w *world) {
		o := w.inhabited()
		const canary = "canary-Zq7"
		plant := func(table, column string) {
			value := any([]byte(canary))
			if slices.Contains([]string{"login_proof", "login_home", "id", "name", "mailbox", "target_key"}, column) {
				value = canary
			}
			where := "owner = ?"
			if table == "secrets" {
				where = "subject IN (SELECT id FROM accounts WHERE owner = ?)"
			}
			n, err := w.on(w.w).exec(w.Context(), "UPDATE "+table+" SET "+column+" = ? WHERE "+where, value, annas)
			if err != nil || n == 0 {
				w.Errorf("planting in %s.%s: %d rows, %v", table, column, n, err)
			}
		}
		planted := 0
		plant("secrets", "sealed")
		for _, x := range exported {
			for column, why := range x.leftOut {
				if why == aSecret || why == aDigest {
					plant(x.table, column)
					planted++
				}
			}
		}
		found := func() bool {
			var all strings.Builder
			w.must(w.Export(w.Context(), o, func(_ string, rows [][]byte) error {
				for _, r := range rows {
					all.Write(r)
				}
				return nil
			}))
			text := all.String()
			for _, form := range []string{
				canary, hex.EncodeToString([]byte(canary)), base64.StdEncoding.EncodeToString([]byte(canary)),
			} {
				if strings.Contains(text, form) {
					return true
				}
			}
			return false
		}
		if planted < 9 || found() {
			w.Errorf("%d secrets are planted, and some are exported: %v", planted, found())
		}
		// The control: one in a column that is exported would be found.
		w.must(w.w.Exec("UPDATE skipped SET detail = ?", canary).Error)
		if !found() {
			w.Error("the search finds nothing")
		}
	})
}

// A million rows are not held: a page is handed over before the next is read. What
// is added behind it meanwhile is found.
func TestAnExportIsReadWhileItIsHandedOver(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add(annas, 1)
		l, f := w.lease(a)
		insert := func(from, n int) {
			w.must(w.w.Exec(`WITH RECURSIVE n (i) AS (SELECT CAST(? AS BIGINT) UNION ALL SELECT i + 1 FROM n WHERE i < ?)
				INSERT INTO messages (folder_id, epoch, uid, uidl, ordinal, size, digest, body, header, received_ms)
				SELECT ?, 1, i, ?, 0, 1, ?, ?, ?, 7 FROM n`, from, from+n-1, f.ID, []byte{}, []byte{1}, []byte{2},
				[]byte{3}).Error)
		}
		insert(1, 2*exportPage)
		seen, pages := map[float64]bool{}, 0
		w.must(w.Export(w.Context(), l.Route.Owner, func(section string, rows [][]byte) error {
			if section != "messages" || len(rows) == 0 {
				return nil
			}
			if pages++; pages == 1 {
				insert(2*exportPage+1, 7)
			}
			for _, r := range rows {
				var m struct{ UID float64 }
				if err := json.Unmarshal(r, &m); err != nil {
					return err
				}
				if seen[m.UID] {
					w.Errorf("UID %v comes twice", m.UID)
				}
				seen[m.UID] = true
			}
			return nil
		}))
		if len(seen) != 2*exportPage+7 || pages != 3 {
			w.Errorf("%d messages in %d pages", len(seen), pages)
		}
	})
}

// readsMore says what a page of a section reads beside what it hands over: rows that are
// read and left out, or all of them, to be sorted.
func (w *world) readsMore(x *exportSection, args, after []any) string {
	w.Helper()
	query, values := x.page(x.where, args, after)
	if !w.postgres {
		var plan []string
		sorted, parents := map[int]bool{}, []int{}
		w.must(w.on(w.r).each(w.Context(), func(r rowScanner) error {
			var id, parent, unused int
			var detail string
			err := r.Scan(&id, &parent, &unused, &detail)
			plan, parents = append(plan, detail), append(parents, parent)
			sorted[parent] = sorted[parent] || strings.Contains(detail, "TEMP B-TREE")
			return err
		}, "EXPLAIN QUERY PLAN "+query, values...))
		for i, detail := range plan {
			reads := strings.Contains(detail, " "+x.table+" ")
			// What is sorted where it is read is all that there is.
			if reads && !strings.Contains(detail, "=? AND at_ms>?)") || sorted[parents[i]] &&
				(reads || strings.Contains(detail, "MULTI-INDEX")) {
				return strings.Join(plan, "\n")
			}
		}
		return ""
	}
	type node struct {
		Type    string  `json:"Node Type"`
		Rows    float64 `json:"Actual Rows"`
		LeftOut float64 `json:"Rows Removed by Filter"`
		Plans   []node
	}
	var text string
	var plans []struct{ Plan node }
	w.must(w.on(w.r).row(w.Context(), "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) "+query, values...).Scan(&text))
	w.must(json.Unmarshal([]byte(text), &plans))
	read := 0.0
	var count func(n node)
	count = func(n node) {
		if len(n.Plans) == 0 { // What reads a table.
			read += n.Rows + n.LeftOut
		}
		for _, below := range n.Plans {
			count(below)
		}
	}
	count(plans[0].Plan)
	if read > 2*exportPage {
		return fmt.Sprintf("%v rows are read: %s", read, text)
	}
	return ""
}

// A user makes acts as fast as it asks: a page of them is read by its key, and never all
// of them for each page.
func TestAnExportReadsNoMoreActsThanItHandsOver(t *testing.T) {
	onBoth(t, func(w *world) {
		o, n := anOwner(w, annas), 40*exportPage
		w.must(w.w.Exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO audit (at_ms, role, actor, client, action, owner, account_id, changed, details)
			SELECT 1000 + i / 3, 'admin', CASE WHEN i % 16 < 2 THEN 'anna@firma.test' ELSE 'jan@firma.test' END, '',
				'link.made', CASE i % 16 WHEN 0 THEN '' WHEN 2 THEN 'anna@firma.test' ELSE 'jan@firma.test' END, '', '[]', '{}'
				FROM n`, n).Error)
		w.must(w.w.Exec("ANALYZE").Error)
		at := slices.IndexFunc(exported, func(x *exportSection) bool { return x.name == "audit" })
		x, after := exported[at], []any{int64(1000 + n/9), int64(n / 3)}
		if more := w.readsMore(x, x.of(o), after); more != "" {
			w.Error(more)
		}
		control := *x
		control.where, control.or = "owner = ? OR actor = ? AND owner = ''", ""
		if w.readsMore(&control, x.of(o), after) == "" {
			w.Error("a page for which all are read is not found")
		}
		// Pages of both, whose times are the same in threes: all of them, once, in order.
		last, seen := 0, 0
		for _, row := range w.exports(o)["audit"] {
			id := 0
			if _, err := fmt.Sscan(row["id"].(string), &id); err != nil || id <= last {
				w.Fatalf("after %d comes %v: %v", last, row["id"], err)
			}
			last = id
			seen++
		}
		if seen != n/8 {
			w.Errorf("%d of %d acts", seen, n/8)
		}
	})
}
