package wire

import (
	"bytes"
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Limits say how connections are made, and what they keep to.
type Limits struct {
	Dialer   *outbound.Dialer
	Allow    Allowlist // What may be sent; its zero value: nothing.
	Patience Patience
	// MaxMessageBytes is the longest message that is passed on, in octets.
	MaxMessageBytes int64
	Log             *slog.Logger
	// Transcript is given each line that is sent ("C: …") and received ("S: …"),
	// without secrets and bodies. It may be called from several goroutines. Nil: none
	// is written.
	Transcript func(line string)
}

// Connector makes links that keep to its limits, and counts what went wrong on
// them. It is safe for concurrent use.
type Connector struct {
	limits     Limits
	refused    *atomic.Int64 // Shared with those that WithTranscript and WithIdle made.
	unreadable *atomic.Int64
}

// NewConnector returns a connector. All limits but Transcript and Patience are
// required.
func NewConnector(l Limits) *Connector {
	return &Connector{limits: l, refused: new(atomic.Int64), unreadable: new(atomic.Int64)}
}

// With returns a connector whose limits are changed by change, and that counts
// together with n.
func (n *Connector) With(change func(*Limits)) *Connector {
	changed := *n
	change(&changed.limits)
	return &changed
}

// Refused counts the commands that were about to be sent and were refused
// because they are not allowed. Anything but 0 is a defect.
func (n *Connector) Refused() int64 { return n.refused.Load() }

// Unreadable counts the answers of servers that could not be read and were left
// out, each with what it is about.
func (n *Connector) Unreadable() int64 { return n.unreadable.Load() }

// Dial reaches the server that who signs in at: see dial. What the server repeats of cred is
// cut out of everything that is shown.
func (n *Connector) Dial(ctx context.Context, who *Signer, cred remote.Credential, session *SessionPace,
	observe func(remote.Step),
) (*Link, error) {
	limits := LinkLimits{Patience: n.limits.Patience, Body: n.limits.MaxMessageBytes, Allow: n.limits.Allow}
	l, err := dial(ctx, n.limits.Dialer, who, limits, session, observe)
	if err != nil {
		return nil, err
	}
	l.refused = n.refused
	l.secrets = &remote.Redactor{}
	l.secrets.Add(cred.Secret)
	l.unread = n.leavesOut(l)
	if t := n.limits.Transcript; t != nil {
		l.transcript = func(dir, line string) { t(dir + ": " + l.secrets.Redact(line)) }
	}
	return l, nil
}

// mostUnreadable is how many answers of one connection that cannot be read are logged.
const mostUnreadable = 20

// leavesOut returns what is called for each answer over a connection that is left out
// since it cannot be read: it is counted, and the first are logged, fit to be shown.
func (n *Connector) leavesOut(l *Link) func(answer []byte) {
	reported := 0
	return func(answer []byte) {
		n.unreadable.Add(1)
		if reported++; reported > mostUnreadable {
			return
		}
		shown := l.secrets.Redact(string(bytes.ToValidUTF8(answer[:min(len(answer), unreadKept)], []byte("?"))))
		n.limits.Log.Warn("an answer of the server cannot be read and is left out",
			"host", l.server.Host, "answer", words.Clean(shown, unreadShown))
	}
}
