// Package remote is a mailbox at somebody else's server: by which protocol it is read,
// where, and how one signs in. Secrets cannot be printed.
//
// It opens no connection and knows nothing of accounts or of where the mail goes.
package remote

import "context"

// Protocol is how an external account is read.
type Protocol string

// The protocols.
const (
	IMAP Protocol = "imap" // RFC 9051, RFC 3501: the whole folder tree.
	POP3 Protocol = "pop3" // RFC 1939: the inbox.
)

// Security is how the connection to a server is protected.
type Security string

// The kinds of protection.
const (
	TLS      Security = "tls"      // From the first byte (RFC 8314 section 3).
	STARTTLS Security = "starttls" // STARTTLS for IMAP, STLS for POP3 (RFC 2595); never opportunistic.
	None     Security = "none"     // Plaintext: only where the operator allows it.
)

// Server is where an account is read.
type Server struct {
	Host     string // Lower case, no trailing dot; a DNS name or an IP address.
	Port     int
	Security Security
}

// Auth is how an account signs in.
type Auth string

// The ways to sign in.
const (
	Password Auth = "password"
	OAuth2   Auth = "oauth2"
)

// Credential is what a login takes. For OAuth2 the secret is an access token.
type Credential struct {
	Auth     Auth
	Username string
	Secret   Secret
	// Renew returns another secret after a server refused this one; nil: there
	// is none to be had. Its error is a *fault.Error, or wraps ctx's.
	Renew func(ctx context.Context, refused Secret) (Secret, error)
}

// DefaultPort returns the registered port of a protocol for a kind of protection.
func DefaultPort(p Protocol, s Security) int {
	switch {
	case p == POP3 && s == TLS:
		return 995
	case p == POP3:
		return 110
	case s == TLS:
		return 993
	}
	return 143
}
