package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/store"
)

type userExportCmd struct {
	User string `arg:"" help:"The user's mailbox address."`
}

// Run prints all that is stored about a user as one JSON document.
func (c userExportCmd) Run(ctx context.Context, t terminal, load loader) error {
	owner, err := anyUser(c.User)
	if err != nil {
		return usageError{fmt.Errorf("USER: %w", err)}
	}
	return quietly(ctx, t, load, func(a *app) error {
		stored, err := a.stores(ctx, owner)
		if err != nil {
			return err
		}
		if !stored {
			if err := a.mustKnow(ctx, "USER", owner); err != nil {
				return err
			}
		}
		out := bufio.NewWriterSize(t.out, 64<<10)
		if err := (users{a}).Export(ctx, owner, out); err != nil {
			return err
		}
		return out.Flush()
	})
}

// stores reports whether anything is stored about a user in the database.
func (a *app) stores(ctx context.Context, o owner.Owner) (bool, error) {
	errFound := errors.New("there is a row")
	err := a.store.Export(ctx, o, func(_ string, rows [][]byte) error {
		if len(rows) > 0 {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return true, nil
	}
	return false, err
}

// Export writes all that is stored about a user: see httpapi.Users. It writes down
// first that it does.
func (u users) Export(ctx context.Context, o owner.Owner, w io.Writer) error {
	a := u.app
	if err := a.store.Audit().Record(ctx, audit.Entry{Action: audit.UserExported, User: o}); err != nil {
		return err
	}
	d := document{w: w}
	d.member("user", o.String())
	d.member("exported_at", a.store.Now().UTC().Format(time.RFC3339Nano))
	err := a.store.Export(ctx, o, func(section string, rows [][]byte) error {
		d.rows(section, rows)
		return d.err
	})
	if err != nil {
		return err
	}
	d.endRows()
	box, err := u.mailboxOf(ctx, o)
	if err != nil {
		return err
	}
	d.member("mailbox", box)
	if err := u.transcriptsOf(ctx, o, &d); err != nil {
		return err
	}
	d.member("left_out", store.ExportLeavesOut())
	d.member("complete", true)
	d.put("}\n")
	return d.err
}

// mailboxNames are what Mailbrook made in a user's own mailbox.
type mailboxNames struct {
	Folders []string `json:"folders"`
	Marks   []string `json:"marks"`
}

func (u users) mailboxOf(ctx context.Context, o owner.Owner) (mailboxNames, error) {
	box := mailboxNames{Folders: []string{}, Marks: []string{}}
	as, err := u.app.store.Accounts().Accounts(ctx, o)
	for _, acc := range as {
		box.Folders = append(box.Folders, acc.Folder)
		box.Marks = append(box.Marks, acc.Folder+"/"+mail.MarkFor(u.app.vault.TokenKey(), acc.Journal))
	}
	return box, err
}

// transcriptsOf writes what was said with the servers of the user's accounts, as far as
// an administrator had it written down: no secret and no mail. One of at most
// transcript.MaxBytes is in memory at a time.
func (u users) transcriptsOf(ctx context.Context, o owner.Owner, d *document) error {
	as, err := u.app.store.Accounts().Accounts(ctx, o)
	if err != nil {
		return err
	}
	d.rows("transcripts", nil)
	for _, acc := range as {
		st, err := u.app.transcripts.Status(string(acc.ID))
		if err != nil {
			return err
		}
		text, err := u.app.transcripts.Read(string(acc.ID))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		row, err := json.Marshal(struct {
			Account account.ID `json:"account_id"`
			Until   string     `json:"until"`
			Text    string     `json:"text"`
		}{acc.ID, st.Until.UTC().Format(time.RFC3339), text})
		if err != nil {
			return err
		}
		d.rows("transcripts", [][]byte{row})
	}
	d.endRows()
	return d.err
}

// document writes a JSON object member by member. What fails is kept in err, and
// nothing is written after it.
type document struct {
	w       io.Writer
	err     error
	begun   bool
	section string // Whose rows are being written; "": no section's.
	filled  bool   // It has some.
}

func (d *document) put(text string) {
	if d.err == nil {
		_, d.err = io.WriteString(d.w, text)
	}
}

func (d *document) name(name string) {
	before := "{\n"
	if d.begun {
		before = ",\n"
	}
	d.begun = true
	d.put(fmt.Sprintf("%s%q: ", before, name))
}

func (d *document) member(name string, v any) {
	text, err := json.Marshal(v)
	if d.err == nil {
		d.err = err
	}
	d.name(name)
	d.put(string(text))
}

// rows adds rows to a section, and begins it where it is another one than before.
func (d *document) rows(section string, rows [][]byte) {
	if section != d.section {
		d.endRows()
		d.name(section)
		d.put("[")
		d.section, d.filled = section, false
	}
	for _, row := range rows {
		if d.filled {
			d.put(",")
		}
		d.filled = true
		d.put("\n" + string(row))
	}
}

func (d *document) endRows() {
	if d.section != "" {
		d.put("]")
	}
	d.section = ""
}
