package httpapi_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/diagnose"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/oauth"
	"github.com/mailbrook/mailbrook/internal/oidc"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	anna      = "anna@firma.test"
	bartek    = "bartek@firma.test"
	annaID    = "6f1d1c1e-8a0e-4d0a-9f0b-2f4f0a9f7b11"
	bobsID    = "0c4f8f7e-1111-4222-8333-944445555666"
	skippedID = "3b0e0b9c-52a4-4a0c-a2b7-0d6d4f0c9e01"
	grantID   = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	noID      = "ffffffff-ffff-4fff-8fff-ffffffffffff"

	// canary is the password that must never come out again.
	canary = "canary-kQ7!zX"
)

var secret = bytes.Repeat([]byte("k"), 32)

// world is everything behind the API, in memory. Its calls fail with fail when
// that is set.
type world struct {
	mu        sync.Mutex
	now       time.Time
	fail      error
	accounts  []account.Account
	copies    copies
	report    account.TestReport
	told      []remote.Step              // By a test, as it runs,
	pause     chan struct{}              // … each time waiting for this, if it is not nil.
	waits     func(done <-chan struct{}) // What it does then, if it is not nil.
	limits    map[string]owner.Limit
	calls     []string // What was changed, by whom.
	drafts    []account.Draft
	patches   []account.Patch
	quotaQ    insight.QuotaFilter
	change    owner.LimitChange
	defaults  map[string]owner.Limit
	accountQ  insight.AccountFilter
	links     map[string]httpapi.Link
	sessions  map[string]owner.Owner
	order     map[string]int // Of the sessions, as they were begun.
	starts    []oauth.Start
	callbacks []oauth.Callback
	panicked  any
	recording map[account.ID]httpapi.Transcript
	unready   error
	checks    []string        // Of passwords: by which client, for whom.
	browsers  []string        // Likewise: in which browser that is known.
	person    oidc.Person     // Who signs in at the identity provider.
	finished  []string        // With which code, by which issuer, in which state.
	tickets   map[string]bool // That came back from there, by name.
	returned  []string        // How each return ended: of which client, and how.
	auditQ    audit.Filter
	padding   int   // KiB in an export.
	broken    error // With what it ends then.
	userIDs   map[owner.Owner]string
	// The browsers that are known, and until when the last of them.
	remembered map[string]owner.Owner
	until      time.Time
	linked     func()               // What happens as a link is saved; nil: nothing.
	answers    map[string][2]string // By user and name: what was asked and answered.
}

