package oauth

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/remote"
)

// ClientOptions are a registration of the operator's own at a server, by which it gives access tokens without anybody
// signing in: client credentials (RFC 6749 section 4.4). Scope may be empty.
type ClientOptions struct {
	TokenURL     string
	ClientID     string
	ClientSecret remote.Secret
	Scope        string
	HTTP         *http.Client
	Now          func() time.Time
}

// Client has access tokens ready that are the operator's. It is safe for concurrent use.
type Client struct {
	o       ClientOptions
	service Service

	turn  chan struct{} // Held by who asks for a token.
	mu    sync.Mutex    // Guards what follows.
	token remote.Secret
	until time.Time
}

// NewClient returns a client. Nothing is asked for yet.
func NewClient(o ClientOptions) *Client {
	return &Client{o: o, service: Service{Options: Options{HTTP: o.HTTP, Now: o.Now}}, turn: make(chan struct{}, 1)}
}

// Token returns a token that is good for a while; a new one is asked for when the last is about to end.
func (c *Client) Token(ctx context.Context) (remote.Secret, error) {
	if t, ok := c.ready(); ok {
		return t, nil
	}
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return remote.Secret{}, ctx.Err()
	}
	defer func() { <-c.turn }()
	if t, ok := c.ready(); ok { // Somebody else asked meanwhile.
		return t, nil
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	if c.o.Scope != "" {
		form.Set("scope", c.o.Scope)
	}
	t, err := c.service.request(ctx, Provider{
		Name: hostOf(c.o.TokenURL), TokenURL: c.o.TokenURL, ClientID: c.o.ClientID, ClientSecret: c.o.ClientSecret,
	}, form)
	if err != nil {
		return remote.Secret{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token, c.until = t.access, c.o.Now().Add(useful(t.life))
	return c.token, nil
}

func (c *Client) ready() (remote.Secret, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token, !c.token.Empty() && c.o.Now().Before(c.until)
}

// hostOf is where an address leads, for people.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "the operator"
	}
	return u.Hostname()
}
