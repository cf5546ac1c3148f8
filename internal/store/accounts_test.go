package store

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/vault"
)

var sameOwner = cmpopts.EquateComparable(owner.Owner{})

func TestAnAccountComesBackAsItWasSaved(t *testing.T) {
	onBoth(t, func(w *world) {
		a := draft(w, "anna@firma.test", 1)
		a.Name, a.SenderName, a.Folder, a.Username = "Żółć \"x\" ?", "", "Praca/Stara ż", "anna'); DROP TABLE accounts;--"
		added, err := w.Accounts().Add(w.Context(), a, []byte("sealed"), 4)
		w.must(err)
		want := a
		want.Status = account.Status{State: account.Pending, NextPollAt: w.clock.now(), Slow: 1}
		if !cmp.Equal(added, want, sameOwner) {
			w.Error(cmp.Diff(added, want, sameOwner))
		}
		if got := w.load(a); !cmp.Equal(got, added, sameOwner) {
			w.Error(cmp.Diff(got, added, sameOwner))
		}
		w.add("anna@firma.test", 0) // Older.
		list, err := w.Accounts().Accounts(w.Context(), a.Owner)
		w.must(err)
		if len(list) != 2 || list[1].ID != a.ID {
			w.Errorf("not oldest first: %+v", list)
		}
	})
}

func TestAnEditSavesZeroValuesToo(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		a.SenderName, a.Enabled, a.Folders = "", false, route.FolderRules{}
		a.Name, a.PollInterval, a.UpdatedAt = "Other", time.Hour, w.clock.now()
		got, err := w.Accounts().Update(w.Context(), a, nil, false)
		w.must(err)
		a.SettingsEpoch++
		a.Status = account.Status{State: account.Paused, Delay: &account.Delay{Kind: account.DelayPaused}, Slow: 1}
		if !cmp.Equal(got, a, sameOwner) {
			w.Error(cmp.Diff(got, a, sameOwner))
		}
		if got, err := w.Accounts().SealedSecret(w.Context(), a.Secret()); err != nil || string(got) != "sealed" {
			w.Errorf("the secret is %q, %v", got, err)
		}
		_, err = w.Accounts().Update(w.Context(), got, []byte("other"), false)
		w.must(err)
		if got, err := w.Accounts().SealedSecret(w.Context(), a.Secret()); err != nil || string(got) != "other" {
			w.Errorf("the new secret is %q, %v", got, err)
		}
	})
}

func TestOfTwoEditsOfOneVersionTheLaterIsRefused(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		other := w.another()
		var g errgroup.Group
		errs := make([]error, 8)
		for i := range errs {
			s := []*Store{w.Store, other}[i%2]
			g.Go(func() error {
				_, errs[i] = s.Accounts().Update(w.Context(), a, nil, false)
				return nil
			})
		}
		w.must(g.Wait())
		saved := 0
		for _, err := range errs {
			if err == nil {
				saved++
			} else {
				w.want(err, account.ErrChanged)
			}
		}
		if saved != 1 {
			w.Errorf("%d edits were saved", saved)
		}
	})
}

