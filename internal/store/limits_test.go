package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/owner"
)

func bytesOf(n int64) owner.Limit { return owner.Limit{Bytes: &n} }

// counts returns a user's limit and whose it is: by the quota, by the list, by what
// deliveries go by; all three say the same.
func (w *world) counts(user string) string {
	w.Helper()
	o := anOwner(w, user)
	tell := func(l owner.Limit, by owner.LimitSource) string {
		if l.Bytes == nil {
			return fmt.Sprintf("none %s", by)
		}
		return fmt.Sprintf("%d %s", *l.Bytes, by)
	}
	q, err := w.Quota(w.Context(), o)
	w.must(err)
	got := tell(owner.Limit{Bytes: q.LimitBytes}, q.SetBy)
	page, _, err := w.Admin().Quotas(w.Context(), insight.QuotaFilter{Match: user})
	w.must(err)
	for _, listed := range page {
		if in := tell(owner.Limit{Bytes: listed.LimitBytes}, listed.SetBy); in != got {
			w.Errorf("%s: %q in the list and %q", user, in, got)
		}
	}
	l, err := w.Journal().Limit(w.Context(), o)
	w.must(err)
	if in := tell(l, q.SetBy); in != got {
		w.Errorf("%s: deliveries go by %q, the quota is %q", user, in, got)
	}
	return got
}

// The user's own limit goes before the domain's, and that before everybody's; what
// is taken back gives way to the next. No limit at all can be the user's own, too.
func TestAUsersLimitGoesBeforeTheDomainsAndThatBeforeEverybodys(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		w.add("anna@firma.test", 1)
		w.add("ola@inna.test", 2)
		check := func(when, anna, ola string) {
			w.Helper()
			w.must(w.SpreadLimits(ctx))
			if a, o := w.counts("anna@firma.test"), w.counts("ola@inna.test"); a != anna || o != ola {
				w.Errorf("%s: %q and %q, want %q and %q", when, a, o, anna, ola)
			}
		}
		set := func(domain string, n int64) { w.must(w.Admin().SetDefaultLimit(ctx, domain, ptrTo(bytesOf(n)))) }
		o := anOwner(w, "anna@firma.test")
		check("at first", "none ", "none ")
		set(owner.EveryDomain, 10)
		check("for everybody", "10 installation", "10 installation")
		set("firma.test", 20)
		check("for a domain", "20 domain", "10 installation")
		w.must(w.SetLimits(ctx, o, bytesOf(30), nil))
		check("for a user", "30 mailbrook", "10 installation")
		set("firma.test", 25)
		set(owner.EveryDomain, 11)
		check("defaults change", "30 mailbrook", "11 installation")
		w.must(w.SetLimits(ctx, o, owner.Limit{}, nil))
		check("none for a user", "none mailbrook", "11 installation")
		w.must(w.ClearLimits(ctx, o, nil))
		check("taken back", "25 domain", "11 installation")
		w.must(w.Admin().SetDefaultLimit(ctx, "firma.test", nil))
		check("the domain's taken back", "11 installation", "11 installation")
		w.must(w.Admin().SetDefaultLimit(ctx, owner.EveryDomain, nil))
		w.must(w.Admin().SetDefaultLimit(ctx, owner.EveryDomain, nil)) // Repeatable.
		check("all taken back", "none ", "none ")
	})
}

// Who comes after the default was set has it from the first account on, and so has
// somebody of whom nothing is known; a domain that only ends like it has not.
func TestWhoComesLaterHasTheDefault(t *testing.T) {
	onBoth(t, func(w *world) {
		w.must(w.Admin().SetDefaultLimit(w.Context(), "firma.test", ptrTo(bytesOf(0))))
		w.must(w.SpreadLimits(w.Context()))
		w.add("anna@firma.test", 1)
		w.add("jan@mafirma.test", 2)
		w.add("jan@firma.test.pl", 3)
		for user, want := range map[string]string{
			"anna@firma.test": "0 domain", "never@firma.test": "0 domain", "jan@mafirma.test": "none ",
			"jan@firma.test.pl": "none ",
		} {
			if got := w.counts(user); got != want {
				w.Errorf("%s: %q, want %q", user, got, want)
			}
		}
		if got := w.quotaPages(insight.QuotaFilter{State: owner.QuotaOver, Limit: 5}); !cmp.Equal(got, []string{"anna"}) {
			w.Errorf("over are %q", got) // A limit of 0 is full at once.
		}
		if got := w.quotaPages(insight.QuotaFilter{Domain: "FIRMA.test", Limit: 5}); !cmp.Equal(got, []string{"anna"}) {
			w.Errorf("of the domain are %q", got)
		}
		w.must(w.SaveUsage(w.Context(), anOwner(w, "anna@firma.test"), 5, 1, owner.Limit{}, nil))
		if got := w.counts("anna@firma.test"); got != "0 domain" {
			w.Errorf("after measuring: %q", got)
		}
	})
}

