package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// failing is a connection whose calls fail from the one on whose turn it is.
type failing struct {
	gorm.ConnPool
	db   *sql.DB
	left *int // So many calls go well; below 0: all.
}

var errTurn = errors.New("it is this call's turn to fail")

func (f failing) fails() bool {
	if *f.left == 0 {
		return true
	}
	*f.left--
	return false
}

func (f failing) GetDBConn() (*sql.DB, error) { return f.db, nil }

func (f failing) BeginTx(ctx context.Context, o *sql.TxOptions) (gorm.ConnPool, error) {
	if f.fails() {
		return nil, errTurn
	}
	tx, err := f.db.BeginTx(ctx, o)
	return &failingTx{failing{tx, f.db, f.left}, tx}, err
}

func (f failing) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if f.fails() {
		return nil, errTurn
	}
	return f.ConnPool.ExecContext(ctx, query, args...)
}

func (f failing) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if f.fails() {
		return nil, errTurn
	}
	return f.ConnPool.QueryContext(ctx, query, args...)
}

func (f failing) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if f.fails() {
		query, args = "SELECT nothing FROM nowhere", nil
	}
	return f.ConnPool.QueryRowContext(ctx, query, args...)
}

type failingTx struct {
	failing
	tx *sql.Tx
}

func (f *failingTx) Commit() error {
	if f.fails() {
		return errors.Join(errTurn, f.tx.Rollback())
	}
	return f.tx.Commit()
}

func (f *failingTx) Rollback() error { return f.tx.Rollback() }

// failFrom has the calls of the database fail after so many that go well.
func (w *world) failFrom(left int) (mend func()) {
	w.Helper()
	db, err := w.w.DB()
	w.must(err)
	whole := w.w.Statement.ConnPool
	w.w.Statement.ConnPool = failing{whole, db, &left}
	return func() { w.w.Statement.ConnPool = whole }
}