func TestWhatIsTakenIsRefused(t *testing.T) {
	cases := map[string]struct {
		change func(a *account.Account)
		want   error
	}{
		"the same remote": {func(a *account.Account) { a.Username = "box1" }, account.ErrExists},
		"the same remote, host in caps": {func(a *account.Account) {
			a.Username, a.Server.Host = "box1", "IMAP.Example.ORG"
		}, account.ErrExists},
		"another port":                 {func(a *account.Account) { a.Username, a.Server.Port = "box1", 143 }, nil},
		"another protocol":             {func(a *account.Account) { a.Username, a.Protocol = "box1", remote.POP3 }, nil},
		"another spelling of the user": {func(a *account.Account) { a.Username = "BOX1" }, nil},
		"the same name":                {func(a *account.Account) { a.Name = "Box 1" }, account.ErrNameTaken},
		"the same name in caps":        {func(a *account.Account) { a.Name = "BOX 1" }, account.ErrNameTaken},
		"the same folder":              {func(a *account.Account) { a.Folder = "box1" }, account.ErrFolderTaken},
		"a folder below":               {func(a *account.Account) { a.Folder = "Box1/Sent" }, account.ErrFolderTaken},
		"a folder above":               {func(a *account.Account) { a.Folder = "deep" }, account.ErrFolderTaken},
		"a folder beside":              {func(a *account.Account) { a.Folder = "Box1 more" }, nil},
	}
	onBoth(t, func(w *world) {
		for name, c := range cases {
			w.Run(name, func(t *testing.T) {
				user := "u" + uuid.NewString()[:8] + "@firma.test"
				first := w.add(user, 1)
				deep := w.add(user, 2, func(a *account.Account) { a.Folder = "Deep/Below" })
				w.add("jan@"+user[:9]+".test", 3, c.change) // Somebody else's are nobody's business.
				a := draft(t, user, 3)
				c.change(&a)
				_, err := w.Accounts().Add(t.Context(), a, []byte("s"), 9)
				if !errors.Is(err, c.want) || c.want == nil && err != nil {
					t.Errorf("adding: %v", err)
				}
				if c.want == nil {
					return
				}
				b := w.add(user, 4)
				c.change(&b)
				if _, err := w.Accounts().Update(t.Context(), b, nil, false); !errors.Is(err, c.want) {
					t.Errorf("editing: %v", err)
				}
				for _, same := range []account.Account{first, deep} { // An account is not in its own way.
					if _, err := w.Accounts().Update(t.Context(), same, nil, false); err != nil {
						t.Errorf("saving what is there: %v", err)
					}
				}
			})
		}
	})
}

func TestAFifthAccountIsRefusedHoweverManyProcessesAdd(t *testing.T) {
	onBoth(t, func(w *world) {
		stores := []*Store{w.Store, w.another(), w.another()}
		drafts := make([]account.Account, 12)
		for i := range drafts {
			drafts[i] = draft(w, "anna@firma.test", i)
		}
		errs := make([]error, len(drafts))
		var g errgroup.Group
		for i, a := range drafts {
			g.Go(func() error {
				_, errs[i] = stores[i%3].Accounts().Add(w.Context(), a, []byte("s"), 4)
				return nil
			})
		}
		w.must(g.Wait())
		added := 0
		for _, err := range errs {
			if err == nil {
				added++
			} else {
				w.want(err, account.ErrLimitReached)
			}
		}
		if n := w.table("SELECT (SELECT count(*) FROM accounts), (SELECT count(*) FROM secrets), (SELECT count(*) FROM " +
			"poll_schedule), (SELECT count(*) FROM journals)"); added != 4 || n[0] != "4|4|4|4|" {
			w.Errorf("%d were added, the tables have %s rows", added, n)
		}
	})
}

