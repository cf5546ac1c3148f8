package wire

import (
	"sync"

	"github.com/mailbrook/mailbrook/internal/remote"
)

// imapSaid is what a server says beside its answers.
type imapSaid struct {
	mu   sync.Mutex
	r    Reply             // The last BYE, else the last NO, BAD or ALERT; without a kind: nothing.
	cred remote.Credential // What it may repeat.
}

// knows says with what is signed in, before it is sent.
func (s *imapSaid) knows(cred remote.Credential) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cred = cred
}

func (s *imapSaid) note(r Reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Kind == BYE || s.r.Kind != BYE && (r.Kind == NO || r.Kind == BAD || r.Code == "ALERT") {
		s.r = r
	}
}

func (s *imapSaid) last() Reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r
}

// farewell is the error that a BYE ends the connection with.
func (f *imapFilter) farewell(said Reply) error {
	f.said.mu.Lock()
	cred := f.said.cred
	f.said.mu.Unlock()
	if f.queue.answering(verbLogin) || f.queue.answering(verbAuthenticate) {
		return said.Judge(SigningIn, "signing in", cred)
	}
	return said.Judge(AskingAccount, "reading from the server", cred)
}