// A default counts for deliveries before the lists have followed, and a spreading
// that was broken off is finished by the next.
func TestADefaultCountsAtOnceAndSpreadingIsFinished(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		w.many("u%04d@firma.test", limitsAtOnce+7)
		w.must(w.Admin().SetDefaultLimit(ctx, "firma.test", ptrTo(bytesOf(20))))
		o := anOwner(w, "u0000@firma.test")
		if l, err := w.Journal().Limit(ctx, o); err != nil || l.Bytes == nil || *l.Bytes != 20 {
			w.Errorf("before it is spread: %+v, %v", l, err)
		}
		broken, cancel := context.WithCancel(ctx)
		cancel()
		if err := w.SpreadLimits(broken); !errors.Is(err, context.Canceled) {
			w.Errorf("broken off: %v", err)
		}
		inList := func() (n int) {
			for c := ""; ; {
				page, next, err := w.Admin().Quotas(ctx, insight.QuotaFilter{Limit: 500, Cursor: c})
				w.must(err)
				for _, q := range page {
					if q.LimitBytes != nil && *q.LimitBytes == 20 {
						n++
					}
				}
				if c = next; c == "" {
					return n
				}
			}
		}
		if n := inList(); n != 0 {
			w.Errorf("%d lists follow although nothing was spread", n) // The control.
		}
		w.must(w.another().SpreadLimits(ctx))
		if n := inList(); n != limitsAtOnce+7 {
			w.Errorf("%d users have it in the lists", n)
		}
		if left := w.table("SELECT domain FROM default_limits_changed"); len(left) != 0 {
			w.Errorf("still to be spread: %v", left)
		}
	})
}

// Several processes spread at once, while mailboxes are measured and the default
// changes once more: in the end everybody has the last one.
func TestSpreadingAtOnceDoesNoHarm(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx, n := w.Context(), 60
		w.many("u%04d@firma.test", n)
		w.must(w.Admin().SetDefaultLimit(ctx, "firma.test", ptrTo(bytesOf(20))))
		other := w.another()
		var g errgroup.Group
		for _, s := range []*Store{w.Store, other} {
			g.Go(func() error { return s.SpreadLimits(ctx) })
		}
		g.Go(func() error {
			for i := range n {
				o, err := owner.Parse(fmt.Sprintf("u%04d@firma.test", i))
				if err == nil {
					err = other.SaveUsage(ctx, o, int64(i), 1, owner.Limit{}, nil)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		g.Go(func() error {
			if err := w.Admin().SetDefaultLimit(ctx, "firma.test", ptrTo(bytesOf(30))); err != nil {
				return err
			}
			return w.SpreadLimits(ctx)
		})
		w.must(g.Wait())
		w.must(w.SpreadLimits(ctx))
		if got := w.table("SELECT DISTINCT limit_bytes, set_by FROM owners"); !cmp.Equal(got, []string{"30|2|"}) {
			w.Errorf("the users have %q", got)
		}
	})
}

// many puts users into the database.
func (w *world) many(format string, n int) {
	w.Helper()
	values := make([]string, n)
	for i := range values {
		values[i] = "('" + fmt.Sprintf(format, i) + "', 1)"
	}
	_, err := w.on(w.w).exec(w.Context(), "INSERT INTO owners (owner, used_ms) VALUES "+strings.Join(values, ", "))
	w.must(err)
}

func ptrTo[T any](v T) *T { return &v }

// Step by step every user that the filter chooses gets the limit, each once, also
// when it leaves the filter by that; nobody else does; the other limit stays.
func TestTheLimitsOfAllWhomAFilterChoosesAreSetStepByStep(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx := w.Context()
		n := limitsAtOnce + 30
		w.many("u%04d@firma.test", n)
		w.many("other%d@inna.test", 3)
		one, far := anOwner(w, "u0001@firma.test"), anOwner(w, "zoe@firma.test")
		w.must(w.SetLimits(ctx, one, owner.Limit{Bytes: ptrTo(int64(5)), Messages: ptrTo(int64(7))}, nil))
		w.must(w.SetLimits(ctx, far, owner.Limit{Bytes: ptrTo(int64(0))}, nil))
		filter := insight.QuotaFilter{Domain: "firma.test"}
		run := func(f insight.QuotaFilter, c owner.LimitChange) (matching, changed int64, steps int) {
			w.Helper()
			for after := ""; ; {
				step, err := w.Admin().ChangeLimits(ctx, f, c, after)
				w.must(err)
				if step.Matching > limitsAtOnce {
					w.Fatalf("%d in one transaction", step.Matching)
				}
				matching, changed, steps = matching+step.Matching, changed+step.Changed, steps+1
				if after = step.Next; after == "" {
					return matching, changed, steps
				}
			}
		}
		counted, err := w.Admin().CountQuotas(ctx, filter)
		w.must(err)
		set := owner.LimitChange{Limit: bytesOf(40), KeepMessages: true}
		matching, changed, steps := run(filter, set)
		if counted != int64(n+1) || matching != counted || changed != counted || steps != 2 {
			w.Errorf("%d counted, %d matched, %d changed in %d steps", counted, matching, changed, steps)
		}
		if _, changed, _ := run(filter, set); changed != 0 {
			w.Errorf("once more: %d changed", changed)
		}
		if q, err := w.Quota(ctx, one); err != nil || *q.LimitBytes != 40 || *q.LimitMessages != 7 {
			w.Errorf("the other limit: %+v, %v", q, err)
		}
		for user, want := range map[string]string{
			"u0500@firma.test": "40 mailbrook", "zoe@firma.test": "40 mailbrook", "other1@inna.test": "none ",
		} {
			if got := w.counts(user); got != want {
				w.Errorf("%s: %q, want %q", user, got, want)
			}
		}
		// By state: who is full gets room, and is not full any more.
		w.must(w.SaveUsage(ctx, far, 40, 1, owner.Limit{}, nil))
		over := insight.QuotaFilter{State: owner.QuotaOver}
		if matching, changed, _ := run(over, owner.LimitChange{Limit: bytesOf(400), KeepMessages: true}); matching != 1 ||
			changed != 1 || w.counts("zoe@firma.test") != "400 mailbrook" || len(w.quotaPages(over)) != 0 {
			w.Errorf("of those over their limit %d matched, %d changed; zoe has %s", matching, changed,
				w.counts("zoe@firma.test"))
		}
		// Back to the defaults, and nothing is kept of whom there is nothing to tell.
		w.must(w.Admin().SetDefaultLimit(ctx, "firma.test", ptrTo(bytesOf(77))))
		gone := anOwner(w, "gone@firma.test")
		w.must(w.SetLimits(ctx, gone, bytesOf(1), nil))
		if _, changed, _ := run(insight.QuotaFilter{}, owner.LimitChange{Inherit: true}); changed != int64(n+2) {
			w.Errorf("back to the default: %d changed", changed)
		}
		if got := w.counts("u0001@firma.test"); got != "77 domain" {
			w.Errorf("back at the default: %q", got)
		}
		if got := w.quotaPages(insight.QuotaFilter{Match: "gone", Limit: 1}); len(got) != 0 {
			w.Errorf("kept: %q", got)
		}
		var bad *account.InvalidError
		if _, err := w.Admin().ChangeLimits(ctx, insight.QuotaFilter{State: "odd"}, set, ""); !errors.As(err, &bad) {
			w.Errorf("an odd state: %v", err)
		}
	})
}