func TestSomebodyElsesAccountDoesNotExist(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		a := w.add("anna@firma.test", 1)
		l, f := w.lease(a)
		w.deliver(l, 1, members(f, 1, 2))
		before := w.table("SELECT * FROM poll_schedule")
		jan := anOwner(w, "jan@firma.test")
		r := w.Accounts()
		stolen := a
		stolen.Owner = jan
		for _, id := range []account.ID{a.ID, account.ID(uuid.NewString()), "1 OR 1=1", "", "\x00", account.ID(
			strings.ToUpper(string(a.ID))), "{" + a.ID + "}"} {
			for _, o := range []owner.Owner{jan, {}} {
				bad := stolen
				bad.Owner, bad.ID = o, id
				_, err := r.Account(ctx, o, id)
				w.want(err, account.ErrNotFound)
				_, err = r.Update(ctx, bad, []byte("x"), true)
				w.want(err, account.ErrNotFound)
				w.want(r.Remove(ctx, o, id, false, nil), account.ErrNotFound)
				_, err = r.SealedSecret(ctx, bad.Secret())
				w.want(err, account.ErrNotFound)
				w.want(r.Hurry(ctx, o, id), account.ErrNotFound)
				if id != a.ID {
					_, err = r.Any(ctx, id)
					w.want(err, account.ErrNotFound)
				}
				_, err = r.FolderInfos(ctx, o, id)
				w.want(err, account.ErrNotFound)
				_, err = r.Runs(ctx, o, id, 10)
				w.want(err, account.ErrNotFound)
				_, err = r.Skipped(ctx, o, id, 10, "")
				w.want(err, account.ErrNotFound)
				_, err = w.Queue().ClaimOne(ctx, o, id, schedule.Claim{Worker: "p1/1", Now: w.clock.now(), Lease: time.Minute})
				w.want(err, account.ErrNotFound)
			}
		}
		if list, err := r.Accounts(ctx, jan); err != nil || len(list) != 0 {
			w.Errorf("jan has %v, %v", list, err)
		}
		forged := l
		forged.Route.Owner = jan
		if fs, err := w.Journal().Folders(ctx, forged); err != nil || len(fs) != 0 {
			w.Errorf("jan sees folders %v, %v", fs, err)
		}
		if got, err := settledOf(ctx, w.Journal(), forged, f, 0); err != nil || len(got) != 0 {
			w.Errorf("jan sees messages %v, %v", got, err)
		}
		if q, err := w.Quota(ctx, jan); err != nil || len(q.Accounts) != 0 {
			w.Errorf("jan's quota has %v, %v", q, err)
		}
		if after := w.table("SELECT * FROM poll_schedule"); !cmp.Equal(before, after) {
			w.Error(cmp.Diff(before, after))
		}
		if left := w.table("SELECT owner FROM owners"); !cmp.Equal(left, []string{"anna@firma.test|"}) {
			w.Errorf("a failed call left a user behind: %v", left)
		}
	})
}

func TestAnAccountAddedAgainContinuesWhereItWas(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		a := w.add("anna@firma.test", 1)
		l, f := w.lease(a)
		w.deliver(l, 1, members(f, 1, 3))
		open := fetch.BatchKey{Epoch: l.Epoch, Seq: 2}
		w.must(w.commit(l, fetch.Entry{Intend: &open}))
		w.must(w.Accounts().Remove(ctx, a.Owner, a.ID, true, nil))
		for _, table := range []string{"accounts", "secrets", "poll_schedule", "runs", "owners"} {
			if n := w.table("SELECT count(*) FROM " + table); n[0] != "0|" {
				w.Errorf("%s rows are left in %s", n[0], table)
			}
		}
		w.clock.pass(29 * 24 * time.Hour)
		other := draft(w, "jan@firma.test", 1)
		if got, err := w.Accounts().Add(ctx, other, []byte("s"), 4); err != nil || got.Journal != other.Journal {
			w.Errorf("somebody else took up the journal: %v", err)
		}
		again := draft(w, "anna@firma.test", 1)
		again.Server.Host = "IMAP.example.org"
		got, err := w.Accounts().Add(ctx, again, []byte("s"), 4)
		w.must(err)
		if got.Journal != a.Journal {
			w.Fatalf("the journal was not taken up: %+v", got)
		}
		if got.Status.Totals != (account.Totals{}) { // It has not signed in yet, and claims nothing.
			w.Errorf("before its first visit it claims %+v", got.Status.Totals)
		}
		next := w.claim("p1/1", func(c *schedule.Claim) { c.Now = w.clock.now() })
		i := 0
		if next[0].Route.ID != got.ID {
			i = 1
		}
		if next[i].Epoch <= l.Epoch {
			w.Errorf("the new lease has epoch %d, the old one had %d: spool files could be mixed up", next[i].Epoch, l.Epoch)
		}
		if bs, err := w.Journal().Open(ctx, next[i]); err != nil || len(bs) != 1 || bs[0].Key != open {
			w.Errorf("open batches: %+v, %v", bs, err)
		}
		if settled, err := settledOf(ctx, w.Journal(), next[i], f, 0); err != nil || len(settled) != 3 {
			w.Errorf("settled: %v, %v", settled, err)
		}
		w.must(w.Queue().Finish(ctx, next[i], schedule.Settlement{State: account.OK, Success: true}))
		if now := w.load(got).Status.Totals; now.Messages != 3 || now.Folders != 1 {
			w.Errorf("after its first visit it claims %+v", now)
		}
	})
}

