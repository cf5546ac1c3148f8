package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/hostname"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Handshake encrypts a connection: TLS 1.2 or later, the certificate
// verified for host. It does not close conn on failure.
func (d *Dialer) Handshake(ctx context.Context, conn net.Conn, host string) (*tls.Conn, error) {
	step, cancel := within(ctx, d.opts.Timeouts.Handshake)
	defer cancel()
	c := tls.Client(conn, d.tlsConfig(host))
	err := c.HandshakeContext(step)
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("securing the connection: %w", ctx.Err())
	}
	return nil, handshakeFault(err)
}

func (d *Dialer) tlsConfig(host string) *tls.Config {
	host = hostname.Normal(host)
	return &tls.Config{
		ServerName:         host,
		RootCAs:            d.opts.RootCAs,
		MinVersion:         tls.VersionTLS12,
		ClientSessionCache: d.sessions,
		Time:               d.opts.Now,
	}
}

func handshakeFault(err error) error {
	const op = "securing the connection"
	var (
		record tls.RecordHeaderError
		alert  tls.AlertError
		n      net.Error
	)
	f := &fault.Error{Code: fault.TLSFailure, Op: op, Err: err}
	switch {
	case certificateDetail(err) != nil:
		f.Code, f.Detail = fault.TLSCertificateInvalid, certificateDetail(err)
	case errors.As(err, &record):
		f.Detail = words.Detail{words.Say("This port seems to speak plaintext: it does not begin with TLS.")}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &n) &&
		n.Timeout():
		f.Code = fault.ConnectTimeout
		f.Detail = words.Detail{words.Say("The server did not finish the TLS handshake in time.")}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(
		err, syscall.EPIPE):
		f.Detail = words.Detail{words.Say("The server ended the connection during the TLS handshake.")}
		f.Err = fmt.Errorf("%w: %s", io.ErrUnexpectedEOF, err.Error()) // Not io.EOF: nothing ended as it should.
	case strings.Contains(err.Error(), "protocol version"):
		f.Detail = words.Detail{words.Say("The server offers only versions of TLS older than 1.2.")}
	case errors.As(err, &alert):
		f.Detail = words.Detail{words.Say("The server refused the TLS handshake.")}
	default:
		f.Detail = words.Detail{words.Say("The TLS handshake failed.")}
	}
	return f
}

// certificateDetail says coarsely what is wrong with a certificate, or nil when
// the certificate is not the trouble.
func certificateDetail(err error) words.Detail {
	var (
		verify  *tls.CertificateVerificationError
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		roots   x509.SystemRootsError
	)
	switch {
	case errors.As(err, &name):
		return words.Detail{words.Say("The server's certificate was issued for another name.")}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return words.Detail{words.Say("The server's certificate has expired or is not valid yet.")}
	case errors.As(err, &unknown):
		return words.Detail{words.Say("The server's certificate comes from an unknown issuer.")}
	case errors.As(err, &roots):
		return nil
	case errors.As(err, &invalid), errors.As(err, &verify):
		return words.Detail{words.Say("The server's certificate is not valid.")}
	}
	return nil
}
