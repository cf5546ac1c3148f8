package store

import (
	"database/sql"
	"errors"
	"testing"
)

// Who serves is known to whoever wants to be alone, on both databases; several
// may serve, and once they have stopped one may be alone.
func TestWhoServesIsKnown(t *testing.T) {
	onBoth(t, func(s *world) {
		first, err := s.Attend(s.Context())
		if err != nil {
			s.Fatal(err)
		}
		second, err := s.Attend(s.Context())
		if err != nil {
			s.Fatal(err)
		}
		for _, stop := range []func(){first, second} {
			if _, err := s.Alone(s.Context()); !errors.Is(err, ErrServed) {
				s.Fatalf("beside one that serves: %v", err)
			}
			stop()
		}
		alone, err := s.Alone(s.Context())
		if err != nil {
			s.Fatalf("after all have stopped: %v", err)
		}
		alone()
		again, err := s.Attend(s.Context()) // The control: what was alone holds nothing any more.
		if err != nil {
			s.Fatal(err)
		}
		again()
	})
}

// Who serves keeps nobody from claiming accounts: the locks are two.
func TestWhoServesHoldsUpNoClaim(t *testing.T) {
	onBoth(t, func(w *world) {
		release, err := w.Attend(w.Context())
		w.must(err)
		defer release()
		if l := w.claimNew(); l.Route.ID == "" {
			w.Error("nothing is claimed")
		}
	})
}

// TestWhoStopsGivesBackNoLockOfAnothersInTheSameSession: a pooler that gives a session to
// whoever has a transaction puts several processes into one.
func TestWhoStopsGivesBackNoLockOfAnothersInTheSameSession(t *testing.T) {
	w := newWorld(t, "postgres")
	ctx := w.Context()
	first, err := w.lockServing(ctx, shared)
	w.must(err)
	defer endSession(first)
	var got sql.NullString
	w.must(first.QueryRowContext(ctx, shared.take, int64(servingKey)).Scan(&got)) // Another process.
	shared.unlock(ctx, first)
	if _, err := w.Alone(ctx); !errors.Is(err, ErrServed) {
		t.Errorf("beside one that serves still: %v", err)
	}
	shared.unlock(ctx, first)
	release, err := w.Alone(ctx) // The control: both have stopped, though the session lasts.
	w.must(err)
	release()
}
