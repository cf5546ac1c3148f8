package fetch_test

import (
	"context"
	"errors"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
)

// unmade is a mailbox that is not there before it is made.
type unmade struct {
	*box
	made int
}

func (u *unmade) Open(ctx context.Context, r route.Route, epoch int64, l owner.Limit) (fetch.Delivery, error) {
	if u.made == 0 {
		return nil, fetch.ErrNotMade
	}
	return u.box.Open(ctx, r, epoch, l)
}

func (u *unmade) Make(context.Context, owner.Owner) error { u.made++; return nil }

// doorman has something happen when the remote is signed in to.
type doorman struct {
	*remoteStub
	meanwhile func() error
}

func (d *doorman) Open(ctx context.Context, a remote.Mailbox, c remote.Credential) (fetch.Session, error) {
	if err := d.meanwhile(); err != nil {
		return nil, err
	}
	return d.remoteStub.Open(ctx, a, c)
}

// TestD2_AMailboxIsMadeForWhoSignsInAndIsStillThere, once, and with one login; the
// control is a visit to which nothing happens.
func TestD2_AMailboxIsMadeForWhoSignsInAndIsStillThere(t *testing.T) {
	refused := fault.New(fault.AuthFailed, "signing in")
	for name, tc := range map[string]struct {
		meanwhile func(w *world) error
		err       error
		made      int
	}{
		"nothing happens":       {func(*world) error { return nil }, nil, 1},
		"the login is refused":  {func(*world) error { return refused }, refused, 0},
		"its user is removed":   {func(w *world) error { w.journal.epoch++; return nil }, fetch.ErrFenced, 0},
		"the server breaks off": {func(*world) error { return context.DeadlineExceeded }, context.DeadlineExceeded, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "INBOX")
			w.remote.folders[0].add(bodies(3, "in")...)
			logins := 0
			box := &unmade{box: w.box}
			w.engine.Mailbox = box
			w.engine.Source = &doorman{w.remote, func() error { logins++; return tc.meanwhile(w) }}
			r := w.visit(t.Context())
			if !errors.Is(r.Err, tc.err) || box.made != tc.made || logins != 1 {
				t.Errorf("after %d logins it was made %d times: %v", logins, box.made, r.Err)
			}
			if len(w.box.folders["Gmail"]) != 3*tc.made {
				t.Errorf("%d messages came", len(w.box.folders["Gmail"]))
			}
		})
	}
}