func TestWhatIsToBeForgottenIsForgotten(t *testing.T) {
	cases := map[string]struct {
		keep bool
		pass time.Duration
	}{
		"removed with its mail":    {false, 0},
		"removed 31 days ago":      {true, 31 * 24 * time.Hour},
		"removed long ago, pruned": {true, 90 * 24 * time.Hour},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(w *world) {
				ctx := w.Context()
				a := w.add("anna@firma.test", 1)
				kept := w.add("anna@firma.test", 2)
				for i, x := range []account.Account{a, kept} {
					l, f := w.lease(x)
					w.deliver(l, 1, members(f, 1, 7+i))
					w.must(w.commit(l, fetch.Entry{
						Skip:   []fetch.Skipped{{FolderID: f.ID, ID: mail.ID{UID: 99}}},
						Intend: &fetch.BatchKey{Epoch: l.Epoch, Seq: 9},
					}))
				}
				w.must(w.Accounts().Remove(ctx, a.Owner, a.ID, c.keep, nil))
				now := w.clock.pass(c.pass)
				if strings.Contains(name, "pruned") || !c.keep {
					w.must(w.Prune(ctx, now.Add(-journalKept)))
					for table, want := range map[string]string{
						"messages": "8|", "folders": "1|", "skipped": "1|", "batches": "1|",
						"journals": "1|",
					} {
						if got := w.table("SELECT count(*) FROM " + table); got[0] != want {
							w.Errorf("%s has %s rows, not %s", table, got[0], want)
						}
					}
				}
				again := draft(w, "anna@firma.test", 1)
				got, err := w.Accounts().Add(ctx, again, []byte("s"), 4)
				w.must(err)
				if got.Journal != again.Journal || got.Status.Totals.Messages != 0 {
					w.Errorf("it was remembered: %+v", got)
				}
			})
		})
	}
}

