package store

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// begin signs a user in by a link and returns the session's name.
func (w *world) begin(user, name string) string {
	w.Helper()
	w.must(w.Links().Save(w.Context(), name, Link{Owner: anOwner(w, user), ReturnTo: "/", Expires: w.clock.now().Add(
		time.Minute)}))
	_, err := w.exchange(name)
	w.must(err)
	return "session of " + name
}

func alive(w *world, s *Store, name string) bool {
	w.Helper()
	ok, err := s.Sessions().Alive(w.Context(), name)
	w.must(err)
	return ok
}

func TestASessionThatEndsHasEndedInAllProcesses(t *testing.T) {
	onBoth(t, func(w *world) {
		a, b := w.another(), w.another()
		first, second := w.begin("anna@firma.test", "1"), w.begin("anna@firma.test", "2")
		if !alive(w, a, first) || !alive(w, b, first) || alive(w, b, "session of nobody") {
			w.Fatal("what lives is dead, or the other way round")
		}
		w.must(a.Sessions().End(w.Context(), first))
		w.must(a.Sessions().End(w.Context(), first)) // Over already.
		if alive(w, a, first) || alive(w, b, first) {
			w.Error("the session lives on in a process")
		}
		if !alive(w, a, second) || !alive(w, b, second) { // The control: not everything ends.
			w.Error("the user's other session ended with it")
		}
	})
}

func TestAUsersSessionsEndTogetherAndEverybodysToo(t *testing.T) {
	onBoth(t, func(w *world) {
		names := []string{w.begin("anna@firma.test", "1"), w.begin("anna@firma.test", "2"), w.begin("bartek@firma.test", "3")}
		w.link("unused", time.Minute) // Of anna's.
		for _, step := range []struct {
			whose owner.Owner
			ended int64
			left  []bool
		}{
			{anOwner(w, "nobody@firma.test"), 0, []bool{true, true, true}},
			{anOwner(w, "anna@firma.test"), 2, []bool{false, false, true}},
			{owner.Owner{}, 1, []bool{false, false, false}},
		} {
			n, err := w.another().Sessions().EndAll(w.Context(), step.whose)
			w.must(err)
			var left []bool
			for _, name := range names {
				left = append(left, alive(w, w.Store, name))
			}
			if n != step.ended || !slices.Equal(left, step.left) {
				w.Errorf("ending %q's: %d, left %v", step.whose, n, left)
			}
		}
		_, err := w.exchange("unused")
		w.want(err, account.ErrNotFound)
	})
}

// TestALinkThatIsFollowedMeanwhileBeginsNoSessionThatOutlives: whoever comes
// first, of a link and the ending of its user's sessions nothing is left.
func TestALinkThatIsFollowedMeanwhileBeginsNoSessionThatOutlives(t *testing.T) {
	onBoth(t, func(w *world) {
		a, b := w.another(), w.another()
		for range 20 {
			w.link("token", time.Minute)
			var g errgroup.Group
			g.Go(func() error {
				_, err := a.Links().Exchange(w.Context(), "token", "session", w.clock.now().Add(time.Hour))
				if isAnswer(err) {
					return nil
				}
				return err
			})
			g.Go(func() error {
				_, err := b.Sessions().EndAll(w.Context(), anOwner(w, "anna@firma.test"))
				return err
			})
			w.must(g.Wait())
			if alive(w, w.Store, "session") {
				w.Fatal("a session is left")
			}
		}
	})
}

func TestASessionWhoseTimeIsOverIsNoneAndIsForgotten(t *testing.T) {
	onBoth(t, func(w *world) {
		name := w.begin("anna@firma.test", "1")
		w.clock.pass(12*time.Hour - time.Millisecond)
		if !alive(w, w.Store, name) {
			w.Error("it ends too early")
		}
		w.clock.pass(time.Millisecond)
		if alive(w, w.Store, name) {
			w.Error("it lives on")
		}
		w.must(w.Sessions().Prune(w.Context()))
		if rows := w.table("SELECT owner, expires_ms FROM sessions"); len(rows) != 0 {
			w.Errorf("after the chore: %v", rows)
		}
	})
}
