package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	httpPatience  = 15 * time.Second
	maxRedirects  = 3
	maxHTTPHeader = 64 << 10
)

// HTTP returns a client for addresses that come from users or from servers:
// HTTPS on port 443 of public hosts (any port where all are allowed), at most
// three redirects, each checked like the first. The caller bounds the body.
func (d *Dialer) HTTP() *http.Client {
	t := transport()
	t.TLSClientConfig = d.httpTLS()
	t.DialContext = func(ctx context.Context, _, address string) (net.Conn, error) {
		host, p, err := net.SplitHostPort(address)
		if err != nil {
			return nil, refused("connecting", err)
		}
		port, err := strconv.Atoi(p)
		if err != nil || port != 443 && !d.opts.AllowAnyPort {
			return nil, refused("connecting", fmt.Errorf("port %s is not 443", p))
		}
		addrs, err := d.Resolve(ctx, host)
		if err != nil {
			return nil, err
		}
		return d.connect(ctx, addrs, port)
	}
	return &http.Client{
		Transport: httpsOnly{t},
		Timeout:   httpPatience,
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errors.New("too many redirects")
			}
			return nil
		},
	}
}

// Trusted returns a client for addresses that the operator configured, such as
// a key set of the token issuer: it goes to any address, inside or outside,
// and follows no redirect.
func (d *Dialer) Trusted() *http.Client {
	t := transport()
	t.TLSClientConfig = d.httpTLS()
	t.DialContext = (&net.Dialer{Timeout: d.opts.Timeouts.Connect}).DialContext
	return &http.Client{
		Transport:     t,
		Timeout:       httpPatience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (d *Dialer) httpTLS() *tls.Config {
	return &tls.Config{RootCAs: d.opts.RootCAs, MinVersion: tls.VersionTLS12, Time: d.opts.Now}
}

// transport has no proxy: one would dial in our place, unchecked.
func transport() *http.Transport {
	return &http.Transport{
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           16,
		IdleConnTimeout:        30 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  10 * time.Second,
		MaxResponseHeaderBytes: maxHTTPHeader,
	}
}

// httpsOnly refuses every other scheme, redirects included.
type httpsOnly struct{ *http.Transport }

// RoundTrip implements http.RoundTripper.
func (h httpsOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" {
		return nil, fault.New(fault.HostNotAllowed, "connecting", words.Say("Only https addresses are followed."))
	}
	return h.Transport.RoundTrip(r)
}
