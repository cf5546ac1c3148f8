package source

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
)

// imapSaid is what a server says beside its answers.
type imapSaid struct {
	mu   sync.Mutex
	r    reply              // The last BYE, else the last NO, BAD or ALERT; without a kind: nothing.
	cred account.Credential // What it may repeat.
}

// knows tells with what is signed in, before it is sent.
func (s *imapSaid) knows(cred account.Credential) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cred = cred
}

func (s *imapSaid) note(r reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.kind == replyBYE || s.r.kind != replyBYE && (r.kind == replyNO || r.kind == replyBAD || r.code == "ALERT") {
		s.r = r
	}
}

func (s *imapSaid) last() reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r
}

// farewell is the error that a BYE ends the connection with.
func (f *imapFilter) farewell(said reply) error {
	f.said.mu.Lock()
	cred := f.said.cred
	f.said.mu.Unlock()
	if f.queue.answering(verbLogin) || f.queue.answering(verbAuthenticate) {
		return said.judge(signingIn, "signing in", cred)
	}
	return said.judge(askingAccount, "reading from the server", cred)
}

// lastWords is why a connection ended, by what the server said before, where it
// said something: nil otherwise.
func (c *imapConn) lastWords(op string, why *fault.Error) *fault.Error {
	said := c.wire.said.last()
	if c.inside || said.kind == "" || said.kind == replyBYE {
		return nil // A BYE is the reason already.
	}
	switch why.Code {
	case fault.ServerUnavailable, fault.ConnectTimeout, fault.ProtocolError:
	default:
		return nil
	}
	f := said.judge(askingAccount, op, c.cred)
	f.Err = why
	if _, told := said.means(); !told {
		f.Code, f.Detail = why.Code, strings.TrimSpace(why.Detail+" "+f.Detail)
	}
	return f
}

// refused says why the server does not do what op says, which is about all
// folders: by its words, or by those that came before.
func (c *imapConn) refused(op string, e *imap.Error) *fault.Error {
	said := imapReply(e)
	if before := c.wire.said.last(); !c.inside && before.kind != "" {
		_, told := said.means()
		if _, better := before.means(); better && !told {
			said = before
		}
	}
	return said.judge(askingAccount, op, c.cred)
}

// How long a server is waited for that has refused: one that says BYE and does
// not come to its end, or whose refusal answers nothing.
const (
	hastyPatience = 3 * time.Second   // On one connection,
	hastySession  = 3 * hastyPatience // … and over all of a session's.
)

const byeHead = "* BYE "

// errPartOfBYE says that the line under way is a BYE and its end does not come.
var errPartOfBYE = errors.New("the rest of a BYE does not come")

// parting reports whether the line under way is a BYE.
func (l *link) parting() bool { return l.head != nil && bytes.EqualFold(l.head, []byte(byeHead)) }

// hasten gives the server hastyPatience from its refusal on, as far as the
// session has such time left, and returns false when that has passed.
func (l *link) hasten() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hasty.IsZero() {
		d := max(0, min(hastyPatience, l.session.hasty.rest()))
		l.session.hasty.spend(d)
		l.hasty = time.Now().Add(d)
		l.arm()
	}
	return time.Now().Before(l.hasty)
}

// doubted tells that the server refused something, and does not say what.
func (l *link) doubted() { l.hasten() }

// reassured tells that the server answers all the same.
func (l *link) reassured() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.hasty.IsZero() {
		l.session.hasty.earn(hastyPatience)
		l.hasty = time.Time{}
		l.arm()
	}
}
