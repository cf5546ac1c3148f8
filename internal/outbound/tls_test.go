package outbound

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
)

// certificate makes a self-signed certificate, which also is its own root.
func certificate(t *testing.T, name string, until time.Time) (tls.Certificate, *x509.CertPool, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: until.Add(-48 * time.Hour),
		NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if ip := net.ParseIP(name); ip != nil {
		tmpl.IPAddresses = []net.IP{ip}
	} else {
		tmpl.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool, pem.EncodeToMemory(
		&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// handshake runs the client's side against a server that does as serve says.
func handshake(t *testing.T, d *Dialer, host string, serve func(net.Conn)) (*tls.Conn, error) {
	t.Helper()
	l := listen(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		serve(c)
	}()
	c, err := d.Connect(t.Context(), []netip.Addr{netip.MustParseAddr("127.0.0.1")}, port(l))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		<-done
	})
	return d.Handshake(t.Context(), c, host)
}

func serveTLS(cfg *tls.Config) func(net.Conn) {
	return func(c net.Conn) {
		s := tls.Server(c, cfg)
		if s.Handshake() == nil {
			io.Copy(io.Discard, s)
		}
	}
}

// TestCertificatesAreJudgedByTheTimeThatProcessesShare: a machine whose clock has jumped
// refuses no good certificate. The control is that of a time in which it is none.
func TestCertificatesAreJudgedByTheTimeThatProcessesShare(t *testing.T) {
	days := func(n int) func() time.Time { return func() time.Time { return time.Now().AddDate(0, 0, n) } }
	old, roots, _ := certificate(t, "mail.example.org", time.Now().AddDate(0, 0, -30))
	for _, tc := range []struct {
		now  func() time.Time
		code fault.Code
	}{{days(-31), ""}, {days(-40), fault.TLSCertificateInvalid}, {nil, fault.TLSCertificateInvalid}} {
		d := New(Options{AllowNetworks: loopback, AllowAnyPort: true, RootCAs: roots, Now: tc.now})
		_, err := handshake(t, d, "mail.example.org", serveTLS(&tls.Config{Certificates: []tls.Certificate{old}}))
		if fault.CodeOf(err) != tc.code {
			t.Errorf("%v, want %q", err, tc.code)
		}
		if got := d.httpTLS().Time; (got == nil) != (tc.now == nil) {
			t.Error("the HTTP client goes by another time")
		}
	}
}

func TestHandshakeFailuresHaveTheirOwnCodes(t *testing.T) {
	fresh := time.Now().Add(24 * time.Hour)
	good, roots, _ := certificate(t, "mail.example.org", fresh)
	other, otherRoots, _ := certificate(t, "other.example.org", fresh)
	old, oldRoots, _ := certificate(t, "mail.example.org", time.Now().Add(-time.Hour))
	address, addressRoots, _ := certificate(t, "127.0.0.1", fresh)
	say := func(s string) func(net.Conn) {
		return func(c net.Conn) {
			io.WriteString(c, s)
			io.Copy(io.Discard, c)
		}
	}
	for _, tc := range []struct {
		name   string
		roots  *x509.CertPool
		host   string
		serve  func(net.Conn)
		code   fault.Code
		detail string
	}{
		{
			"a good certificate", roots, "Mail.Example.org.", serveTLS(&tls.Config{Certificates: []tls.Certificate{good}}), "",
			"",
		},
		{"an address's certificate", addressRoots, "127.0.0.1", serveTLS(&tls.Config{Certificates: []tls.Certificate{
			address,
		}}), "", ""},
		{
			"an unknown issuer", otherRoots, "mail.example.org", serveTLS(&tls.Config{Certificates: []tls.Certificate{good}}),
			fault.TLSCertificateInvalid, "unknown issuer",
		},
		{
			"another name", otherRoots, "mail.example.org", serveTLS(&tls.Config{Certificates: []tls.Certificate{other}}),
			fault.TLSCertificateInvalid, "another name",
		},
		{
			"expired", oldRoots, "mail.example.org", serveTLS(&tls.Config{Certificates: []tls.Certificate{old}}),
			fault.TLSCertificateInvalid, "expired",
		},
		{"only TLS 1.1", roots, "mail.example.org", serveTLS(&tls.Config{
			Certificates: []tls.Certificate{good},
			MinVersion:   tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
		}), fault.TLSFailure, "older than 1.2"},
		{"an IMAP server in plaintext", roots, "mail.example.org", say("* OK ready\r\n"), fault.TLSFailure, "plaintext"},
		{"a POP3 server in plaintext", roots, "mail.example.org", say("+OK ready\r\n"), fault.TLSFailure, "plaintext"},
		{"a server that hangs up", roots, "mail.example.org", func(net.Conn) {}, fault.TLSFailure, "ended the connection"},
		{"a server that says nothing", roots, "mail.example.org", say(""), fault.ConnectTimeout, "in time"},
		{
			"S57: a client certificate is asked for", roots, "mail.example.org",
			serveTLS(&tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequestClientCert}), "", "",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := New(Options{AllowNetworks: loopback, AllowAnyPort: true, RootCAs: tc.roots, Timeouts: Timeouts{
				Handshake: 400 * time.Millisecond,
			}})
			c, err := handshake(t, d, tc.host, tc.serve)
			if fault.CodeOf(err) != tc.code {
				t.Fatalf("got %v", err)
			}
			if err == nil {
				if v := c.ConnectionState().Version; v < tls.VersionTLS12 {
					t.Errorf("version %x", v)
				}
				return
			}
			if !strings.Contains(fault.Of(err).Detail.String(), tc.detail) {
				t.Errorf("detail %q", fault.Of(err).Detail)
			}
			if errors.Is(err, io.EOF) {
				t.Error("the error passes for the proper end of something")
			}
		})
	}
}