// A limit that was set between the look and the change is not overwritten, by
// whomever; a default that changed meanwhile is nothing that was set.
func TestATagNamesWhatWasSetForTheUser(t *testing.T) {
	onBoth(t, func(w *world) {
		ctx, o := w.Context(), anOwner(w, "anna@firma.test")
		tag := func() account.Match {
			q, err := w.Quota(ctx, o)
			w.must(err)
			return account.Match{q.Version()}
		}
		before := tag()
		w.must(w.Admin().SetDefaultLimit(ctx, "firma.test", ptrTo(bytesOf(5))))
		w.must(w.SetLimits(ctx, o, owner.Limit{}, before))
		w.want(w.ClearLimits(ctx, o, before), account.ErrPrecondition)
		set := tag()
		if _, err := w.Admin().ChangeLimits(ctx, insight.QuotaFilter{}, owner.LimitChange{Limit: bytesOf(9)},
			""); err != nil {
			w.Error(err)
		}
		w.want(w.SetLimits(ctx, o, bytesOf(10), set), account.ErrPrecondition)
		w.must(w.ClearLimits(ctx, o, tag()))
		if got := tag(); got[0] != before[0] {
			w.Errorf("the tag is %v after all is taken back, it was %v", got, before)
		}
	})
}

// Users are found by a part of the user's or the account's address or of the
// server's name, whatever the case, and signs of patterns are letters like others.
func TestAccountsAreFoundByAPart(t *testing.T) {
	onBoth(t, func(w *world) {
		add := func(user, email, host string, n int) {
			w.add(user, n, func(a *account.Account) { a.Email, a.Server.Host = email, host })
		}
		add("anna@firma.test", "Anna_N@gmail.com", "imap.gmail.com", 1)
		add("jan@firma.test", "jan@poczta.example", "mail.poczta.example", 2)
		for query, want := range map[string]string{
			"NNA": "anna", "anna_n": "anna", "_": "anna", "GMAIL.": "anna", "poczta": "jan", "firma.t": "anna jan", "%": "",
			"nobody": "", `\`: "",
		} {
			page, _, err := w.Admin().Accounts(w.Context(), insight.AccountFilter{Match: query})
			w.must(err)
			var got []string
			for _, a := range page {
				user, _, _ := strings.Cut(a.Owner.String(), "@")
				got = append(got, user)
			}
			if strings.Join(got, " ") != want {
				w.Errorf("%s: %q, want %q", query, got, want)
			}
		}
	})
}

// Letters other than ASCII are found in any case on both databases, and those of a
// domain where it is saved as "xn--…". What is like a letter, or a pattern, finds nothing: the control.
func TestLettersAreFoundOnBothDatabases(t *testing.T) {
	onBoth(t, func(w *world) {
		if w.postgres { // As where a database has the collation of a country.
			w.must(w.w.Exec(`ALTER TABLE accounts ALTER COLUMN email TYPE TEXT COLLATE "und-x-icu"`).Error)
		}
		for i, email := range []string{
			"ŻÓŁW@firma.pl", "żaba@FIRMA.pl", "a@xn--za-6ja4f8n1l.pl", "K%j_x@firma.pl", "Łoś@x.pl", "łoŚ@y.pl",
			"Jan.Świętosław@Źródło.pl", "Σίσυφος@x.gr",
		} {
			w.add("u@xn--bcher-kva.test", i+1, func(a *account.Account) { a.Email = email })
		}
		w.must(w.SpreadLimits(w.Context()))
		for query, want := range map[string]string{
			"ŻÓŁW": "ŻÓŁW", "żółw": "ŻÓŁW", "Żółw@F": "ŻÓŁW", "zolw": "", "ŻABA": "żaba", "żaba": "żaba", "zażółć": "a",
			"ZAŻÓŁĆ.pl": "a", "@zażółć": "a", "XN--za": "a", "FIRMA.": "K%j_x ŻÓŁW żaba", "k%J_X": "K%j_x", "%": "K%j_x",
			"_": "K%j_x", "Ż%": "", "\u212a%": "", "\u017b_": "", "bücher": "Jan.Świętosław K%j_x a Łoś łoŚ ŻÓŁW żaba Σίσυφος",
			"łoś": "Łoś łoŚ", "ŁOŚ@": "Łoś łoŚ", "łoŚ": "Łoś łoŚ",
			"jan.świętosław@źródło.pl": "Jan.Świętosław", "JAN.ŚWIĘTOSŁAW@ŹRÓDŁO.PL": "Jan.Świętosław",
			"tOSŁaw@": "Jan.Świętosław", "ΣΊΣΥΦΟΣ": "Σίσυφος", "σίσυφοσ": "Σίσυφος", "[śx]": "", "Ś*": "", "Ś?": "", "Ś.+": "",
			"ł|ź": "", "\u0130": "", "\u0131": "", "\u017f": "",
		} {
			page, _, err := w.Admin().Accounts(w.Context(), insight.AccountFilter{Match: query})
			w.must(err)
			var got []string
			for _, a := range page {
				local, _, _ := strings.Cut(a.Email, "@")
				got = append(got, local)
			}
			slices.Sort(got)
			if strings.Join(got, " ") != want {
				w.Errorf("%s: %q, want %q", query, got, want)
			}
		}
		for query, want := range map[string]int{"bücher": 1, "@BÜCHER.test": 1, "XN--B": 1, "böcher": 0} {
			if got := w.quotaPages(insight.QuotaFilter{Match: query, Limit: 50}); len(got) != want {
				w.Errorf("users by %s: %q", query, got)
			}
		}
	})
}

// The step back leaves a limit that came from a default where it is.
func TestMigratingDownKeepsDefaultLimits(t *testing.T) {
	onBoth(t, func(w *world) {
		w.add("anna@firma.test", 1)
		w.must(w.Admin().SetDefaultLimit(w.Context(), "firma.test", ptrTo(bytesOf(20))))
		w.must(w.SpreadLimits(w.Context()))
		steps, err := w.MigrationStatus(w.Context())
		w.must(err)
		for i := len(steps) - 1; i >= 0 && !strings.Contains(steps[i].Name, "00028"); i-- {
			w.must(w.MigrateDown(w.Context()))
		}
		w.must(w.MigrateDown(w.Context()))
		if got := w.table("SELECT owner, set_bytes FROM owners"); !cmp.Equal(got, []string{"anna@firma.test|20|"}) {
			w.Errorf("after the way down: %q", got)
		}
		w.must(w.Migrate(w.Context()))
		if got := w.counts("anna@firma.test"); got != "20 mailbrook" {
			w.Errorf("after the way up: %q", got)
		}
	})
}
