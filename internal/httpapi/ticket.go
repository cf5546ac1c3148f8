package httpapi

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/oidc"
)

// ticketLife is how long somebody may take at the identity provider.
const ticketLife = 10 * time.Minute

// ticket is what a browser carries in a cookie while it is at the identity
// provider, signed: where it goes afterwards, and a seed of which state, nonce and
// PKCE verifier are made with our key. So nothing is stored for whoever begins and
// does not come back, and any process takes back who went out from another.
type ticket struct {
	cookie account.Secret
	flow   oidc.Flow
	to     string
}

// errTicket says that no sign-in with this state was begun by the browser lately.
var errTicket = errors.New("no sign-in with this state was begun here within ten minutes")

const seedBytes = 32

// newTicket begins a sign-in that leads on to a path.
func (s *sessions) newTicket(to string) (ticket, error) {
	text := make([]byte, seedBytes, seedBytes+8+len(to))
	if _, err := rand.Read(text); err != nil {
		return ticket{}, err
	}
	text = binary.BigEndian.AppendUint64(text, uint64(s.now().Add(ticketLife).Unix()))
	text = append(text, to...)
	enc := base64.RawURLEncoding
	cookie := enc.EncodeToString(text) + "." + enc.EncodeToString(s.derived("ticket", text))
	return ticket{account.NewSecret(cookie), s.flowOf(text[:seedBytes]), to}, nil
}

// readTicket returns the ticket of a cookie, if the state is its.
func (s *sessions) readTicket(cookie, state string) (ticket, error) {
	enc := base64.RawURLEncoding.Strict()
	first, second, _ := strings.Cut(cookie, ".")
	text, err1 := enc.DecodeString(first)
	mac, err2 := enc.DecodeString(second)
	if err1 != nil || err2 != nil || len(text) < seedBytes+8 || !hmac.Equal(mac, s.derived("ticket", text)) {
		return ticket{}, errTicket
	}
	until := time.Unix(int64(binary.BigEndian.Uint64(text[seedBytes:])), 0)
	t := ticket{account.NewSecret(cookie), s.flowOf(text[:seedBytes]), string(text[seedBytes+8:])}
	if !hmac.Equal([]byte(state), []byte(t.flow.State)) || !s.now().Before(until) {
		return ticket{}, errTicket
	}
	return t, nil
}

func (s *sessions) flowOf(seed []byte) oidc.Flow {
	word := func(use string) string { return base64.RawURLEncoding.EncodeToString(s.derived(use, seed)) }
	return oidc.Flow{State: word("state"), Nonce: word("nonce"), Verifier: account.NewSecret(word("verifier"))}
}

// derived is a word for one use that nobody makes without our key.
func (s *sessions) derived(use string, text []byte) []byte {
	mac := hmac.New(sha256.New, s.tickets)
	mac.Write([]byte(use + "\x00"))
	mac.Write(text)
	return mac.Sum(nil)
}

func (s *sessions) ticketName() string {
	if s.secure() {
		return "__Host-mailbrook_signin"
	}
	return "mailbrook_signin"
}

// ticket returns the cookie: Lax, as the browser comes back by another site's leave.
func (s *sessions) ticket(value account.Secret) *http.Cookie {
	return s.lax(s.ticketName(), value, ticketLife)
}

func (s *sessions) lax(name string, value account.Secret, life time.Duration) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Over plain HTTP, on the loopback interface, a Secure cookie would not come back.
		Name: name, Value: value.Reveal(), Path: "/", MaxAge: int(life.Seconds()), HttpOnly: true, Secure: s.secure(),
		SameSite: http.SameSiteLaxMode,
	}
}