func TestHandshakeEndsWithItsContext(t *testing.T) {
	d := New(Options{AllowNetworks: loopback, AllowAnyPort: true})
	a, b := net.Pipe()
	defer b.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Handshake(ctx, a, "mail.example.org"); fault.CodeOf(err) != fault.Interrupted {
		t.Errorf("got %v", err)
	}
}

func TestLoadRoots(t *testing.T) {
	_, _, pem := certificate(t, "mail.example.org", time.Now().Add(time.Hour))
	dir := t.TempDir()
	good, empty := filepath.Join(dir, "good.pem"), filepath.Join(dir, "empty.pem")
	for name, b := range map[string][]byte{good: pem, empty: []byte("nothing\n")} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for file, ok := range map[string]bool{good: true, "": true, empty: false, filepath.Join(dir, "missing.pem"): false} {
		pool, err := LoadRoots(file)
		if (err == nil) != ok || ok && pool == nil {
			t.Errorf("%q: %v", file, err)
		}
	}
}

func TestS58TheHTTPClientGoesOnlyWhereAUserMay(t *testing.T) {
	hits := 0
	mux := http.NewServeMux()
	srv := httptest.NewTLSServer(mux)
	defer srv.Close()
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits++ }))
	defer plain.Close()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "fine") })
	mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL, http.StatusFound)
	})
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/loop", http.StatusFound)
	})
	mux.HandleFunc("/inner", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://169.254.169.254/latest", http.StatusFound)
	})
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	d := New(Options{AllowNetworks: loopback, AllowAnyPort: true, RootCAs: roots})
	c := d.HTTP()
	defer c.CloseIdleConnections()
	get := func(c *http.Client, url string) error {
		r, err := c.Get(url)
		if err == nil {
			r.Body.Close()
		}
		return err
	}
	if err := get(c, srv.URL+"/ok"); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"/plain", "/loop", "/inner"} {
		if err := get(c, srv.URL+path); err == nil {
			t.Errorf("%s was followed", path)
		}
	}
	if hits != 0 {
		t.Error("plain HTTP was spoken")
	}
	closed := New(Options{RootCAs: roots}).HTTP()
	if err := get(closed, srv.URL+"/ok"); fault.CodeOf(err) != fault.HostNotAllowed {
		t.Errorf("an inner server by HTTP: %v", err)
	}
	if err := get(New(Options{AllowNetworks: loopback, RootCAs: roots}).HTTP(), srv.URL+"/ok"); fault.CodeOf(
		err) != fault.HostNotAllowed {
		t.Errorf("another port than 443: %v", err)
	}
	trusted := New(Options{RootCAs: roots}).Trusted()
	defer trusted.CloseIdleConnections()
	if err := get(trusted, srv.URL+"/ok"); err != nil {
		t.Errorf("the operator's own address: %v", err)
	}
	r, err := trusted.Get(srv.URL + "/loop")
	if err != nil || r.StatusCode != http.StatusFound {
		t.Errorf("a redirect of a trusted address: %v, %v", r, err)
	}
	if r != nil {
		r.Body.Close()
	}
}
