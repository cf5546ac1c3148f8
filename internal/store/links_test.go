package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
)

func (w *world) link(token string, life time.Duration) Link {
	w.Helper()
	l := Link{Owner: anOwner(w, "anna@firma.test"), Admin: true, ReturnTo: "/accounts/new?ż=1", Expires: w.clock.now().Add(
		life)}
	w.must(w.Links().Save(w.Context(), token, l))
	return l
}

// exchange takes a link for a session that has the link's token as its name.
func (w *world) exchange(token string) (Link, error) {
	return w.Links().Exchange(w.Context(), token, "session of "+token, w.clock.now().Add(12*time.Hour))
}

func TestALinkIsGivenOutOnceAndAsItWasSaved(t *testing.T) {
	onBoth(t, func(w *world) {
		want := w.link("token", time.Minute)
		_, err := w.exchange("Token")
		w.want(err, account.ErrNotFound)
		for range 2 { // Looking uses nothing up.
			seen, err := w.Links().Look(w.Context(), "token")
			w.must(err)
			if seen != want {
				w.Errorf("looking gives %+v, not %+v", seen, want)
			}
		}
		got, err := w.exchange("token")
		w.must(err)
		if got != want {
			w.Errorf("%+v, not %+v", got, want)
		}
		_, err = w.exchange("token")
		w.want(err, account.ErrNotFound)
	})
}

func TestOfManyProcessesOneGetsTheLink(t *testing.T) {
	onBoth(t, func(w *world) {
		stores := []*Store{w.another(), w.another(), w.another(), w.another()}
		for _, token := range []string{"a", "b", "c"} {
			w.link(token, time.Minute)
			var g errgroup.Group
			got := make([]bool, 5*len(stores))
			for i := range got {
				g.Go(func() error {
					_, err := stores[i%len(stores)].Links().Exchange(w.Context(), token, fmt.Sprint(token, i), w.clock.now().Add(
						time.Hour))
					got[i] = err == nil
					if got[i] || isAnswer(err) {
						return nil
					}
					return err
				})
			}
			w.must(g.Wait())
			n := 0
			for _, ok := range got {
				if ok {
					n++
				}
			}
			if n != 1 {
				w.Errorf("%d got the link", n)
			}
			if made := w.table("SELECT owner, expires_ms FROM sessions"); len(made) != 1 {
				w.Errorf("%d sessions were begun by a link: %v", len(made), made)
			}
			if _, err := w.Sessions().EndAll(w.Context(), owner.Owner{}); err != nil {
				w.Error(err)
			}
		}
	})
}

func TestALinkThatIsTooOldIsNoneAndIsForgotten(t *testing.T) {
	onBoth(t, func(w *world) {
		w.link("old", time.Minute)
		w.link("young", time.Hour)
		w.clock.pass(time.Minute)
		_, err := w.exchange("old")
		w.want(err, account.ErrNotFound)
		if n := len(w.table("SELECT expires_ms FROM links")); n != 2 {
			w.Errorf("%d links before the chore", n)
		}
		w.must(w.Links().Prune(w.Context()))
		if n := len(w.table("SELECT expires_ms FROM links")); n != 1 {
			w.Errorf("%d links after it", n)
		}
		_, err = w.exchange("young")
		w.must(err)
	})
}

func TestTheDatabaseDoesNotHoldWhatOpensALink(t *testing.T) {
	onBoth(t, func(w *world) {
		w.link("canary-token", time.Minute)
		for _, column := range []string{"owner", "return_to"} {
			if rows := w.table("SELECT " + column + " FROM links"); strings.Contains(strings.Join(rows, " "), "canary") {
				w.Errorf("%s holds it: %v", column, rows)
			}
		}
		var hash []byte
		w.must(w.on(w.r).each(w.Context(), scanInto(&hash), "SELECT hash FROM links"))
		if len(hash) != 32 || strings.Contains(string(hash), "canary") {
			w.Errorf("the key is %q", hash)
		}
	})
}
