// Package oauth is signing in on a provider's own page (OAuth 2.0): it leads a
// browser there and back, keeps what the user allowed until an account takes
// it, and has an access token ready for each login afterwards.
//
// It follows RFC 6749 with PKCE (RFC 7636), the issuer in the answer (RFC 9207)
// and the advice of RFC 9700. Tokens never leave the server, and lasting ones
// are sealed at rest. It knows nothing of SQL (what it keeps goes through
// interfaces it declares), of its own HTTP server's routes beyond the address
// that browsers come back to, or of mail.
package oauth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// Provider is where users sign in and where tokens come from, with what the
// operator registered there.
type Provider struct {
	ID           string // A word; part of the address that browsers come back to.
	Name         string // For people.
	ClientID     string
	ClientSecret remote.Secret // Empty: the provider gave none.
	AuthorizeURL string        // Where the browser goes.
	TokenURL     string        // Where tokens come from; https.
	Issuer       string        // As "iss" has it; "": not known. "{tenantid}" stands for a part that only tokens know.
	Scopes       []string
	Params       map[string]string // Further parameters of the authorization request.
	Presets      []string          // The ids of the mail providers whose users sign in here.
}

// Sealer encrypts at rest; account.Sealer says more.
type Sealer = account.Sealer

// Pending keeps what is under way for minutes, under names that nobody can
// guess, of which it keeps hashes only.
type Pending interface {
	// SavePending keeps sealed under a name until it expires, instead of
	// what was there.
	SavePending(ctx context.Context, name string, o owner.Owner, sealed []byte, expires time.Time) error
	// PendingOf returns what is kept; account.ErrNotFound when nothing is, or
	// not any more.
	PendingOf(ctx context.Context, name string) (owner.Owner, []byte, error)
	// UsePending returns what is kept and forgets it: of any number of callers
	// in any number of processes one gets it, the others account.ErrNotFound.
	UsePending(ctx context.Context, name string) (owner.Owner, []byte, error)
	// ClaimPending reports whether the caller has the name for itself until
	// then: nobody else has claimed it, or that was too long ago.
	ClaimPending(ctx context.Context, name string, o owner.Owner, until time.Time) (bool, error)
}

// Secrets are the sealed secrets of saved accounts.
type Secrets interface {
	SealedSecret(ctx context.Context, ref remote.SecretRef) ([]byte, error)
	// ReplaceSealed replaces from by to, and leaves a secret alone
	// that is another one by now.
	ReplaceSealed(ctx context.Context, ref remote.SecretRef, from, to []byte) error
}

// Gate bounds how often providers refuse what a user brings: *logins.Limiter is
// one, and says more.
type Gate interface {
	Admit(ctx context.Context, m remote.Mailbox, addrs []netip.Addr) (report func(remote.SignIn), err error)
}

// Options are what a Service is made of. All are required unless said
// otherwise.
type Options struct {
	Providers []Provider // None: nothing is offered.
	// PublicURL is the origin at which people see this server, as configured:
	// no request has a say in where browsers are sent back to.
	PublicURL string
	// HTTP asks for tokens. It must follow no redirects and go nowhere that
	// the operator did not allow.
	HTTP    *http.Client
	Sealer  Sealer
	Pending Pending
	Secrets Secrets
	// Serves says whether a mail server is one of a provider's own, so that it
	// may be shown the provider's tokens.
	Serves func(provider, host string) bool
	Gate   Gate             // Nil: nobody counts.
	Now    func() time.Time // Nil: time.Now.
	Log    *slog.Logger
}

// Service signs in on providers' pages. It is safe for concurrent use, also by
// several processes on one database.
type Service struct {
	Options
	byID     map[string]Provider
	byPreset map[string]Provider
	outages  outages

	mu    sync.Mutex
	turns map[string]*turn
	fresh map[string]kept
}

var _ account.Grants = (*Service)(nil)

// New returns a Service. It fails when two providers share an id or a preset.
func New(o Options) (*Service, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Service{
		Options: o, byID: map[string]Provider{}, byPreset: map[string]Provider{},
		turns: map[string]*turn{}, fresh: map[string]kept{}, outages: outages{byProvider: map[string]*tokenOutage{}},
	}
	for _, p := range o.Providers {
		if _, twice := s.byID[p.ID]; twice || p.ID == "" || p.ClientID == "" {
			return nil, fmt.Errorf("oauth: the provider %q is there twice, or has no id or no client id", p.ID)
		}
		s.byID[p.ID] = p
		for _, preset := range p.Presets {
			if _, twice := s.byPreset[preset]; twice {
				return nil, fmt.Errorf("oauth: users of %q sign in at two providers", preset)
			}
			s.byPreset[preset] = p
		}
	}
	return s, nil
}

// Offers reports whether users of a mail provider can sign in on its page.
func (s *Service) Offers(preset string) bool {
	_, ok := s.byPreset[preset]
	return ok
}

// RedirectURL is the address at which browsers come back from a provider; it
// has to be registered there. Each provider has its own, so that the answer of
// one cannot be passed off as another's (RFC 9700 section 4.4).
func RedirectURL(origin, provider string) string {
	return strings.TrimSuffix(origin, "/") + "/oauth/callback/" + provider
}

// names that nobody can guess: 256 random bits.
func newName() (string, error) {
	b := make([]byte, 32)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("drawing a random name: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// save seals v and keeps it under a name.
func (s *Service) save(ctx context.Context, name string, o owner.Owner, v any, expires time.Time) error {
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing what is pending: %w", err)
	}
	sealed, err := s.Sealer.Seal(boundTo(o, name), remote.NewSecret(string(text)))
	if err != nil {
		return fmt.Errorf("sealing what is pending: %w", err)
	}
	return s.Pending.SavePending(ctx, name, o, sealed, expires)
}

// open unseals what was kept under a name into v.
func (s *Service) open(name string, o owner.Owner, sealed []byte, v any) error {
	text, err := s.Sealer.Unseal(boundTo(o, name), sealed)
	if err != nil {
		return fmt.Errorf("unsealing what is pending: %w", err)
	}
	if json.Unmarshal([]byte(text.Reveal()), v) != nil { // Its error could quote it.
		return errors.New("what is pending has no form that is known")
	}
	return nil
}

// boundTo names what is sealed and belongs to no account yet.
func boundTo(o owner.Owner, name string) remote.SecretRef {
	return remote.SecretRef{Owner: o, Subject: "oauth " + digest(name), Field: remote.SignsIn}
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}
