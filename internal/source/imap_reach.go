package source

import (
	"context"
	"slices"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// Reach goes as far towards an IMAP server as one can who has no password: it
// resolves, connects, secures the connection, reads the greeting, and asks whether
// passwords are taken on such a connection. It reports each step to observe as it
// ends. Its error is a *fault.Error, or wraps ctx's.
func (c *Client) Reach(ctx context.Context, server remote.Server, observe func(remote.Step)) error {
	nobody := remote.Credential{}
	who, pace := wire.NewSigner(nil, remote.Mailbox{Server: server}), wire.NewSessionPace(c.opts.Patience)
	l, err := c.wire.Dial(ctx, who, nobody, pace, observe)
	if err != nil {
		return err
	}
	defer l.Close()
	release := l.Bind(ctx)
	defer release()
	caps, _, err := wire.Welcome(ctx, l)
	if err != nil {
		return err
	}
	if caps == "" {
		if caps, err = wire.AskCapabilities(l); err != nil {
			return l.Abort(err)
		}
	}
	words := strings.Fields(strings.ToUpper(caps))
	var mechanisms []string
	for _, w := range words {
		if m, ok := strings.CutPrefix(w, "AUTH="); ok {
			mechanisms = append(mechanisms, m)
		}
	}
	offered := func(m string) bool { return slices.Contains(mechanisms, m) }
	shown := !slices.Contains(words, string(imap.CapLoginDisabled)) || offered(wire.SASLPlain) ||
		offered(wire.SASLLogin) || offered(wire.SASLCRAM)
	if !shown && wire.ProvingMechanism(offered, l.Encrypted(), false) == "" {
		return l.Abort(wire.NoMechanism(mechanisms, l.Encrypted()))
	}
	return nil
}