// dump is all that is in the database: the acts, and everything else.
func (w *world) dump() (acts, rest []string) {
	w.Helper()
	tables := map[string]bool{}
	for _, line := range w.tablesOf() {
		name, _, _ := strings.Cut(line, "|")
		tables[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		rows := w.table("SELECT * FROM " + name)
		if name == "audit" {
			acts = w.table("SELECT role, actor, client, action, owner, account_id, changed, details FROM audit ORDER BY id")
			continue
		}
		slices.Sort(rows)
		for _, row := range rows {
			rest = append(rest, name+": "+row)
		}
	}
	return acts, rest
}

// torn performs an act with each of its calls failing in turn, and at last with
// none, and says where an act and its row came apart.
func (w *world) torn(act func(ctx context.Context) error) (wrong []string) {
	w.Helper()
	ctx := audit.By(w.Context(), audit.Actor{Role: audit.Admin, Name: "admin@firma.test", Client: "192.0.2.7"})
	acts, rest := w.dump()
	for calls := 0; ; calls++ {
		if calls > 200 {
			w.Fatal("the act never goes well")
		}
		mend := w.failFrom(calls)
		err := act(ctx)
		mend()
		nowActs, nowRest := w.dump()
		switch rows := len(nowActs) - len(acts); {
		case err == nil && rows == 1 && !cmp.Equal(rest, nowRest):
			return wrong
		case err == nil:
			return append(wrong, fmt.Sprintf("done with %d rows: %s", rows, cmp.Diff(rest, nowRest)))
		case rows != 0 || !cmp.Equal(rest, nowRest):
			wrong = append(wrong, fmt.Sprintf("failed at call %d with %d rows: %s", calls, rows, cmp.Diff(rest, nowRest)))
			acts, rest = nowActs, nowRest
		}
	}
}

const annas = "anna@firma.test"

// acts are all acts that happen in the database.
func (w *world) acts() map[audit.Action]func(ctx context.Context) error {
	w.Helper()
	o := anOwner(w, annas)
	a, other := w.add(annas, 1), w.add(annas, 2)
	gone := w.add("gone@firma.test", 3)
	paused := w.add(annas, 4, func(a *account.Account) { a.Enabled = false })
	requested, unlucky := w.add(annas, 7), w.add(annas, 5)
	l, f := w.lease(unlucky)
	w.skip(l, f, 1)
	sid := w.skipped(unlucky, 1, "").Messages[0].SID
	w.clock.pass(time.Second)
	link := Link{Owner: o, ReturnTo: "/", Expires: w.clock.now().Add(time.Hour)}
	w.must(w.Links().Save(w.Context(), "a link to follow", link))
	for _, name := range []string{"one", "two", "three"} {
		w.must(w.session(o, name))
	}
	w.must(w.SetMailboxLogin(w.Context(), gone.Owner, "gone", []byte("sealed")))
	limit := int64(5000)
	w.must(w.Admin().SetDefaultLimit(w.Context(), "gone.test", &owner.Limit{Bytes: &limit}))
	copies := make([]transfer.Copy, 7)
	for i := range copies {
		copies[i] = aCopy(o, 10+i)
		copies[i].Target = remote.Mailbox{Auth: remote.Password, Username: "new", Server: remote.Server{
			Host: fmt.Sprintf("target%d.test", i), Port: 993, Security: remote.TLS,
		}}
		if i == 0 {
			continue
		}
		var err error
		copies[i], err = w.Copies().Add(w.Context(), copies[i], nil, [32]byte{byte(i)}, 1000)
		w.must(err)
	}
	_, err := w.Copies().Switch(w.Context(), o, copies[2].ID, false, false)
	w.must(err)
	return map[audit.Action]func(ctx context.Context) error{
		audit.CopyStarted: func(ctx context.Context) error {
			_, err := w.Copies().Add(ctx, copies[0], map[remote.Field][]byte{transfer.SourceField: []byte("sealed")},
				[32]byte{9}, 1000)
			return err
		},
		audit.CopyPaused: func(ctx context.Context) error {
			_, err := w.Copies().Switch(ctx, o, copies[1].ID, false, false)
			return err
		},
		audit.CopyResumed: func(ctx context.Context) error {
			_, err := w.Copies().Switch(ctx, o, copies[2].ID, true, false)
			return err
		},
		audit.CopyChanged: func(ctx context.Context) error {
			_, err := w.Copies().Update(ctx, copies[3], map[remote.Field][]byte{transfer.TargetField: []byte("sealed")})
			return err
		},
		audit.CopyCancelled: func(ctx context.Context) error {
			_, err := w.Copies().End(ctx, o, copies[4].ID, transfer.Cancelled, w.clock.now())
			return err
		},
		audit.CopyRepeated: func(ctx context.Context) error {
			_, err := w.Copies().Again(ctx, o, copies[5].ID, transfer.Connecting, transfer.Options{}, true)
			return err
		},
		audit.CopyDeleted: func(ctx context.Context) error { return w.Copies().Remove(ctx, o, copies[6].ID) },
		audit.AccountAdded: func(ctx context.Context) error {
			_, err := w.Accounts().Add(ctx, draft(w, annas, 6), []byte("sealed"), 1000)
			return err
		},
		audit.AccountChanged: func(ctx context.Context) error {
			x := a
			x.Name, x.Enabled = "Another", false
			_, err := w.Accounts().Update(ctx, x, []byte("another"), false)
			return err
		},
		audit.AccountPaused: func(ctx context.Context) error {
			x := other
			x.Enabled = false
			_, err := w.Accounts().Update(ctx, x, nil, false)
			return err
		},
		audit.AccountResumed: func(ctx context.Context) error {
			x := paused
			x.Enabled = true
			_, err := w.Accounts().Update(ctx, x, nil, true)
			return err
		},
		audit.AccountFetched: func(ctx context.Context) error { return w.Accounts().Hurry(ctx, o, requested.ID) },
		audit.AccountDeleted: func(ctx context.Context) error { return w.Accounts().Remove(ctx, o, a.ID, true, nil) },
		audit.MessageRetried: func(ctx context.Context) error {
			_, err := w.Accounts().RetrySkipped(ctx, o, unlucky.ID, sid)
			return err
		},
		audit.QuotaSet: func(ctx context.Context) error {
			return w.SetLimits(ctx, o, owner.Limit{Bytes: &limit}, nil)
		},
		audit.DefaultSet: func(ctx context.Context) error {
			return w.Admin().SetDefaultLimit(ctx, "firma.test", &owner.Limit{Bytes: &limit})
		},
		audit.DefaultRemoved: func(ctx context.Context) error { return w.Admin().SetDefaultLimit(ctx, "gone.test", nil) },
		audit.MailboxLoginSet: func(ctx context.Context) error {
			return w.SetMailboxLogin(ctx, o, "anna", []byte("sealed"))
		},
		audit.MailboxLoginRemoved: func(ctx context.Context) error { return w.ForgetMailboxLogin(ctx, gone.Owner) },
		audit.UserRemoved: func(ctx context.Context) error {
			_, err := w.BeginRemoval(ctx, gone.Owner, true)
			return err
		},
		audit.LinkMade: func(ctx context.Context) error {
			return w.Links().Save(ctx, "a link", link)
		},
		audit.SessionBegun: func(ctx context.Context) error {
			_, err := w.Links().Exchange(ctx, "a link to follow", "a session", w.clock.now().Add(time.Hour))
			return err
		},
		audit.SessionEnded:  func(ctx context.Context) error { return w.Sessions().End(ctx, "one") },
		audit.SessionsEnded: func(ctx context.Context) error { _, err := w.Sessions().EndAll(ctx, o); return err },
	}
}

// outside are the acts that happen elsewhere: whoever does them has them written
// down first, by Record.
var outside = []audit.Action{
	audit.AccountTested, audit.AccountTestFailed, audit.UserExported, audit.TranscriptBegun, audit.TranscriptRead,
	audit.TranscriptRemoved, audit.InstallationAdopted,
}

// session signs in, by a link.
func (w *world) session(o owner.Owner, name string) error {
	until := w.clock.now().Add(time.Hour)
	if err := w.Links().Save(w.Context(), "for "+name, Link{Owner: o, ReturnTo: "/", Expires: until}); err != nil {
		return err
	}
	_, err := w.Links().Exchange(w.Context(), "for "+name, name, until)
	return err
}

func TestAnActAndItsRowAreOneWhereverTheDatabaseFails(t *testing.T) {
	onBoth(t, func(w *world) {
		acts := w.acts()
		for _, action := range audit.Actions() {
			act, inDatabase := acts[action]
			if inDatabase == slices.Contains(outside, action) {
				w.Errorf("%s is neither an act in the database nor one elsewhere, or both", action)
			}
			if !inDatabase {
				continue
			}
			for _, wrong := range w.torn(act) {
				w.Errorf("%s: %s", action, wrong)
			}
			page, err := w.Audit().Acts(w.Context(), audit.Filter{Limit: 1})
			w.must(err)
			if e := page.Entries[0]; e.Action != action || e.Actor.Client != "192.0.2.7" || !e.At.Equal(w.clock.now()) ||
				action != audit.SessionBegun && (e.Actor.Role != audit.Admin || e.Actor.Name != "admin@firma.test") {
				w.Errorf("%s was written down as %+v", action, e)
			}
			w.clock.pass(time.Second) // The newest is the first.
		}
	})
}

// What leads to an act on further ways is one with its row as well.
func TestFurtherWaysToAnActAreWrittenDownWithIt(t *testing.T) {
	onBoth(t, func(w *world) {
		o, limit := anOwner(w, annas), int64(5000)
		unlucky := w.add(annas, 1)
		l, f := w.lease(unlucky)
		w.skip(l, f, 1)
		w.clock.pass(time.Second)
		w.must(w.SetLimits(w.Context(), o, owner.Limit{Bytes: &limit}, nil))
		w.must(w.Links().Save(w.Context(), "signs in", Link{
			Owner: o, ReturnTo: "/", Expires: w.clock.now().Add(time.Hour), Way: "oidc",
		}))
		change := func(c owner.LimitChange) func(ctx context.Context) error {
			return func(ctx context.Context) error {
				_, err := w.Admin().ChangeLimits(ctx, insight.QuotaFilter{Match: "anna"}, c, "")
				return err
			}
		}
		for _, tc := range []struct {
			name    string
			act     func(ctx context.Context) error
			action  audit.Action
			changed []string
			details map[string]string
		}{
			{"a limit is taken back", func(ctx context.Context) error {
				return w.ClearLimits(ctx, o, nil)
			}, audit.QuotaSet, []string{"limit_bytes", "limit_source"}, map[string]string{
				"limit_bytes": "unlimited", "limit_bytes_before": "5000", "limit_messages": "unlimited", "limit_source": "nobody",
			}},
			{"limits of many are set", change(owner.LimitChange{
				Limit: owner.Limit{Bytes: &limit}, KeepMessages: true,
			}), audit.QuotaSet, []string{"limit_bytes", "limit_source"}, map[string]string{
				"limit_bytes": "5000", "limit_bytes_before": "unlimited", "limit_messages": "unlimited",
				"limit_source": "mailbrook",
			}},
			{"a default changes", func(ctx context.Context) error {
				more := limit + 1
				return w.Admin().SetDefaultLimit(ctx, "firma.test", &owner.Limit{Messages: &more})
			}, audit.DefaultSet, []string{"limit_messages"}, map[string]string{
				"domain": "firma.test", "limit_bytes": "unlimited", "limit_messages": "5001", "limit_messages_before": "unlimited",
			}},
			{"limits of many are taken back", change(owner.LimitChange{Inherit: true}), audit.QuotaSet, []string{
				"limit_bytes", "limit_messages", "limit_source",
			}, map[string]string{
				"limit_bytes": "unlimited", "limit_bytes_before": "5000", "limit_messages": "5001",
				"limit_messages_before": "unlimited", "limit_source": "domain",
			}},
			{"all skipped messages are asked for", func(ctx context.Context) error {
				_, err := w.Accounts().RetryAllSkipped(ctx, o, unlucky.ID)
				return err
			}, audit.MessageRetried, nil, map[string]string{"messages": "1"}},
			{"somebody signs in at a provider", func(ctx context.Context) error {
				_, err := w.Links().Exchange(ctx, "signs in", "a session", w.clock.now().Add(time.Hour))
				return err
			}, audit.SessionBegun, nil, map[string]string{"by": "oidc", "admin": "false"}},
		} {
			for _, wrong := range w.torn(tc.act) {
				w.Errorf("%s: %s", tc.name, wrong)
			}
			page, err := w.Audit().Acts(w.Context(), audit.Filter{Limit: 1})
			w.must(err)
			e := page.Entries[0]
			if e.Action != tc.action || len(e.Changed)+len(tc.changed) > 0 && !cmp.Equal(e.Changed, tc.changed) ||
				!cmp.Equal(e.Details, tc.details) {
				w.Errorf("%s was written down as %+v", tc.name, e)
			}
			w.clock.pass(time.Second)
		}
	})
}

// Of many users whose limits are set those have a row whose limits changed, and only
// they.
func TestOfManyUsersThoseAreWrittenDownWhoseLimitsChanged(t *testing.T) {
	onBoth(t, func(w *world) {
		limit := int64(5000)
		for i, user := range []string{annas, "bartek@firma.test", "carol@firma.test"} {
			w.add(user, i+1)
		}
		w.must(w.SetLimits(w.Context(), anOwner(w, annas), owner.Limit{Bytes: &limit}, nil))
		w.clock.pass(time.Second)
		start := w.clock.now()
		for range 2 { // The second time nothing changes.
			_, err := w.Admin().ChangeLimits(w.Context(), insight.QuotaFilter{}, owner.LimitChange{
				Limit: owner.Limit{Bytes: &limit}, KeepMessages: true,
			}, "")
			w.must(err)
		}
		page, err := w.Audit().Acts(w.Context(), audit.Filter{From: start})
		w.must(err)
		var users []string
		for _, e := range page.Entries {
			users = append(users, e.User.String())
		}
		if slices.Sort(users); !slices.Equal(users, []string{"bartek@firma.test", "carol@firma.test"}) {
			w.Errorf("written down are %v", users)
		}
	})
}

// A row that is written beside the transaction is found to come apart, either way.
func TestTheTestOfActsFindsARowBesideTheTransaction(t *testing.T) {
	onBoth(t, func(w *world) {
		o := anOwner(w, annas)
		w.must(w.session(o, "one"))
		end := func(ctx context.Context) error {
			_, err := w.on(w.w).exec(ctx, "DELETE FROM sessions")
			return err
		}
		record := func(ctx context.Context) error {
			return w.Audit().Record(ctx, audit.Entry{Action: audit.SessionEnded, User: o})
		}
		if wrong := w.torn(func(ctx context.Context) error { return errors.Join(end(ctx), record(ctx)) }); len(wrong) == 0 {
			w.Error("an act whose row is lost was not found")
		}
		w.must(w.session(o, "one"))
		if wrong := w.torn(func(ctx context.Context) error {
			if err := record(ctx); err != nil {
				return err
			}
			return end(ctx)
		}); len(wrong) == 0 {
			w.Error("a row without its act was not found")
		}
	})
}

func TestARefusedActLeavesNoRow(t *testing.T) {
	onBoth(t, func(w *world) {
		a, o := w.add(annas, 1), anOwner(w, annas)
		before, _ := w.dump()
		ctx := w.Context()
		_, err := w.Accounts().Add(ctx, draft(w, annas, 1), nil, 1000)
		w.want(err, account.ErrExists)
		_, err = w.Accounts().Add(ctx, draft(w, annas, 2), nil, 1)
		w.want(err, account.ErrLimitReached)
		stale := w.load(a)
		stale.SettingsEpoch--
		_, err = w.Accounts().Update(ctx, stale, nil, false)
		w.want(err, account.ErrChanged)
		w.want(w.Accounts().Remove(ctx, o, a.ID, true, account.Match{"another"}), account.ErrPrecondition)
		w.want(w.SetLimits(ctx, o, owner.Limit{}, account.Match{"another"}), account.ErrPrecondition)
		_, err = w.Links().Exchange(ctx, "no link", "s", w.clock.now().Add(time.Hour))
		w.want(err, account.ErrNotFound)
		w.must(w.Sessions().End(ctx, "no session"))
		w.want(w.ClearLimits(ctx, o, account.Match{"another"}), account.ErrPrecondition)
		w.must(w.Links().Save(ctx, "signs in", Link{
			Owner: o, ReturnTo: "/", Expires: w.clock.now().Add(time.Hour), Way: "password",
		})) // It is not followed.
		if after, _ := w.dump(); !cmp.Equal(before, after) {
			w.Error(cmp.Diff(before, after))
		}
	})
}

func TestAUsersOwnWishToFetchIsNoRow(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add(annas, 1)
		before, _ := w.dump()
		own := audit.By(w.Context(), audit.Actor{Role: audit.User, Name: annas})
		w.must(w.Accounts().Hurry(own, a.Owner, a.ID))
		if after, _ := w.dump(); len(after) != len(before) {
			w.Errorf("written down: %v", after[len(before):])
		}
	})
}

