package store

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mailbrook/mailbrook/internal/owner"
)

const halfAYear = 180 * 24 * time.Hour

// remembers has anna sign in in a browser.
func (w *world) remembers(name string) {
	w.Helper()
	w.must(w.another().Browsers().Remember(w.Context(), name, anOwner(w, annas), w.clock.now().Add(halfAYear)))
}

// known returns in which of the browsers 1 to 9 a user has signed in.
func (w *world) known(user string) (names []string) {
	w.Helper()
	for i := range 9 {
		name := fmt.Sprint(i + 1)
		ok, err := w.Browsers().Knows(w.Context(), name, anOwner(w, user))
		w.must(err)
		if ok {
			names = append(names, name)
		}
	}
	return names
}

// TestAFewBrowsersOfAUserAreKnown: those that signed in last, by all processes, and no
// other user's.
func TestAFewBrowsersOfAUserAreKnown(t *testing.T) {
	onBoth(t, func(w *world) {
		for _, step := range []struct {
			in   string
			want []string
		}{
			{"1", []string{"1"}},
			{"2", []string{"1", "2"}},
			{"3", []string{"1", "2", "3"}},
			{"4", []string{"1", "2", "3", "4"}},
			{"5", []string{"1", "2", "3", "4", "5"}},
			{"1", []string{"1", "2", "3", "4", "5"}},
			{"6", []string{"1", "3", "4", "5", "6"}}, // Of the five, 2 was used the longest time ago.
			{"2", []string{"1", "2", "4", "5", "6"}},
		} {
			w.clock.pass(time.Minute)
			if w.remembers(step.in); !slices.Equal(w.known(annas), step.want) {
				w.Errorf("after %s known are %v", step.in, w.known(annas))
			}
		}
		if others := w.known("jan@firma.test"); len(others) > 0 {
			w.Errorf("anna's are jan's: %v", others)
		}
		if rows := w.table("SELECT owner FROM known_browsers"); len(rows) != browsersKnown {
			w.Errorf("%d are kept", len(rows))
		}
	})
}

// TestOfBrowsersThatSignInAtTheSameTimeNoMoreAreKnown, whatever the transactions saw
// of each other.
func TestOfBrowsersThatSignInAtTheSameTimeNoMoreAreKnown(t *testing.T) {
	onBoth(t, func(w *world) {
		var g errgroup.Group
		for i := range 9 {
			s := w.another()
			g.Go(func() error {
				return s.Browsers().Remember(w.Context(), fmt.Sprint(i+1), anOwner(w, annas), w.clock.now().Add(halfAYear))
			})
		}
		w.must(g.Wait())
		if names := w.known(annas); len(names) != browsersKnown {
			w.Errorf("known are %v", names)
		}
	})
}

// TestABrowserIsForgotten when its time is over, with all sessions of its user, and
// with the user. The control is what does not end it.
func TestABrowserIsForgotten(t *testing.T) {
	onBoth(t, func(w *world) {
		jan := anOwner(w, "jan@firma.test")
		for name, tc := range map[string]struct {
			how  func()
			gone bool
		}{
			"a moment before its end":  {func() { w.clock.pass(halfAYear - time.Millisecond) }, false},
			"at its end":               {func() { w.clock.pass(halfAYear) }, true},
			"all sessions of the user": {func() { w.endAll(anOwner(w, annas)) }, true},
			"everybody's sessions":     {func() { w.endAll(owner.Owner{}) }, true},
			"another user's sessions":  {func() { w.endAll(jan) }, false},
			"one session":              {func() { w.must(w.Sessions().End(w.Context(), w.begin(annas, "one"))) }, false},
			"the user": {func() {
				_, err := w.BeginRemoval(w.Context(), anOwner(w, annas), false)
				w.must(err)
				w.end(anOwner(w, annas))
			}, true},
			"another user": {func() {
				_, err := w.BeginRemoval(w.Context(), jan, false)
				w.must(err)
				w.end(jan)
			}, false},
		} {
			w.remembers("1")
			if tc.how(); (len(w.known(annas)) == 0) != tc.gone {
				w.Errorf("%s: known are %v", name, w.known(annas))
			}
		}
		w.clock.pass(2 * halfAYear)
		w.must(w.Sessions().Prune(w.Context()))
		if rows := w.table("SELECT owner FROM known_browsers"); len(rows) != 0 {
			w.Errorf("after the chore: %v", rows)
		}
	})
}

func (w *world) endAll(o owner.Owner) {
	w.Helper()
	_, err := w.Sessions().EndAll(w.Context(), o)
	w.must(err)
}
