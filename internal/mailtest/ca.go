package mailtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA is a certification authority of one test.
type CA struct {
	// File is the path of the authority's own certificate, as PEM.
	File string

	tb   testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Certificate is a server certificate with its key, in the forms that servers
// want it.
type Certificate struct {
	TLS      tls.Certificate
	CertPEM  []byte
	KeyPEM   []byte
	CertFile string // PEM, readable by all.
	KeyFile  string // PEM, readable by the owner only.
}

// NewCA makes an authority that nothing but its own File vouches for.
func NewCA(tb testing.TB) *CA {
	tb.Helper()
	key := newKey(tb)
	tmpl := &x509.Certificate{
		SerialNumber:          newSerial(tb),
		Subject:               pkix.Name{CommonName: "mailtest CA"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		tb.Fatalf("making a CA: %v", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatalf("reading our own CA: %v", err)
	}
	ca := &CA{File: filepath.Join(openDir(tb, "ca"), "ca.pem"), tb: tb, cert: cert, key: key}
	writeFile(tb, ca.File, pemOf("CERTIFICATE", der), 0o644)
	return ca
}

// Pool returns a pool that trusts this authority only.
func (ca *CA) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(ca.cert)
	return p
}

// Client returns a client configuration that trusts this authority only and
// expects the server to be localhost.
func (ca *CA) Client() *tls.Config {
	return &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

// Server returns a certificate for localhost, 127.0.0.1, ::1 and the given names.
func (ca *CA) Server(names ...string) *Certificate {
	ca.tb.Helper()
	return ca.issue(append([]string{"localhost", "127.0.0.1", "::1"}, names...), time.Now().Add(-time.Hour),
		time.Now().Add(24*time.Hour), false)
}

// Expired returns a certificate like Server's whose time is over.
func (ca *CA) Expired() *Certificate {
	ca.tb.Helper()
	return ca.issue([]string{"localhost", "127.0.0.1", "::1"}, time.Now().Add(-48*time.Hour), time.Now().Add(
		-24*time.Hour), false)
}

// OtherName returns a valid certificate for name alone: not for localhost.
func (ca *CA) OtherName(name string) *Certificate {
	ca.tb.Helper()
	return ca.issue([]string{name}, time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour), false)
}

// SelfSigned returns a certificate for localhost that only vouches for itself.
func (ca *CA) SelfSigned() *Certificate {
	ca.tb.Helper()
	return ca.issue([]string{"localhost", "127.0.0.1", "::1"}, time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour),
		true)
}

// Config returns a server configuration with this certificate.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.TLS}, MinVersion: tls.VersionTLS12}
}

func (ca *CA) issue(names []string, from, until time.Time, selfSigned bool) *Certificate {
	ca.tb.Helper()
	key := newKey(ca.tb)
	tmpl := &x509.Certificate{
		SerialNumber:          newSerial(ca.tb),
		Subject:               pkix.Name{CommonName: names[0]},
		NotBefore:             from,
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, n)
		}
	}
	parent, signer := ca.cert, ca.key
	if selfSigned {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), signer)
	if err != nil {
		ca.tb.Fatalf("issuing a certificate for %s: %v", names[0], err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		ca.tb.Fatalf("encoding a key: %v", err)
	}
	c := &Certificate{CertPEM: pemOf("CERTIFICATE", der), KeyPEM: pemOf("PRIVATE KEY", keyDER)}
	if c.TLS, err = tls.X509KeyPair(c.CertPEM, c.KeyPEM); err != nil {
		ca.tb.Fatalf("reading our own certificate: %v", err)
	}
	dir, err := os.MkdirTemp(filepath.Dir(ca.File), "server-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		ca.tb.Fatalf("making a directory for a certificate: %v", err)
	}
	c.CertFile, c.KeyFile = filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")
	writeFile(ca.tb, c.CertFile, c.CertPEM, 0o644)
	writeFile(ca.tb, c.KeyFile, c.KeyPEM, 0o600)
	return c
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatalf("making a key: %v", err)
	}
	return key
}

func newSerial(tb testing.TB) *big.Int {
	tb.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		tb.Fatalf("drawing a serial number: %v", err)
	}
	return n
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