func TestAnEditNamesWhatChangedAndShowsNoSecret(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add(annas, 1)
		a.Username, a.SenderName, a.Server.Host, a.Enabled = "canary-name", "canary-sender", "imap.example.net", false
		_, err := w.Accounts().Update(w.Context(), a, []byte("canary-sealed"), false)
		w.must(err)
		page, err := w.Audit().Acts(w.Context(), audit.Filter{Action: audit.AccountChanged})
		w.must(err)
		want := []string{"sender_name", "server.host", "username", "password", "enabled"}
		if len(page.Entries) != 1 || !cmp.Equal(page.Entries[0].Changed, want) {
			w.Errorf("%+v", page.Entries)
		}
		acts, rest := w.dump()
		if text := strings.Join(acts, "\n"); strings.Contains(text, "canary") || !strings.Contains(text, "imap.example.net") {
			w.Errorf("%s", text)
		}
		if !strings.Contains(strings.Join(rest, "\n"), "canary-sealed") { // The control: it would be found.
			w.Error("the canaries are nowhere")
		}
	})
}

func TestActsAreFoundByEachFilterAndPaged(t *testing.T) {
	onBoth(t, func(w *world) {
		o, p := anOwner(w, annas), anOwner(w, "bartek@firma.test")
		start := w.clock.now()
		a := w.add("carol@firma.test", 1)
		as := func(role audit.Role, name string) context.Context {
			return audit.By(w.Context(), audit.Actor{Role: role, Name: name, Client: "192.0.2.1"})
		}
		for i := range 7 {
			w.must(w.Audit().Record(as(audit.User, annas), audit.Entry{Action: audit.AccountTested, User: o}))
			if i%2 == 0 { // Two at one moment.
				w.clock.pass(time.Minute)
			}
		}
		for _, name := range []string{"root", "Bob", "admin"} {
			w.must(w.Audit().Record(as(audit.CLI, name), audit.Entry{Action: audit.UserExported, User: p}))
		}
		w.must(w.Accounts().Hurry(as(audit.Admin, "boss@firma.test"), a.Owner, a.ID))
		for _, tc := range []struct {
			name string
			f    audit.Filter
			want int
		}{
			{"all", audit.Filter{}, 12},
			{"user", audit.Filter{User: o}, 7},
			{"account", audit.Filter{Account: a.ID}, 2},
			{"actor by address", audit.Filter{Actor: "BOSS@firma.test"}, 1},
			{"actor by role", audit.Filter{Actor: "cli"}, 3},
			{"a machine's user as it is called", audit.Filter{Actor: "Bob"}, 1},
			{"a machine's user is no other's", audit.Filter{Actor: "bob"}, 0},
			{"a machine's user who is called as a role", audit.Filter{Role: audit.CLI, Actor: "admin"}, 1},
			{"a role beside a machine's user of its name", audit.Filter{Actor: "admin"}, 1},
			{"role", audit.Filter{Role: audit.User}, 7},
			{"part of the user", audit.Filter{Query: "ARTEK@f"}, 3},
			{"part of the user, no wildcard", audit.Filter{Query: "b%k"}, 0},
			{"action", audit.Filter{Action: audit.UserExported}, 3},
			{"from", audit.Filter{From: start.Add(4 * time.Minute)}, 4},
			{"to", audit.Filter{To: start.Add(time.Minute)}, 2},
			{"both", audit.Filter{From: start.Add(time.Minute), To: start.Add(2 * time.Minute), User: o}, 2},
			{"nothing", audit.Filter{User: p, Actor: annas}, 0},
		} {
			for _, size := range []int{1, 2, 3, 500} {
				f, seen := tc.f, map[int64]bool{}
				last := audit.Entry{}
				for f.Limit = size; ; {
					page, err := w.Audit().Acts(w.Context(), f)
					w.must(err)
					for _, e := range page.Entries {
						if seen[e.ID] || last.ID != 0 && (e.At.After(last.At) || e.At.Equal(last.At) && e.ID > last.ID) {
							w.Errorf("%s: %d comes twice or out of order", tc.name, e.ID)
						}
						seen[e.ID], last = true, e
					}
					if f.Cursor = page.Next; f.Cursor == "" {
						break
					}
				}
				if len(seen) != tc.want {
					w.Errorf("%s in pages of %d: %d of %d", tc.name, size, len(seen), tc.want)
				}
			}
		}
		for _, forged := range []string{
			"x", cursor{Owner: annas, Account: "1"}.String(), cursor{Owner: actsCursor}.String(),
		} {
			_, err := w.Audit().Acts(w.Context(), audit.Filter{Cursor: forged})
			var bad *account.InvalidError
			if !errors.As(err, &bad) {
				w.Errorf("the cursor %q: %v", forged, err)
			}
		}
	})
}

