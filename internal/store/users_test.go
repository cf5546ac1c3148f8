package store

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// shadowless is the version of the schema from which on users are ASCII.
const shadowless = 14

// TestAnUpgradeFindsUsersWhoCollideAndLosesNothing: in the old schema lie users
// that the old rules distinguished, and programs that fold Unicode do not.
func TestAnUpgradeFindsUsersWhoCollideAndLosesNothing(t *testing.T) {
	onBoth(t, func(w *world) {
		was := map[int]string{
			1: "kowal@firma.test", 2: "\uFF4Bowal@firma.test", 3: "i\u0307x@firma.test", 4: "an\u0303na@firma.test",
			5: "a\u00F1na@firma.test", 6: "anna@\u017C\u00F3\u0142w.test",
			7: "zofia@firma.test",
		}
		var all []account.Account
		for n := range len(was) {
			all = append(all, w.add(fmt.Sprintf("user%d@firma.test", n+1), n+1))
		}
		for w.version() >= shadowless {
			w.must(w.MigrateDown(w.Context()))
		}
		for n := range all {
			a := &all[n]
			for _, table := range []string{"owners", "accounts", "journals", "poll_schedule"} {
				_, err := w.on(w.w).exec(w.Context(), "UPDATE "+table+" SET owner = ? WHERE owner = ?", was[n+1], a.Owner.String())
				w.must(err)
			}
			var err error
			a.Owner, err = owner.Stored(was[n+1])
			w.must(err)
		}
		// A user who has nothing any more but a journal of what was fetched.
		_, err := w.on(w.w).exec(w.Context(), "UPDATE journals SET owner = ? WHERE owner = ?", "\u017Bofia@firma.test",
			was[7])
		w.must(err)
		w.must(w.Migrate(w.Context()))

		got, err := w.Shadows(w.Context())
		w.must(err)
		want := []Shadow{
			{User: was[4], Accounts: 1, Like: []string{was[5]}},
			{User: was[6], Accounts: 1},
			{User: was[5], Accounts: 1, Like: []string{was[4]}},
			{User: was[3], Accounts: 1},
			{User: "\u017Bofia@firma.test", Like: []string{was[7]}},
			{User: was[2], Accounts: 1, Like: []string{was[1]}},
		}
		byUser := func(a, b Shadow) int { return slices.Compare([]byte(a.User), []byte(b.User)) }
		slices.SortFunc(got, byUser)
		slices.SortFunc(want, byUser)
		if !cmp.Equal(got, want) {
			w.Error(cmp.Diff(want, got))
		}

		// Nothing is lost: each has its account, and it is fetched.
		leased := map[account.ID]string{}
		for _, l := range w.claim("p1/1") {
			leased[l.Route.ID] = l.Route.Owner.String()
		}
		for i, a := range all {
			as, err := w.Accounts().Accounts(w.Context(), a.Owner)
			w.must(err)
			if len(as) != 1 || as[0].ID != a.ID || leased[a.ID] != was[i+1] {
				w.Errorf("%q has %d accounts and is visited as %q", was[i+1], len(as), leased[a.ID])
			}
		}
		sealed, err := w.Secrets().SealedSecrets(w.Context(), remote.SecretRef{}, 100)
		w.must(err)
		if len(sealed) != len(all) {
			w.Errorf("%d secrets of %d are there to be sealed again", len(sealed), len(all))
		}
	})
}

func TestWithoutUsersOfOtherScriptsNobodyIsReported(t *testing.T) {
	onBoth(t, func(w *world) {
		w.add("kowal@firma.test", 1)
		w.add("anna@xn--w-uga1v8h.test", 2)
		if got, err := w.Shadows(w.Context()); err != nil || len(got) > 0 {
			w.Errorf("%v %v", got, err)
		}
	})
}

// version is where the schema is.
func (w *world) version() (version int64) {
	w.Helper()
	steps, err := w.MigrationStatus(w.Context())
	w.must(err)
	for _, m := range steps {
		if m.Applied {
			version = m.Version
		}
	}
	return version
}