func TestTheJournalFollowsTheMailboxThroughAnEdit(t *testing.T) {
	cases := map[string]struct {
		change        func(a *account.Account)
		same          bool // The journal continues.
		comparedAgain bool
	}{
		"another label":                   {func(a *account.Account) { a.Name = "Other" }, true, false},
		"another port":                    {func(a *account.Account) { a.Server.Port = 143 }, true, false},
		"another host":                    {func(a *account.Account) { a.Server.Host = "mail.example.org" }, true, true},
		"the domain added to the user":    {func(a *account.Account) { a.Username = "box1@example.org" }, true, false},
		"another user":                    {func(a *account.Account) { a.Username = "somebody" }, false, false},
		"another user of the same domain": {func(a *account.Account) { a.Username = "x@example.org" }, false, false},
		"another protocol":                {func(a *account.Account) { a.Protocol = remote.POP3 }, false, false},
	}
	onBoth(t, func(w *world) {
		for name, c := range cases {
			w.Run(name, func(t *testing.T) {
				a := w.add("u"+uuid.NewString()[:8]+"@firma.test", 1)
				l, f := w.lease(a)
				w.deliver(l, 1, members(f, 1, 3))
				f.Cursor = fetch.Cursor{UIDNext: 4, Messages: 3, FullScan: w.clock.now()}
				w.must(w.commit(l, fetch.Entry{Folders: []fetch.Folder{f}}))
				w.must(w.Queue().Finish(t.Context(), l, schedule.Settlement{State: account.OK, Success: true}))
				b := a
				c.change(&b)
				b, err := w.Accounts().Update(t.Context(), b, nil, false)
				w.must(err)
				if (b.Journal == a.Journal) != c.same {
					t.Fatalf("the journal went on: %v", b.Journal == a.Journal)
				}
				next, err := leaseOf(w.Queue().ClaimOne(t.Context(), b.Owner, b.ID, schedule.Claim{
					Worker: "p1/1", Now: w.clock.now(),
					Lease: time.Minute,
				}))
				w.must(err)
				if next.Epoch <= l.Epoch {
					t.Errorf("the epoch went from %d to %d", l.Epoch, next.Epoch)
				}
				fs, err := w.Journal().Folders(t.Context(), next)
				w.must(err)
				if c.same && (fs[0].UIDValidity != 7 || (fs[0].Cursor == fetch.Cursor{}) != c.comparedAgain) {
					t.Errorf("the folder is %+v", fs[0])
				}
				if !c.same && len(fs) != 0 {
					t.Errorf("the new mailbox has folders: %+v", fs)
				}
				if c.same {
					return
				}
				b.Protocol, b.Username = a.Protocol, a.Username // And back.
				if b, err = w.Accounts().Update(t.Context(), b, nil, false); err != nil || b.Journal != a.Journal {
					t.Errorf("the old journal was not taken up again: %v", err)
				}
				if n := w.load(b).Status.Totals.Messages; n != 3 {
					t.Errorf("%d messages are remembered", n)
				}
			})
		}
	})
}

func TestFolderInfosTellWhatWasFetched(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add("anna@firma.test", 1)
		l, f := w.lease(a)
		w.deliver(l, 1, members(f, 1, 3))
		f.Remaining, f.SpecialUse = 12, `\All`
		w.must(w.commit(l, fetch.Entry{Folders: []fetch.Folder{f}}))
		got, err := w.Accounts().FolderInfos(w.Context(), a.Owner, a.ID)
		w.must(err)
		want := []account.FolderInfo{{
			RemoteName: "INBOX", LocalName: "Box1", SpecialUse: `\All`, Selected: true,
			Messages: 12, Fetched: 3,
		}}
		if !cmp.Equal(got, want) {
			w.Error(cmp.Diff(got, want))
		}
	})
}

// The canary: what is sealed is found in one column and nowhere else.
func TestSecretsLieInTheirOwnColumnAlone(t *testing.T) {
	onBoth(t, func(w *world) {
		canary := []byte("c4n4ry-s34l3d")
		a := draft(w, "anna@firma.test", 1)
		a, err := w.Accounts().Add(w.Context(), a, canary, 4)
		w.must(err)
		l, f := w.lease(a)
		w.deliver(l, 1, members(f, 1, 1))
		seen := map[string]bool{}
		for _, line := range w.tablesOf() {
			table, column, _ := strings.Cut(strings.TrimSuffix(line, "|"), "|")
			for _, v := range w.table("SELECT " + column + " FROM " + table) {
				if bytes.Contains([]byte(v), canary) {
					seen[table+"."+column] = true
				}
			}
		}
		if !cmp.Equal(seen, map[string]bool{"secrets.sealed": true}) {
			w.Errorf("sealed secrets are in %v", seen)
		}
	})
}

func TestNoErrorTellsWhatWasToBeSaved(t *testing.T) {
	onBoth(t, func(w *world) {
		a := draft(w, "anna@firma.test", 1)
		a.Email = "c4n4ry"
		for range 10 { // So that every statement fails.
			w.must(w.MigrateDown(w.Context()))
		}
		_, err := w.Accounts().Add(w.Context(), a, []byte("c4n4ry"), 4)
		if err == nil || strings.Contains(err.Error(), "c4n4ry") {
			w.Errorf("the error is %v", err)
		}
	})
}