func TestTheDatabaseItselfKeepsActs(t *testing.T) {
	onBoth(t, func(w *world) {
		w.add(annas, 1)
		another := `INSERT INTO audit (id, at_ms, role, actor, client, action, owner, account_id, changed, details)
			VALUES (1, 1, 'user', 'nobody', '', 'link.made', '', '', '[]', '{}')`
		refused := []string{
			"UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", "DELETE FROM audit WHERE id = 1",
			"DELETE FROM audit_horizon", "UPDATE audit_horizon SET before_ms = -1",
			"INSERT INTO audit_horizon (one, before_ms) VALUES (2, 9)",
			another + " ON CONFLICT (id) DO UPDATE SET actor = 'nobody'",
			"INSERT INTO audit_horizon (one, before_ms) VALUES (1, 0) ON CONFLICT (one) DO UPDATE SET before_ms = -1",
			"UPDATE audit_horizon SET before_ms = 'zzz'", "UPDATE audit_horizon SET before_ms = NULL",
		}
		if w.postgres {
			refused = append(refused, "TRUNCATE audit", "TRUNCATE audit_horizon", "TRUNCATE accounts, audit",
				`MERGE INTO audit a USING (SELECT 1 AS id) b ON a.id = b.id WHEN MATCHED THEN UPDATE SET actor = 'nobody'`,
				`MERGE INTO audit a USING (SELECT 1 AS id) b ON a.id = b.id WHEN MATCHED THEN DELETE`)
		} else {
			refused = append(refused, strings.Replace(another, "INSERT", "INSERT OR REPLACE", 1),
				strings.Replace(another, "INSERT", "REPLACE", 1), strings.Replace(another, "VALUES (1,", "VALUES (-1,", 1),
				strings.Replace(another, "VALUES (1, 1,", "VALUES (NULL, 'zzz',", 1),
				"UPDATE OR REPLACE audit SET actor = 'nobody'",
				"INSERT OR REPLACE INTO audit_horizon (one, before_ms) VALUES (1, 0)",
				"INSERT OR REPLACE INTO audit_horizon (one, before_ms) VALUES (1, 9)",
				"UPDATE audit_horizon SET before_ms = 1.5", "UPDATE audit_horizon SET before_ms = x'7a'")
		}
		before, _ := w.dump()
		for _, stmt := range refused {
			if err := w.w.Exec(stmt).Error; err == nil {
				w.Errorf("%s: it was done", stmt)
			}
		}
		if after, _ := w.dump(); !cmp.Equal(before, after) {
			w.Error(cmp.Diff(before, after))
		}
		if horizon := w.table("SELECT before_ms FROM audit_horizon"); !cmp.Equal(horizon, []string{"0|"}) {
			w.Errorf("what may be forgotten is %v", horizon)
		}
		// The control: one that is added is, with a number of its own or without.
		for _, id := range []string{"VALUES (7,", "VALUES (DEFAULT,"} {
			if !w.postgres {
				id = strings.Replace(id, "DEFAULT", "NULL", 1)
			}
			w.must(w.w.Exec(strings.Replace(another, "VALUES (1,", id, 1)).Error)
		}
	})
}