func anOwner(t testing.TB, s string) owner.Owner {
	t.Helper()
	o, err := owner.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func newWorld(t testing.TB) *world {
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	mk := func(o, id, name string) account.Account {
		return account.Account{
			ID: account.ID(id), Owner: anOwner(t, o), Email: name + "@gmail.com", Name: name, SenderName: "Someone",
			Provider: "google", Protocol: remote.IMAP,
			Server: remote.Server{Host: "imap.gmail.com", Port: 993, Security: remote.TLS}, Username: name + "@gmail.com",
			Auth:   remote.Password,
			Folder: name, MaxMessageBytes: 50 << 20, PollInterval: 5 * time.Minute, Enabled: true, CreatedAt: now.Add(
				123456 * time.Nanosecond), UpdatedAt: now, Journal: "j", SettingsEpoch: 1,
			Status: account.Status{State: account.NeedsAttention, LastAttemptAt: now, Failures: 3, Diagnosis: &account.Diagnosis{
				Code: fault.AppPasswordRequired, Since: now,
			}},
		}
	}
	return &world{
		now: now, person: oidc.Person{Owner: anOwner(t, anna)}, copies: newCopies(t, now),
		accounts: []account.Account{mk(anna, annaID, "Gmail"), mk(bartek, bobsID, "Poczta")},
		defaults: map[string]owner.Limit{},
		limits:   map[string]owner.Limit{}, answers: map[string][2]string{}, links: map[string]httpapi.Link{"followme": {
			Owner:    anOwner(t, anna),
			ReturnTo: "/accounts/new",
		}}, sessions: map[string]owner.Owner{}, remembered: map[string]owner.Owner{}, order: map[string]int{},
		tickets: map[string]bool{},
		report: account.TestReport{OK: true, Steps: []remote.Step{{
			Name: remote.StepResolve, OK: true,
			Took: 3 * time.Millisecond, Detail: words.Detail{words.Say("%d addresses", 2)},
		}}, Folders: []string{"INBOX"}, Messages: 7},
	}
}

func (w *world) did(o owner.Owner, what string) {
	w.calls = append(w.calls, o.String()+" "+what)
}

func (w *world) enter() (func(), error) {
	w.mu.Lock()
	if w.panicked != nil {
		v := w.panicked
		w.mu.Unlock()
		panic(v)
	}
	return w.mu.Unlock, w.fail
}

func (w *world) List(_ context.Context, o owner.Owner) ([]account.Account, error) {
	done, err := w.enter()
	defer done()
	var out []account.Account
	for _, a := range w.accounts {
		if a.Owner == o {
			out = append(out, a)
		}
	}
	return out, err
}

// looks is a watch of a world's accounts.
type looks struct {
	*world
	seen map[owner.Owner]string // What each user was shown last.
}

func (l *looks) Changes(_ context.Context, users, again []owner.Owner) (map[owner.Owner][]account.Account, error) {
	done, err := l.enter()
	defer done()
	if err != nil {
		return nil, err
	}
	news, seen := map[owner.Owner][]account.Account{}, map[owner.Owner]string{}
	for _, o := range users {
		var all []account.Account
		state := ""
		for _, a := range l.accounts {
			if a.Owner == o {
				all = append(all, a)
				state += fmt.Sprintf("%+v %+v %+v\n", a, a.Status.Diagnosis, a.Status.Delay)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(l.sessions)) {
			if l.sessions[name] == o {
				state += name + "\n"
			}
		}
		before, asked := l.seen[o]
		if seen[o] = state; !asked || before != state || slices.Contains(again, o) {
			news[o] = all
		}
	}
	l.seen = seen
	return news, nil
}

func (w *world) Get(_ context.Context, o owner.Owner, id account.ID) (account.Account, error) {
	done, err := w.enter()
	defer done()
	return w.get(o, id, err)
}

func (w *world) get(o owner.Owner, id account.ID, err error) (account.Account, error) {
	for _, a := range w.accounts {
		if a.Owner == o && a.ID == id {
			return a, err
		}
	}
	return account.Account{}, account.ErrNotFound
}

func (w *world) Create(_ context.Context, o owner.Owner, d account.Draft) (account.Account, error) {
	done, err := w.enter()
	defer done()
	w.drafts = append(w.drafts, d)
	if err != nil {
		return account.Account{}, err
	}
	w.did(o, "create")
	return w.accounts[0], nil
}

func (w *world) Update(_ context.Context, o owner.Owner, id account.ID, p account.Patch) (account.Account, error) {
	done, err := w.enter()
	defer done()
	a, err2 := w.get(o, id, nil)
	if err2 != nil {
		return a, err2
	}
	w.patches = append(w.patches, p)
	if err == nil {
		err = p.Match.Check(a.Version())
	}
	if err == nil {
		w.did(o, "update "+string(id))
	}
	return a, err
}

func (w *world) Delete(_ context.Context, o owner.Owner, id account.ID, keep bool, m account.Match) error {
	done, err := w.enter()
	defer done()
	a, err2 := w.get(o, id, nil)
	if err2 != nil {
		return err2
	}
	if err == nil {
		err = m.Check(a.Version())
	}
	if err == nil {
		w.did(o, "delete "+string(id)+map[bool]string{true: " keep", false: " mail"}[keep])
	}
	return err
}

func (w *world) Test(ctx context.Context, _ owner.Owner, d account.Draft) (account.TestReport, error) {
	for _, s := range w.told {
		remote.TellStep(ctx, s)
		if w.pause != nil {
			<-w.pause
		}
	}
	if w.waits != nil {
		w.waits(ctx.Done())
	}
	done, err := w.enter()
	defer done()
	w.drafts = append(w.drafts, d)
	return w.report, err
}

func (w *world) TestExisting(_ context.Context, o owner.Owner, id account.ID,
	p account.Patch,
) (account.TestReport, error) {
	done, err := w.enter()
	defer done()
	w.patches = append(w.patches, p)
	_, err = w.get(o, id, err)
	return w.report, err
}

func (w *world) FetchNow(_ context.Context, o owner.Owner, id account.ID) error {
	done, err := w.enter()
	defer done()
	if _, err := w.get(o, id, nil); err != nil {
		return err
	}
	if err == nil {
		w.did(o, "fetch "+string(id))
	}
	return err
}

func (w *world) FolderTree(_ context.Context, o owner.Owner, id account.ID) ([]account.FolderInfo, error) {
	done, err := w.enter()
	defer done()
	_, err = w.get(o, id, err)
	return []account.FolderInfo{
		{RemoteName: "INBOX", LocalName: "Gmail", Selected: true, Messages: 5, Fetched: 5},
		{RemoteName: "Spam", LocalName: "Gmail/Spam", SpecialUse: `\Junk`},
	}, err
}

func (w *world) Runs(_ context.Context, o owner.Owner, id account.ID, limit int) ([]account.Run, error) {
	done, err := w.enter()
	defer done()
	_, err = w.get(o, id, err)
	runs := []account.Run{{ID: "2", StartedAt: w.now}, {
		ID: "1", StartedAt: w.now, FinishedAt: w.now,
		Diagnosis: &account.Diagnosis{Code: fault.AuthFailed, Detail: words.Detail{words.Say("no")}, Since: w.now},
	}}
	return runs[:min(limit, 2)], err
}

func (w *world) skipped() account.Skipped {
	return account.Skipped{
		SID: skippedID, Folder: "INBOX", LocalFolder: "Gmail", Message: "UID 7", Size: 70 << 20,
		Code: fault.MessageFailed, Detail: words.Detail{words.Say("large")}, Attempts: 1, FirstAt: w.now, LastAt: w.now,
		Sender: "Anna Nowak", Subject: "Zdjęcia", SentAt: w.now,
	}
}

func (w *world) Skipped(_ context.Context, o owner.Owner, id account.ID, limit int,
	cursor string,
) (account.SkippedPage, error) {
	done, err := w.enter()
	defer done()
	_, err = w.get(o, id, err)
	w.did(o, fmt.Sprintf("skipped %d %q", limit, cursor))
	return account.SkippedPage{Messages: []account.Skipped{w.skipped()}, Next: "abc", Total: 2}, err
}

func (w *world) RetrySkipped(_ context.Context, o owner.Owner, id account.ID, sid string) (account.Skipped, error) {
	done, err := w.enter()
	defer done()
	if _, err := w.get(o, id, err); err != nil || sid != skippedID {
		return account.Skipped{}, cmp.Or(err, account.ErrNotFound)
	}
	w.did(o, "retry "+sid)
	m := w.skipped()
	m.NextAt = w.now
	return m, nil
}

func (w *world) RetryAllSkipped(_ context.Context, o owner.Owner, id account.ID) (int, error) {
	done, err := w.enter()
	defer done()
	if _, err = w.get(o, id, err); err != nil {
		return 0, err
	}
	w.did(o, "retry all")
	return 2, nil
}

func (w *world) Discover(_ context.Context, _ owner.Owner, email string) (account.Suggestion, error) {
	done, err := w.enter()
	defer done()
	if errors.Is(err, failedTest) {
		err = nil // That is how Create fails; looking up presets does not.
	}
	if strings.HasSuffix(email, "@unknown.test") {
		return account.Suggestion{Source: "none", Name: "unknown.test", Folder: "unknown_test", DidYouMean: "known.test"}, err
	}
	return account.Suggestion{
		Source: "preset", Provider: "google", Name: "Google", Folder: "Google",
		Username: email,
		Servers: map[remote.Protocol]remote.Server{remote.IMAP: {
			Host: "imap.gmail.com", Port: 993,
			Security: remote.TLS,
		}},
	}, err
}

func (w *world) MaxPerUser() int { return 4 }

func (w *world) Quota(_ context.Context, o owner.Owner) (owner.Quota, error) {
	done, err := w.enter()
	defer done()
	return w.quota(o), err
}

func (w *world) quota(o owner.Owner) owner.Quota {
	l, set := w.limits[o.String()]
	by := owner.LimitByMailbrook
	if !set {
		by = ""
	}
	return owner.Quota{
		Owner: o, UsedBytes: 95, UsedMessages: 2, LimitBytes: l.Bytes, LimitMessages: l.Messages, Set: l, SetBy: by,
		Accounts: []owner.AccountUsage{{ID: annaID, Name: "Gmail", Bytes: 90, Messages: 1}},
	}
}

func (w *world) SetLimit(_ context.Context, o owner.Owner, l owner.Limit, m account.Match) (owner.Quota, error) {
	done, err := w.enter()
	defer done()
	if err == nil {
		err = m.Check(w.quota(o).Version())
	}
	if err == nil {
		w.limits[o.String()] = l
		w.did(o, "limit")
	}
	return w.quota(o), err
}

func (w *world) ClearLimit(_ context.Context, o owner.Owner, m account.Match) (owner.Quota, error) {
	done, err := w.enter()
	defer done()
	if err == nil {
		err = m.Check(w.quota(o).Version())
	}
	if err == nil {
		delete(w.limits, o.String())
		w.did(o, "limit taken back")
	}
	return w.quota(o), err
}

// admins is the Admin of a world; its Quotas has another form than the world's own.
type admins struct{ *world }

func (a admins) Quotas(_ context.Context, q insight.QuotaFilter) ([]owner.Quota, string, error) {
	done, err := a.enter()
	defer done()
	a.quotaQ = q
	if q.Cursor == "forged" {
		return nil, "", httpapi.ErrCursor
	}
	return []owner.Quota{a.quota(a.accounts[0].Owner)}, "abc", err
}

func (a admins) CountQuotas(_ context.Context, f insight.QuotaFilter) (int64, error) {
	done, err := a.enter()
	defer done()
	a.quotaQ = f
	return 1234, err
}

func (a admins) ChangeLimits(_ context.Context, f insight.QuotaFilter, c owner.LimitChange,
	after string,
) (insight.LimitStep, error) {
	done, err := a.enter()
	defer done()
	a.quotaQ, a.change = f, c
	a.quotaQ.Cursor = after
	step := insight.LimitStep{Matching: 500, Changed: 400}
	if after == "" {
		step.Next = bartek
	}
	return step, err
}

func (a admins) DefaultLimits(_ context.Context, after string, limit int) ([]insight.DefaultLimit, string, error) {
	done, err := a.enter()
	defer done()
	var page []insight.DefaultLimit
	for _, d := range slices.Sorted(maps.Keys(a.defaults)) {
		if d > after {
			page = append(page, insight.DefaultLimit{Domain: d, Limit: a.defaults[d]})
		}
	}
	if len(page) > limit {
		return page[:limit], page[limit-1].Domain, err
	}
	return page, "", err
}

func (a admins) SetDefaultLimit(_ context.Context, domain string, l *owner.Limit) error {
	done, err := a.enter()
	defer done()
	if err != nil {
		return err
	}
	if delete(a.defaults, domain); l != nil {
		a.defaults[domain] = *l
	}
	return nil
}

func (a admins) QuotaSummary(context.Context) (insight.QuotaSummary, error) {
	done, err := a.enter()
	defer done()
	return insight.QuotaSummary{Unlimited: 7, Bands: [insight.QuotaBands]int64{0: 5, 9: 3, 10: 2}}, err
}

func (a admins) Accounts(_ context.Context, q insight.AccountFilter) ([]account.Account, string, error) {
	done, err := a.enter()
	defer done()
	a.accountQ = q
	return a.accounts, "", err
}

func (a admins) Stats(context.Context) (insight.Stats, error) {
	done, err := a.enter()
	defer done()
	return insight.Stats{
		Accounts: map[account.State]int64{account.OK: 3, account.Retrying: 1}, LastHour: insight.Activity{
			Polls: 12, Failed: 1,
			Messages: 40, Bytes: 1 << 20,
		}, Lag: 1500 * time.Millisecond, Due: 2,
		LastDay: insight.Activity{Polls: 100, Failed: 3, Failures: map[fault.Code]int64{
			fault.AuthFailed: 2,
			fault.DNSFailure: 1, fault.Internal: 0,
		}},
		Failing: map[fault.Code]int64{fault.AuthFailed: 1, fault.DNSFailure: 0},
	}, err
}

func (a admins) Account(_ context.Context, id account.ID) (account.Account, error) {
	done, err := a.enter()
	defer done()
	for _, x := range a.accounts {
		if x.ID == id {
			return x, err
		}
	}
	return account.Account{}, account.ErrNotFound
}

func (a admins) Hosts(_ context.Context, limit int) ([]insight.HostHealth, error) {
	done, err := a.enter()
	defer done()
	return []insight.HostHealth{{
		Host: "imap.gmail.com", Port: 993, Accounts: 9, Affected: 4, Failing: 3, Others: 1, Down: true,
		States: map[account.State]int64{
			account.OK:             6,
			account.NeedsAttention: 3,
		},
		Failures: map[fault.Code]int64{fault.ConnectTimeout: 1, fault.ServerUnavailable: 2}, Overdue: 90 * time.Second,
	}}[:min(limit, 1)], err
}

// links are a world's, and work once.
type links struct{ *world }

func (l links) Save(_ context.Context, token string, x httpapi.Link) error {
	done, err := l.enter()
	defer done()
	if err == nil {
		l.links[token] = x
	}
	if l.linked != nil {
		l.linked()
	}
	return err
}

func (l links) Look(_ context.Context, token string) (httpapi.Link, error) {
	done, err := l.enter()
	defer done()
	x, ok := l.links[token]
	if !ok {
		return x, cmp.Or(err, account.ErrNotFound)
	}
	return x, err
}

func (l links) Exchange(_ context.Context, token, session string, _ time.Time) (httpapi.Link, error) {
	done, err := l.enter()
	defer done()
	if err != nil {
		return httpapi.Link{}, err
	}
	x, ok := l.links[token]
	if !ok {
		return x, account.ErrNotFound
	}
	delete(l.links, token)
	l.sessions[session], l.order[session] = x.Owner, len(l.order)
	return x, nil
}

// signedInOnes are a world's sessions.
type signedInOnes struct{ *world }

func (s signedInOnes) Alive(_ context.Context, name string) (bool, error) {
	done, err := s.enter()
	defer done()
	_, ok := s.sessions[name]
	return ok, err
}

func (s signedInOnes) Ended(_ context.Context, names []string) (over []string, err error) {
	done, err := s.enter()
	defer done()
	for _, name := range names {
		if _, ok := s.sessions[name]; !ok {
			over = append(over, name)
		}
	}
	return over, err
}

func (s signedInOnes) End(_ context.Context, name string) error {
	done, err := s.enter()
	defer done()
	if err == nil {
		delete(s.sessions, name)
	}
	return err
}

func (s signedInOnes) EndAll(_ context.Context, o owner.Owner) (n int64, err error) {
	done, err := s.enter()
	defer done()
	for name, of := range s.sessions {
		if err == nil && (o.IsZero() || of == o) {
			delete(s.sessions, name)
			n++
		}
	}
	maps.DeleteFunc(s.remembered, func(_ string, of owner.Owner) bool { return err == nil && (o.IsZero() || of == o) })
	return n, err
}

// known are a world's browsers.
type known struct{ *world }

func (k known) Knows(_ context.Context, name string, o owner.Owner) (bool, error) {
	done, err := k.enter()
	defer done()
	return k.remembered[name] == o, err
}

func (k known) Remember(_ context.Context, name string, o owner.Owner, until time.Time) error {
	done, err := k.enter()
	defer done()
	k.remembered[name], k.until = o, until
	return err
}

// signIns are at a provider of a world's, which lets everybody in.
type signIns struct{ *world }

func (s signIns) Begin(_ context.Context, st oauth.Start) (string, time.Time, error) {
	done, err := s.enter()
	defer done()
	s.starts = append(s.starts, st)
	return "https://provider.test/authorize?state=x", s.now.Add(10 * time.Minute), err
}

func (s signIns) Finish(_ context.Context, c oauth.Callback) (oauth.Finished, error) {
	done, err := s.enter()
	defer done()
	s.callbacks = append(s.callbacks, c)
	return oauth.Finished{Grant: grantID, Account: annaID}, err
}

func (s signIns) Grant(_ context.Context, o owner.Owner, id string) (account.Grant, error) {
	done, err := s.enter()
	defer done()
	if err == nil && (id != grantID || o.String() != anna) {
		err = account.ErrNotFound
	}
	return account.Grant{
		Provider: "google", Name: "Google", Presets: []string{"google"}, Email: "anna@gmail.com", Access: remote.NewSecret(
			canary), Lasting: remote.NewSecret(canary), Expires: s.now,
	}, err
}

// passwords knows anna's.
type passwords struct{ *world }

var errNoServer = errors.New("no answer from imap.inner.test")

func (p passwords) Check(_ context.Context, c httpapi.Client, user owner.Owner, password remote.Secret) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checks, p.browsers = append(p.checks, c.Addr.String()+" "+user.String()), append(p.browsers, c.Browser)
	var held *remote.HeldBackError
	switch {
	case errors.As(p.fail, &held), errors.Is(p.fail, errNoServer):
		return p.fail
	case user.String() != anna || password.Reveal() != canary:
		return fmt.Errorf("%w: NO", account.ErrRefused)
	}
	return nil
}

// identityProvider lets in whoever the test says.
type identityProvider struct{ *world }

func (i identityProvider) Begin(_ context.Context, f oidc.Flow) (string, error) {
	done, err := i.enter()
	defer done()
	return "https://login.test/authorize?state=" + f.State, err
}

func (identityProvider) Close() {}

func (i identityProvider) Finish(_ context.Context, f oidc.Flow, code string, from *string) (oidc.Person, error) {
	done, err := i.enter()
	defer done()
	i.finished = append(i.finished, code+" "+said(from)+" "+f.State)
	return i.person, err
}

// returns are those from a world's identity provider. Of what fails there they only say
// who is held back.
type returns struct{ *world }

func (r returns) AdmitReturn(_ context.Context, client netip.Addr) (func(remote.SignIn), error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var held *remote.HeldBackError
	if errors.As(r.fail, &held) {
		return nil, fmt.Errorf("counting: %w", held)
	}
	return func(how remote.SignIn) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.returned = append(r.returned, fmt.Sprintf("%s %d", client, how))
	}, nil
}