func TestEverySecretIsFoundForAnotherKey(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		want := map[account.ID]string{}
		for i := range 5 {
			a := draft(w, fmt.Sprintf("u%d@firma.test", i), i)
			_, err := w.Accounts().Add(ctx, a, []byte(a.Email), 4)
			w.must(err)
			want[a.ID] = a.Email
		}
		var all []vault.SealedSecret
		for after := (remote.SecretRef{}); ; after = all[len(all)-1].Ref {
			page, err := w.Secrets().SealedSecrets(ctx, after, 2)
			w.must(err)
			if all = append(all, page...); len(page) < 2 {
				break
			}
		}
		got := map[account.ID]string{}
		for _, x := range all {
			got[account.ID(x.Ref.Subject)] = string(x.Sealed)
		}
		if len(all) != 5 || !cmp.Equal(got, want) {
			w.Fatal(cmp.Diff(got, want))
		}
		first, second := all[0], all[1]
		others := second.Ref
		others.Owner = first.Ref.Owner
		w.must(w.Secrets().ReplaceSealed(ctx, first.Ref, first.Sealed, []byte("again")))
		w.must(w.Secrets().ReplaceSealed(ctx, first.Ref, first.Sealed, []byte("too late")))
		w.must(w.Secrets().ReplaceSealed(ctx, others, second.Sealed, []byte("somebody else's")))
		for x, want := range map[*vault.SealedSecret]string{&first: "again", &second: string(second.Sealed)} {
			if got, err := w.Accounts().SealedSecret(ctx, x.Ref); err != nil || string(got) != want {
				w.Errorf("the secret is %q, %v", got, err)
			}
		}
	})
}

// One subject has a secret in each of several fields: none is taken for another, all are
// sealed again, and they go together.
func TestASubjectHasASecretInEachField(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx, a := w.Context(), w.add("anna@firma.test", 1)
		other := w.add("jan@firma.test", 2)
		to := a.Secret()
		to.Field = "to"
		if _, err := w.Accounts().SealedSecret(ctx, to); !errors.Is(err, account.ErrNotFound) {
			w.Errorf("before there is one: %v", err)
		}
		w.must(w.w.Exec("INSERT INTO secrets (subject, field, sealed) VALUES (?, 'to', ?)", to.Subject,
			[]byte("another")).Error)
		var all []vault.SealedSecret
		for after := (remote.SecretRef{}); ; after = all[len(all)-1].Ref {
			page, err := w.Secrets().SealedSecrets(ctx, after, 1)
			w.must(err)
			if len(page) == 0 {
				break
			}
			all = append(all, page...)
		}
		got := map[remote.SecretRef]string{}
		for _, x := range all {
			got[x.Ref] = string(x.Sealed)
		}
		want := map[remote.SecretRef]string{a.Secret(): "sealed", to: "another", other.Secret(): "sealed"}
		if len(all) != 3 || !maps.Equal(got, want) {
			w.Errorf("the secrets are %v", got)
		}
		w.must(w.Secrets().ReplaceSealed(ctx, to, []byte("another"), []byte("again")))
		_, err := w.Accounts().Update(ctx, a, []byte("changed"), false)
		w.must(err)
		for ref, want := range map[remote.SecretRef]string{a.Secret(): "changed", to: "again"} {
			if got, err := w.Accounts().SealedSecret(ctx, ref); err != nil || string(got) != want {
				w.Errorf("%s: %q, %v", ref.Field, got, err)
			}
		}
		w.must(w.Accounts().Remove(ctx, a.Owner, a.ID, true, nil))
		if left := w.table("SELECT field FROM secrets"); len(left) != 1 {
			w.Errorf("after the account is removed there are %v", left)
		}
	})
}