// A schema from before the database refused it may have had its horizon spoilt: what was
// deleted since nobody knows, so the list is whole from now on.
func TestAHorizonThatWasSpoiltBeginsAtNow(t *testing.T) {
	onBoth(t, func(w *world) {
		if w.postgres {
			return // There it was always a number.
		}
		for w.version() >= 30 {
			w.must(w.MigrateDown(w.Context()))
		}
		w.must(w.w.Exec("UPDATE audit_horizon SET before_ms = 'zzz'").Error)
		w.must(w.Migrate(w.Context()))
		if page, err := w.Audit().Acts(w.Context(), audit.Filter{}); err != nil || time.Since(page.Since).Abs() > time.Hour {
			w.Errorf("%v: %v", page.Since, err)
		}
	})
}

// Acts that were dropped with their table are not said to have never been.
func TestAnAuditThatWasTakenBackIsKnownToBeNew(t *testing.T) {
	onBoth(t, func(w *world) {
		since := func() time.Time {
			page, err := w.Audit().Acts(w.Context(), audit.Filter{})
			w.must(err)
			return page.Since
		}
		if at := since(); !at.IsZero() { // The control.
			w.Errorf("a new one has forgotten what was before %v", at)
		}
		for _, to := range []int64{26, 0} {
			w.must(w.MigrateDownTo(w.Context(), to))
			w.must(w.Migrate(w.Context()))
			if at := since(); time.Since(at).Abs() > time.Hour {
				w.Errorf("after the way down to %d the list is whole since %v", to, at)
			}
			if err := w.w.Exec("UPDATE audit_horizon SET before_ms = 5").Error; err == nil {
				w.Error("what may be forgotten goes back")
			}
		}
	})
}

