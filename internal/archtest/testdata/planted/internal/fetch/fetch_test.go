package fetch

import "testing"

type world struct {
	t *testing.T
	n int
}

func (w *world) in(t *testing.T) *world { return &world{t, w.n} }

func (w *world) must(ok bool) {
	if !ok {
		w.t.Fatal("no")
	}
}

type user struct{ *world }

func TestSubtests(t *testing.T) {
	w, us := &world{t: t}, []user{}
	other := struct{ n int }{1}
	t.Run("beside others", func(t *testing.T) {
		t.Parallel()
		_ = other.n
		w.must(true)
		w.must(false)
	})
	for range 2 {
		all := us
		t.Run("users", func(t *testing.T) {
			t.Parallel()
			all[0].must(true)
		})
	}
	t.Run("by in", func(t *testing.T) {
		t.Parallel()
		w := w.in(t)
		w.must(true)
	})
	t.Run("one after another", func(t *testing.T) {
		w.must(true)
	})
}
