package logins

import (
	"context"
	"net/netip"

	"github.com/mailbrook/mailbrook/internal/remote"
)

// AdmitReturn admits a browser that comes back from an identity provider with a code
// to redeem. No user is known before that and no password is guessed, but each code
// is asked about with the installation's own credentials: of one client 30 may come
// to nothing. Others' do not count with them. The error and report are as of Admit.
func (l *Limiter) AdmitReturn(ctx context.Context, client netip.Addr) (report func(remote.SignIn), err error) {
	by := l.Door(client, "").client
	return l.admit(ctx, Attempt{Client: by, Mailbox: key("returns", by)}, "", false)
}
