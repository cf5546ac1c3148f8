package httpapi

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/oidc"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// ticketLife is how long somebody may take at the identity provider.
const ticketLife = 10 * time.Minute

// ticket is what a browser carries in a cookie while it is at the identity
// provider, signed: where it goes afterwards, and a seed of which state, nonce and
// PKCE verifier are made with our key. So nothing is stored for whoever begins and
// does not come back, and any process takes back who went out from another.
type ticket struct {
	name   string // Of the cookie.
	cookie remote.Secret
	flow   oidc.Flow
	until  time.Time
	sender sender // Who began it.
	to     string
}

// errTicket says that no sign-in with this state was begun by the browser lately.
var errTicket = errors.New("no sign-in with this state was begun here within ten minutes")

const seedBytes = 32

// newTicket begins a sign-in that leads on to a path.
func (s *sessions) newTicket(to string, by sender) (ticket, error) {
	text := make([]byte, seedBytes, seedBytes+8+len(by)+len(to))
	if _, err := rand.Read(text); err != nil {
		return ticket{}, err
	}
	text = binary.BigEndian.AppendUint64(text, uint64(s.now().Add(ticketLife).Unix()))
	return s.ticketOf(append(append(text, by...), to...)), nil
}

// ticketOf returns the ticket with this text, signed: the seed, the time, the sender, and the path, which begins
// with a slash.
func (s *sessions) ticketOf(text []byte) ticket {
	enc, flow := base64.RawURLEncoding, s.flowOf(text[:seedBytes])
	by, path, _ := strings.Cut(string(text[seedBytes+8:]), "/")
	return ticket{
		name: s.ticketPrefix() + flow.State[:ticketMark], flow: flow,
		cookie: remote.NewSecret(enc.EncodeToString(text) + "." + enc.EncodeToString(s.derived("ticket", text))),
		until:  time.Unix(int64(binary.BigEndian.Uint64(text[seedBytes:])), 0), sender: sender(by), to: "/" + path,
	}
}

// readTicket returns the ticket of a cookie that we have made lately.
func (s *sessions) readTicket(c *http.Cookie) (ticket, error) {
	first, _, _ := strings.Cut(c.Value, ".")
	text, err := base64.RawURLEncoding.Strict().DecodeString(first)
	if err != nil || len(text) < seedBytes+8 {
		return ticket{}, errTicket
	}
	t := s.ticketOf(text)
	if !hmac.Equal([]byte(c.Value), []byte(t.cookie.Reveal())) || c.Name != t.name || !s.now().Before(t.until) {
		return ticket{}, errTicket
	}
	return t, nil
}

// ticketWith returns the ticket with this state.
func (s *sessions) ticketWith(cookies []*http.Cookie, state string) (ticket, error) {
	for _, c := range cookies {
		if t, err := s.readTicket(c); err == nil && hmac.Equal([]byte(state), []byte(t.flow.State)) {
			return t, nil
		}
	}
	return ticket{}, errTicket
}

// mostTickets is for how many tabs of a browser at a time, and mostSent for how many more that another site began:
// a request has room for as many with the longest paths to lead on to.
const (
	mostTickets = 5
	mostSent    = 2
)

// makingRoom returns the cookies with which a browser takes another ticket: those of
// the oldest go, and what is no ticket any more. Those that another site began make room for
// no other's.
func (s *sessions) makingRoom(cookies []*http.Cookie, t ticket) []*http.Cookie {
	var good []ticket
	var set []*http.Cookie
	for _, c := range cookies {
		old, err := s.readTicket(c)
		switch {
		case err != nil:
			set = append(set, s.gone(c.Name))
		case (old.sender == bySite) == (t.sender == bySite):
			good = append(good, old)
		}
	}
	most := mostTickets
	if t.sender == bySite {
		most = mostSent
	}
	slices.SortStableFunc(good, func(a, b ticket) int { return a.until.Compare(b.until) })
	for _, old := range good[:max(0, len(good)-most+1)] {
		set = append(set, s.gone(old.name))
	}
	return append(set, s.lax(t.name, t.cookie, ticketLife))
}

func (s *sessions) flowOf(seed []byte) oidc.Flow {
	word := func(use string) string { return base64.RawURLEncoding.EncodeToString(s.derived(use, seed)) }
	return oidc.Flow{State: word("state"), Nonce: word("nonce"), Verifier: remote.NewSecret(word("verifier"))}
}

// derived is a word for one use that nobody makes without our key.
func (s *sessions) derived(use string, text []byte) []byte {
	mac := hmac.New(sha256.New, s.tickets)
	mac.Write([]byte(use + "\x00"))
	mac.Write(text)
	return mac.Sum(nil)
}

// ticketMark is how much of its state is in the name of a ticket's cookie: so that of
// two tabs none has the other's taken away.
const ticketMark = 12

func (s *sessions) ticketPrefix() string {
	if s.secure() {
		return "__Host-mailbrook_signin_"
	}
	return "mailbrook_signin_"
}

// ticketsOf returns the cookies of a request that may be tickets.
func (s *sessions) ticketsOf(r *http.Request) []*http.Cookie {
	return slices.DeleteFunc(r.Cookies(), func(c *http.Cookie) bool {
		return !strings.HasPrefix(c.Name, s.ticketPrefix())
	})
}

// gone takes a cookie of lax away.
func (s *sessions) gone(name string) *http.Cookie {
	return s.lax(name, remote.Secret{}, -time.Second)
}

// lax returns a cookie that is sent as a browser comes back by another site's leave.
func (s *sessions) lax(name string, value remote.Secret, life time.Duration) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Over plain HTTP, on the loopback interface, a Secure cookie would not come back.
		Name: name, Value: value.Reveal(), Path: "/", MaxAge: int(life.Seconds()), HttpOnly: true, Secure: s.secure(),
		SameSite: http.SameSiteLaxMode,
	}
}