func (r returns) ClaimPending(_ context.Context, name string, _ owner.Owner, _ time.Time) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if errors.Is(r.fail, errNoDatabase) {
		return false, r.fail
	}
	first := !r.tickets[name]
	r.tickets[name] = true
	return first, nil
}

var errNoDatabase = fmt.Errorf("using a ticket: %w", account.ErrUnavailable)

// said is a parameter; "" where there is none.
func said(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

type presets struct{}

func (presets) Providers(lang words.Language) []provider.Shown {
	text := words.Phrase{En: "Make an app password.", Pl: "Utwórz hasło aplikacji."}.In(lang)
	return []provider.Shown{
		{
			ID: "google", Name: "Google", Domains: []string{"gmail.com"}, Auth: []provider.Auth{"app_password", "oauth2"},
			Help: provider.Guide{Text: text, URL: "https://support.google.com/mail"},
			Servers: map[remote.Protocol]remote.Server{remote.IMAP: {
				Host: "imap.gmail.com", Port: 993,
				Security: remote.TLS,
			}, remote.POP3: {Host: "pop.gmail.com", Port: 995, Security: remote.TLS}},
		},
		{ID: "other", Name: "Other"},
	}
}

// speaker is an Explainer that says what it is asked.
type speaker struct{ to string }

func (s speaker) Explain(code fault.Code, a account.Account, lang words.Language) (string, string) {
	return s.to + string(lang) + " title of " + string(code), strings.TrimSpace(fmt.Sprintf("%s advice at %s %s %s %s",
		lang, a.Provider, a.Protocol, a.Server.Host, a.Email))
}

func (s speaker) ExplainDelay(a account.Account, lang words.Language) diagnose.Delay {
	kind := string(a.Status.Delay.Kind)
	in := string(lang)
	d := diagnose.Delay{
		Title: s.to + in + " " + kind, Evidence: in + " evidence at " + a.Server.Host, Advice: in + " advice",
	}
	if a.Status.Delay.Kind == account.DelayBackoff {
		d.Help = "fetch"
	}
	return d
}

// fixture is a world with its API before it.
type fixture struct {
	*world
	t     testing.TB
	h     http.Handler
	close func()
	keys  httpapi.Keys
	log   *bytes.Buffer
	mu    sync.Mutex
	seen  bytes.Buffer // Every answer, for the canary.
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// recordings are the transcripts of a world.
// people are the operator's users.
type people struct{ *world }

func (p people) Remove(_ context.Context, o owner.Owner, deleteMail bool, by owner.Owner) error {
	done, err := p.enter()
	defer done()
	if err == nil {
		p.did(by, fmt.Sprintf("remove %s mail=%t", o, deleteMail))
	}
	return err
}

// Set and Forget implement httpapi.MailboxLogins.
func (p people) Set(_ context.Context, o owner.Owner, username string, password remote.Secret) error {
	done, err := p.enter()
	defer done()
	if err == nil {
		p.did(o, fmt.Sprintf("sign in as %s with %d letters", username, len(password.Reveal())))
	}
	return err
}

func (p people) Forget(_ context.Context, o owner.Owner) error {
	done, err := p.enter()
	defer done()
	if err == nil {
		p.did(o, "forget the login")
	}
	return err
}

func (p people) Recognise(_ context.Context, o owner.Owner, id owner.UserID) error {
	done, err := p.enter()
	defer done()
	if before := p.userIDs[o]; err == nil && before != "" && !id.Is(before) {
		err = httpapi.ErrFormerUser
	}
	return err
}

// repeated keeps answers for ever.
type repeated struct{ *world }

func (r repeated) Once(_ context.Context, o owner.Owner, name string, request []byte,
	do func(string) ([]byte, error),
) ([]byte, error) {
	key := o.String() + name
	done, err := r.enter()
	before, known := r.answers[key]
	done()
	switch {
	case err != nil:
		return nil, err
	case known && before[0] != string(request):
		return nil, httpapi.ErrKeyReused
	case known:
		return []byte(before[1]), nil
	}
	answer, err := do(noID)
	if err != nil {
		return nil, err
	}
	done, err = r.enter()
	defer done()
	r.answers[key] = [2]string{string(request), string(answer)}
	return answer, err
}

type recordings struct{ w *world }

func (r recordings) Status(id account.ID) (httpapi.Transcript, error) {
	return r.w.recording[id], r.w.fail
}

func (r recordings) SwitchOn(id account.ID) (httpapi.Transcript, error) {
	r.w.recording = map[account.ID]httpapi.Transcript{id: {Until: time.Now().Add(time.Hour), Bytes: 7}}
	return r.w.recording[id], r.w.fail
}

func (r recordings) SwitchOff(id account.ID) error {
	delete(r.w.recording, id)
	return r.w.fail
}

func (r recordings) Read(id account.ID) (string, error) {
	if r.w.recording[id].Bytes == 0 {
		return "", account.ErrNotFound
	}
	return "C: NOOP", r.w.fail
}

func newFixture(t testing.TB, change ...func(*httpapi.Options)) *fixture {
	t.Helper()
	f := &fixture{world: newWorld(t), t: t, log: &bytes.Buffer{}, keys: httpapi.Keys{Secret: secret}}
	over := make(chan struct{}) // A stream tells what there is, and ends.
	close(over)
	tokens, err := httpapi.NewVerifier(f.keys)
	if err != nil {
		t.Fatal(err)
	}
	o := httpapi.Options{
		Accounts: f.world, Watcher: &looks{world: f.world}, Quotas: f.world, Admin: admins{f.world},
		Copies:    copier{f.world},
		Providers: presets{}, OAuth: signIns{f.world},
		Users: people{f.world}, MailboxLogins: people{f.world}, Repeats: repeated{f.world},
		Transcripts: recordings{f.world}, Audit: acts{f.world},
		Tokens: tokens, Explain: speaker{}, ExplainAdmin: speaker{to: "admin "},
		Version: "test", Stopping: over,
		Ready: []httpapi.Check{{Name: "database", Run: func(context.Context) error {
			return f.unready
		}}, {Name: "mailbox", Run: func(context.Context) error { return nil }}},
		Web: httpapi.Web{
			Secret: secret, PublicURL: "http://mail.firma.test", Links: links{f.world}, Sessions: signedInOnes{f.world},
			Browsers: known{f.world},
			SignIn: httpapi.SignIn{
				Passwords: passwords{f.world}, Issuer: identityProvider{f.world}, Returns: returns{f.world},
				Tickets: returns{f.world},
			},
		},
		Log: slog.New(slog.NewJSONHandler(&lockedWriter{w: f.log}, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&o)
	}
	h, err := httpapi.New(o)
	if err != nil {
		t.Fatal(err)
	}
	f.h, f.close = h, h.Close
	return f
}

func (f *fixture) token(user string, admin bool) string {
	f.t.Helper()
	token, err := f.keys.Sign(anOwner(f.t, user), admin, time.Hour)
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

// request is one to be made; the zero As is nobody.
type request struct {
	Method, Path, Body string
	Peer               string // "": httptest's.
	As                 string
	Admin              bool
	Header             map[string]string
}

func (f *fixture) do(r request) *httptest.ResponseRecorder {
	f.t.Helper()
	var body io.Reader = http.NoBody
	if r.Body != "" {
		body = strings.NewReader(r.Body)
	}
	req := httptest.NewRequest(r.Method, r.Path, body)
	req.RemoteAddr = cmp.Or(r.Peer, req.RemoteAddr)
	if r.Body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.As != "" {
		req.Header.Set("Authorization", "Bearer "+f.token(r.As, r.Admin))
	}
	for k, v := range r.Header {
		if v == "" {
			req.Header.Del(k)
			continue
		}
		req.Header.Set(k, v)
	}
	rec := httptest.NewRecorder()
	f.h.ServeHTTP(rec, req)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen.Write(rec.Body.Bytes())
	for k, vs := range rec.Header() {
		f.seen.WriteString(k + strings.Join(vs, " "))
	}
	return rec
}
