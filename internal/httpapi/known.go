package httpapi

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// knownLife is for how long a browser is known again in which somebody has signed in
// by a password, from the last time.
const knownLife = 180 * 24 * time.Hour

// knownLength is the length of a browser's name.
const knownLength = 26

func (s *sessions) knownName() string {
	if s.secure() {
		return "__Host-mailbrook_known"
	}
	return "mailbrook_known"
}

// knows returns the name of the browser in which somebody enters a password, if the
// user has signed in there; "" for any other. Whether there is such a user is not
// looked at.
func (s *server) knows(ctx context.Context, cookie remote.Secret, o owner.Owner) (string, error) {
	name := cookie.Reveal()
	if len(name) != knownLength {
		return "", nil
	}
	if known, err := s.Web.Browsers.Knows(ctx, name, o); err != nil || !known {
		return "", err
	}
	return name, nil
}

// remember returns the cookie by which a browser is known again. It signs nobody in: it
// only has its attempts counted apart from those of all others. The end of its time is
// the store's, and all sessions of the user end it.
func (s *server) remember(ctx context.Context, name string, o owner.Owner) (*http.Cookie, error) {
	if name == "" {
		name = rand.Text()
	}
	if err := s.Web.Browsers.Remember(ctx, name, o, s.Now().Add(knownLife)); err != nil {
		return nil, err
	}
	return s.sessions.lax(s.sessions.knownName(), remote.NewSecret(name), knownLife), nil
}
