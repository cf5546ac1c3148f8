package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/oidc"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/source"
)

// signIn looks at the way in which people sign in to the pages.
func (d *doctor) signIn(ctx context.Context) {
	switch d.cfg.Web.SignIn {
	case signInIMAP:
		d.signInIMAP(ctx)
	case signInHeader:
		d.signInHeader()
	case signInOIDC:
		d.signInOIDC(ctx)
	default:
		const says = "none: nobody signs in without a link; people are sent to their webmail"
		if help := d.cfg.Web.Brand.HelpURL; help != "" {
			d.signs(well, says+", and for help to "+help, "")
			return
		}
		d.signs(well, says+", and to their administrator, with no address", "to say where they find help, set "+
			"web.brand.help_url")
	}
}

func (d *doctor) signs(status, says, do string) { d.found("web.signin", status, says, do) }

// signInIMAP goes to the server of signin.imap, as far as one can without a password.
func (d *doctor) signInIMAP(ctx context.Context) {
	c := d.cfg.SignIn.IMAP
	at := net.JoinHostPort(c.Host, fmt.Sprint(c.port()))
	dialer, err := c.dialer(time.Now)
	if err != nil {
		d.signs(bad, "imap: "+err.Error(), "correct signin.imap.ca_file")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, signInPatience)
	defer cancel()
	private := ""
	err = source.New(source.Options{Dialer: dialer, Version: version}).Reach(ctx, c.server(), func(s remote.Step) {
		if s.Name == remote.StepTLS {
			private = s.Detail.String()
		}
	})
	switch {
	case err != nil:
		d.signs(bad, fmt.Sprintf("imap: %s cannot be asked for passwords: %v", at, err), whatToDo(fault.CodeOf(err)))
	case c.Security == remote.None:
		d.signs(well, fmt.Sprintf("imap: %s is reached; passwords do not leave this machine", at), "")
	default:
		d.signs(well, fmt.Sprintf("imap: %s is reached by %s, and its certificate is trusted; no password goes there "+
			"without TLS", at, private), "")
	}
	if strings.HasPrefix(d.cfg.Web.PublicURL, "https://") && len(d.cfg.TrustedProxies) == 0 {
		d.signs(warn, "imap: TLS ends at a proxy, and trusted_proxies is empty: all who sign in count as one client, so "+
			"that some who guess hold up the others", "set trusted_proxies to the addresses of the proxy")
	}
}

// whatToDo says what helps when the server of signin.imap cannot be asked.
func whatToDo(code fault.Code) string {
	switch code {
	case fault.DNSFailure:
		return "correct signin.imap.host, or see to /etc/resolv.conf"
	case fault.TLSCertificateInvalid:
		return "give the server a certificate for the name in signin.imap.host; if an authority of your own signed it, set " +
			"signin.imap.ca_file"
	case fault.STARTTLSUnsupported:
		return `have the server offer STARTTLS, or use its TLS port (signin.imap.security = "tls")`
	case fault.TLSFailure, fault.ProtocolError:
		return "see that signin.imap.port and signin.imap.security belong together: 993 and tls, or 143 and starttls"
	case fault.AuthMechanismUnsupported:
		return `have the server take passwords on such a connection, or set signin.imap.security to "tls" or "starttls"`
	}
	return "see that the server runs, and that no firewall is between; correct signin.imap.host and signin.imap.port"
}

// Networks this wide or wider are no proxy's alone.
const (
	wideIPv4 = 15
	wideIPv6 = 47
)

// signInHeader looks at who can say who signs in.
func (d *doctor) signInHeader() {
	name := d.cfg.SignIn.Header.Name
	proxies := merged(d.cfg.TrustedProxies)
	wide := slices.IndexFunc(proxies, func(p netip.Prefix) bool {
		return p.Addr().Is4() && p.Bits() <= wideIPv4 || p.Addr().Is6() && p.Bits() <= wideIPv6
	})
	if wide >= 0 {
		d.signs(warn, fmt.Sprintf("header: whoever has one of the addresses in %s can sign in as anybody",
			proxies[wide]), "set trusted_proxies to the addresses of the proxy alone")
	}
	host, _, err := net.SplitHostPort(d.cfg.Listen)
	a, literal := netip.ParseAddr(host)
	if err == nil && (host == "" || literal == nil && (a.IsUnspecified() || outbound.Public(a))) {
		d.signs(warn, fmt.Sprintf("header: listen (%s) is open to everybody, not to the proxy alone", d.cfg.Listen),
			"set listen to an address that only the proxy reaches, such as 127.0.0.1:8080, or have a firewall see to that")
	}
	d.signs(well, fmt.Sprintf("header: %s counts from trusted_proxies alone (%s)", name, joined(d.cfg.TrustedProxies)),
		fmt.Sprintf("have the proxy set %s on each request, and remove what browsers send by that name", name))
}

// joined are networks, as they are written in the configuration.
func joined(networks []netip.Prefix) string {
	var names []string
	for _, p := range networks {
		if names = append(names, p.String()); p.IsSingleIP() {
			names[len(names)-1] = p.Addr().String()
		}
	}
	return strings.Join(names, ", ")
}

// signInOIDC asks the identity provider what it says of itself, and says what has to
// be registered there.
func (d *doctor) signInOIDC(ctx context.Context) {
	c := d.cfg.SignIn.OIDC
	pool, err := outbound.LoadRoots(d.cfg.Remote.CAFile)
	if err != nil {
		return // The finding about roots says so.
	}
	client := outbound.New(outbound.Options{RootCAs: pool}).Trusted()
	o := d.cfg.identityProvider(d.cfg.Web.PublicURL, client, time.Now)
	document := strings.TrimSuffix(c.Issuer, "/") + "/.well-known/openid-configuration"
	switch err := oidc.New(o).Reach(ctx); {
	case errors.Is(err, oidc.ErrOtherIssuer):
		d.signs(bad, "oidc: "+err.Error(), "set signin.oidc.issuer to exactly the issuer that "+document+" names")
	case err != nil:
		d.signs(bad, "oidc: "+err.Error(), "see that the provider runs, that this machine reaches "+document+", and that "+
			"its certificate is trusted (remote.ca_file)")
	default:
		d.signs(well, fmt.Sprintf("oidc: %s is reached; it sends browsers back to %s", c.Issuer, o.RedirectURL),
			"register exactly this address there; it follows web.public_url")
	}
	if c.ClientSecret.Empty() {
		d.signs(warn, "oidc: there is no client secret", "set signin.oidc.client_secret, unless "+c.ClientID+
			" is registered as a public client")
	}
	if c.AllowUnverified {
		d.signs(warn, "oidc: addresses count that the provider has not verified: who enters another's there signs in as them",
			"unset signin.oidc.allow_unverified, unless only you enter addresses there")
	}
}