func TestOldActsAreForgottenAndNothingElse(t *testing.T) {
	onBoth(t, func(w *world) {
		o, start := anOwner(w, annas), w.clock.now()
		ctx := w.Context()
		n := 2*pruneAtOnce + 3 // More than one slice.
		w.must(w.w.Exec(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
			INSERT INTO audit (at_ms, role, actor, client, action, owner, account_id, changed, details)
			SELECT ?, 'user', 'x@y.test', '', 'account.tested', 'x@y.test', '', '[]', '{}' FROM n`, n,
			start.UnixMilli()).Error)
		w.clock.pass(time.Hour)
		w.must(w.Audit().Record(ctx, audit.Entry{Action: audit.UserExported, User: o}))
		count := func() (rows int) {
			w.must(w.on(w.r).row(ctx, "SELECT count(*) FROM audit").Scan(&rows))
			return rows
		}
		w.must(w.Audit().Prune(ctx, start))
		if rows := count(); rows != n+1 {
			w.Fatalf("%d rows of %d are left, and none was old", rows, n+1)
		}
		w.must(w.Audit().Prune(ctx, start.Add(time.Minute)))
		w.must(w.Audit().Prune(ctx, start)) // A longer time brings nothing back, and is no error.
		page, err := w.Audit().Acts(ctx, audit.Filter{})
		w.must(err)
		if rows := count(); rows != 1 || page.Entries[0].Action != audit.UserExported ||
			!page.Since.Equal(start.Add(time.Minute)) {
			w.Errorf("%d rows are left, since %v: %+v", rows, page.Since, page.Entries)
		}
	})
}

// With a clock that is years ahead all is old. A prune takes a day of it.
func TestAClockThatIsWrongForgetsADayAndNotAll(t *testing.T) {
	onBoth(t, func(w *world) {
		start := w.clock.now()
		for range 4 {
			w.must(w.Audit().Record(w.Context(), audit.Entry{Action: audit.SessionsEnded}))
			w.clock.pass(pruneReach / 2)
		}
		ahead := start.AddDate(20, 0, 0)
		for _, want := range []int{2, 0, 0} {
			w.must(w.Audit().Prune(w.Context(), ahead))
			page, err := w.Audit().Acts(w.Context(), audit.Filter{})
			w.must(err)
			if len(page.Entries) != want || page.Since.After(start.Add(2*pruneReach)) || page.Since.IsZero() {
				w.Errorf("%d acts are left, want %d, since %v", len(page.Entries), want, page.Since)
			}
		}
	})
}

// An edit that leaves all as it was is no act; a pause of somebody else's is, where the
// account was paused by its user before.
func TestAnEditThatChangesNothingIsNoAct(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add(annas, 1)
		before, _ := w.dump()
		update := func(change func(a *account.Account)) {
			now := w.load(a)
			change(&now)
			_, err := w.Accounts().Update(w.Context(), now, nil, false)
			w.must(err)
		}
		update(func(*account.Account) {})
		if after, _ := w.dump(); !cmp.Equal(before, after) {
			w.Error(cmp.Diff(before, after))
		}
		at := w.clock.now()
		update(func(a *account.Account) { a.Enabled, a.Pause = false, account.Pause{At: at} })
		update(func(a *account.Account) { a.Pause.Operator = true })
		update(func(*account.Account) {})
		page, err := w.Audit().Acts(w.Context(), audit.Filter{Action: audit.AccountPaused})
		w.must(err)
		if len(page.Entries) != 2 {
			w.Errorf("written down are %v", page.Entries)
		}
	})
}

func TestActsOutliveTheirUser(t *testing.T) {
	onBoth(t, func(w *world) {
		a := w.add(annas, 1)
		before, _ := w.dump()
		r, err := w.BeginRemoval(w.Context(), a.Owner, true)
		w.must(err)
		_, _, err = w.ClaimRemoval(w.Context(), a.Owner, "p", w.clock.now().Add(time.Minute))
		w.must(err)
		if ended, err := w.EndRemoval(w.Context(), r, "p"); err != nil || !ended {
			w.Fatal(ended, err)
		}
		after, _ := w.dump()
		if len(after) != len(before)+1 || !cmp.Equal(before, after[:len(before)]) || !strings.Contains(after[len(before)],
			"user.removed") {
			w.Errorf("of %v are left %v", before, after)
		}
	})
}
