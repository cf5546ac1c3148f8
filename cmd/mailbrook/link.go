package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/store"
)

type linkCmd struct {
	User  string        `help:"Who is signed in by it: a mailbox address of this provider." required:""`
	Admin bool          `help:"With the rights of an administrator."`
	TTL   time.Duration `name:"ttl" help:"How long it may be followed." default:"15m"`
}

// Run prints an address that opens the web pages signed in, once.
func (c linkCmd) Run(ctx context.Context, t terminal, load loader) error {
	owner, err := parseUser(c.User)
	if err != nil {
		return err
	}
	if c.TTL <= 0 || c.TTL > httpapi.LinkMaxLife {
		return usageError{fmt.Errorf("--ttl must be longer than nothing, and at most %s", httpapi.LinkMaxLife)}
	}
	return quietly(ctx, t, load, func(a *app) error {
		origin, err := a.cfg.publicURL(nil)
		if err != nil {
			return usageError{err}
		}
		address, err := httpapi.NewLink(ctx, links{a.store.Links()}, origin, httpapi.Link{
			Owner: owner, Admin: c.Admin,
			Expires: a.store.Now().Add(c.TTL),
		})
		if err != nil {
			return err
		}
		fmt.Fprintln(t.out, address)
		return nil
	})
}

// publicURL returns the origin at which people see the pages: as configured,
// else where the server listens. The listener, if there is one already, knows
// a port that the configuration leaves open.
func (c config) publicURL(l net.Listener) (string, error) {
	if c.Web.PublicURL != "" {
		return c.Web.PublicURL, nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return "", fmt.Errorf("listen: %w", err)
	}
	if l != nil {
		if _, port, err = net.SplitHostPort(l.Addr().String()); err != nil {
			return "", fmt.Errorf("listen: %w", err)
		}
	}
	if port == "0" {
		return "", errors.New("web.public_url is not set, and listen leaves the port open: set one of them, so that an " +
			"address can be told")
	}
	if a, err := netip.ParseAddr(host); host == "" || err == nil && a.IsUnspecified() {
		host = "localhost" // Everywhere is no address to go to.
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// links gives the API the links that the database keeps.
type links struct{ rows store.Links }

func (l links) Save(ctx context.Context, token string, x httpapi.Link) error {
	return l.rows.Save(ctx, token, store.Link(x))
}

func (l links) Look(ctx context.Context, token string) (httpapi.Link, error) {
	x, err := l.rows.Look(ctx, token)
	return httpapi.Link(x), err
}

func (l links) Exchange(ctx context.Context, token, session string, until time.Time) (httpapi.Link, error) {
	x, err := l.rows.Exchange(ctx, token, session, until)
	return httpapi.Link(x), err
}

// parseOrigin reads the origin of a web server, such as https://mail.firma.test,
// and returns it as browsers write it.
func parseOrigin(v string) (string, error) {
	u, err := url.Parse(v)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return "", errors.New("must be an origin such as https://mail.firma.test")
	case u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" ||
		strings.ContainsAny(u.Host, "*'\";, "):
		return "", errors.New("must be an origin, a scheme and a host such as https://mail.firma.test, and nothing else")
	}
	host := strings.ToLower(u.Host)
	if port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]; strings.HasSuffix(host, port) {
		host = strings.TrimSuffix(host, port)
	}
	return u.Scheme + "://" + host, nil
}

// parseOrigins reads a list of them.
func parseOrigins(v string) ([]string, error) {
	var out []string
	for _, word := range splitWords(v) {
		o, err := parseOrigin(word)
		if err != nil {
			return nil, fmt.Errorf("%w, which %q is not", err, word)
		}
		out = append(out, o)
	}
	return out, nil
}
