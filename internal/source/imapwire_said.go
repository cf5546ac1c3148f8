package source

import (
	"sync"

	"github.com/mailbrook/mailbrook/internal/account"
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
