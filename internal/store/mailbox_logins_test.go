package store

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// Logins of users' own mailboxes are saved, found with all other secrets when a key is replaced, audited, and go with
// their user. The control is another user's, which stays.
func TestLoginsOfUsersOwnMailboxes(t *testing.T) {
	onBoth(t, func(w *world) {
		anna, err := owner.Parse("anna@firma.test")
		w.must(err)
		jan, err := owner.Parse("jan@firma.test")
		w.must(err)
		ctx := w.Context()
		if _, _, err := w.MailboxLogin(ctx, anna); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("before it is saved: %v", err)
		}
		a := w.add("anna@firma.test", 1)
		for _, o := range []owner.Owner{jan, anna} {
			w.must(w.SetMailboxLogin(ctx, o, "name", []byte("first")))
			w.must(w.SetMailboxLogin(ctx, o, "name2", []byte("sealed of "+o.String())))
		}
		var all []string
		for after := (remote.SecretRef{}); ; {
			page, err := w.Secrets().SealedSecrets(ctx, after, 1)
			w.must(err)
			if len(page) == 0 {
				break
			}
			after = page[0].Ref
			all = append(all, fmt.Sprintf("%s %s", after.Subject, after.Owner))
		}
		want := []string{string(a.ID) + " anna@firma.test", "mailbox anna@firma.test", "mailbox jan@firma.test"}
		if !slices.Equal(all, want) {
			t.Errorf("the secrets are %q, want %q", all, want)
		}
		w.must(w.Secrets().ReplaceSealed(ctx, MailboxSecret(anna), []byte("another"), []byte("no")))
		w.must(w.Secrets().ReplaceSealed(ctx, MailboxSecret(anna), []byte("sealed of anna@firma.test"), []byte("again")))
		name, sealed, err := w.MailboxLogin(ctx, anna)
		if err != nil || name != "name2" || string(sealed) != "again" {
			t.Errorf("%q, %q, %v", name, sealed, err)
		}
		w.must(w.ForgetMailboxLogin(ctx, jan))
		w.must(w.ForgetMailboxLogin(ctx, jan))
		w.must(w.SetMailboxLogin(ctx, jan, "name3", []byte("x")))
		r, err := w.BeginRemoval(ctx, anna, false)
		w.must(err)
		if _, _, err := w.MailboxLogin(ctx, anna); err != nil {
			t.Errorf("of a user whose mailbox is still to be opened: %v", err)
		}
		_, _, err = w.ClaimRemoval(ctx, anna, "worker", w.Now().Add(time.Hour))
		w.must(err)
		_, err = w.EndRemoval(ctx, r, "worker")
		w.must(err)
		if _, _, err := w.MailboxLogin(ctx, anna); !errors.Is(err, account.ErrNotFound) {
			t.Errorf("of a removed user: %v", err)
		}
		if name, _, err := w.MailboxLogin(ctx, jan); err != nil || name != "name3" {
			t.Errorf("of another user: %q, %v", name, err)
		}
	})
}
