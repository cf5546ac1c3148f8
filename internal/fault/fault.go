// Package fault is the one vocabulary of failure: a closed list of codes that
// drives retries, HTTP answers, the words a user reads, and metrics.
//
// It imports nothing of ours but the words for people, and knows nothing of mail
// protocols. What a code means to a person (title, advice) is package
// diagnose's business; when to try again is package schedule's.
package fault

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/words"
)

// Code says why a visit to an external account failed. The list is the
// contract's: codes are added, never renamed.
type Code string

// The codes of the contract, in the order in which a visit can meet them.
const (
	// The host's name has no address, or the lookup failed.
	DNSFailure Code = "dns_failure"
	// The host or port is not one an account may name.
	HostNotAllowed Code = "host_not_allowed"
	ConnectRefused Code = "connect_refused" // Nothing listens there, or the network refused.
	// No answer in time: to the connection, the handshake or the greeting.
	ConnectTimeout Code = "connect_timeout"
	// The handshake failed, or the port speaks plaintext.
	TLSFailure Code = "tls_failure"
	// Expired, of another name, or of an unknown issuer.
	TLSCertificateInvalid Code = "tls_certificate_invalid"
	// No STARTTLS (IMAP) or STLS (POP3) offered, or it was refused.
	STARTTLSUnsupported Code = "starttls_unsupported"
	// Another protocol than the account's, or answers outside it.
	ProtocolError Code = "protocol_error"
	AuthFailed    Code = "auth_failed" // User name or password refused.
	// The provider takes only application-specific passwords.
	AppPasswordRequired          Code = "app_password_required"
	OAuthReauthorizationRequired Code = "oauth_reauthorization_required" // The user has to sign in at the provider.
	// The server offers no way to sign in that is known here.
	AuthMechanismUnsupported Code = "auth_mechanism_unsupported"
	AccessDisabled           Code = "access_disabled" // IMAP or POP3 is switched off at the provider.
	AccountLocked            Code = "account_locked"  // The provider locked the account.
	// Another session holds the mailbox (RFC 2449 IN-USE, RFC 5530 INUSE).
	MailboxInUse       Code = "mailbox_in_use"
	TooManyConnections Code = "too_many_connections" // The provider's limit of connections is reached.
	// Too many logins or too much traffic (LOGIN-DELAY, THROTTLED, OVERQUOTA of bandwidth).
	RateLimited Code = "rate_limited"
	// A temporary failure of the server, or the connection broke.
	ServerUnavailable       Code = "server_unavailable"
	FolderFailed            Code = "folder_failed"             // Some folders could not be read; the others were.
	MessageFailed           Code = "message_failed"            // Some messages could not be fetched; the others were.
	LocalOverQuota          Code = "local_over_quota"          // The user's own mailbox is full.
	LocalMailboxUnavailable Code = "local_mailbox_unavailable" // The user's own mailbox cannot be written.
	// The process died in visits of this account, several times in a row.
	VisitAborted Code = "visit_aborted"
	MailLoop     Code = "mail_loop" // What would be fetched is what this installation delivered.
	Internal     Code = "internal"  // A defect or an outage of ours.
)

// Interrupted says that the work was stopped from our side: shutdown, a lost
// lease, a deadline of the caller. It is no diagnosis and never shown.
const Interrupted Code = "interrupted"

var codes = []Code{
	DNSFailure, HostNotAllowed, ConnectRefused, ConnectTimeout, TLSFailure, TLSCertificateInvalid,
	STARTTLSUnsupported, ProtocolError, AuthFailed, AppPasswordRequired, OAuthReauthorizationRequired,
	AuthMechanismUnsupported, AccessDisabled, AccountLocked, MailboxInUse, TooManyConnections, RateLimited,
	ServerUnavailable,
	FolderFailed, MessageFailed, LocalOverQuota, LocalMailboxUnavailable, VisitAborted, MailLoop, Internal,
}

// Codes returns every code a user may be shown, in a fixed order.
func Codes() []Code { return append([]Code(nil), codes...) }

// Retryable reports whether trying again later, with nothing changed by the
// user, can succeed. Unknown codes are retryable: a defect of ours must not
// switch an account off.
func (c Code) Retryable() bool {
	switch c {
	case HostNotAllowed, TLSCertificateInvalid, STARTTLSUnsupported, AuthFailed, AppPasswordRequired,
		OAuthReauthorizationRequired, AuthMechanismUnsupported, AccessDisabled, MailLoop:
		return false
	}
	return true
}

// Credential reports whether the code says that the provider refused the
// credential as it stands. Such logins are never hammered.
func (c Code) Credential() bool {
	switch c {
	case AuthFailed, AppPasswordRequired, OAuthReauthorizationRequired, AccessDisabled, AccountLocked:
		return true
	}
	return false
}

// Providers reports whether the code says that the provider's server does not do
// what it should, whoever the account's user is: no credential, no single folder or
// message, no full mailbox and no defect of ours is the cause.
func (c Code) Providers() bool {
	switch c {
	case DNSFailure, ConnectRefused, ConnectTimeout, TLSFailure, TLSCertificateInvalid, STARTTLSUnsupported,
		ProtocolError, TooManyConnections, RateLimited, ServerUnavailable:
		return true
	}
	return false
}

// Error is a failure with its code. Detail is for people: free of secrets, and
// already passed through Clean where a server's words are in it.
// Err is for the log.
type Error struct {
	Code       Code
	Op         string        // What was being done: "login", "listing folder Sent".
	Detail     words.Detail  // For the user; may be empty.
	RetryAfter time.Duration // The server's own hint; 0 when it gave none.
	Final      bool          // Only the user can fix it; do not retry, whatever the code.
	Elsewhere  bool          // It failed at another server than the account's mail server, such as one that issues tokens.
	Limit      bool          // A bound of ours on what one visit may take ended it: the server did answer.
	Session    bool          // The server speaks of itself or the account: nothing else that is asked now fares better.
	Ended      bool          // The connection ended over it: each further try may cost another one.
	Part       Part          // Of host_not_allowed: what of the server's name was refused; "": the host.
	TooLarge   bool          // The message is larger than it may be: it is not tried again by itself.
	Err        error         // The cause; may be nil.
}

// Error returns operation, code, detail and cause on one line.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Op != "" {
		b.WriteString(e.Op + ": ")
	}
	b.WriteString(string(e.Code))
	if len(e.Detail) > 0 {
		b.WriteString(": " + e.Detail.String())
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns a failure without a cause.
func New(code Code, op string, detail ...words.Sentence) *Error {
	return &Error{Code: code, Op: op, Detail: detail}
}

// Wrap gives err a code and says what was being done. An error that has a code
// already keeps it. Wrap(…, nil) is nil.
func Wrap(code Code, op string, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return &Error{
			Code: e.Code, Op: op, Detail: e.Detail, RetryAfter: e.RetryAfter, Final: e.Final, Elsewhere: e.Elsewhere,
			Limit: e.Limit, Session: e.Session, Ended: e.Ended,
			Part: e.Part, TooLarge: e.TooLarge, Err: err,
		}
	}
	return &Error{Code: code, Op: op, Err: err}
}

// Of returns the first Error in err's chain; for others, one with Interrupted
// when a context ended and Internal otherwise. Of(nil) is nil.
func Of(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &Error{Code: Interrupted, Err: err}
	}
	return &Error{Code: Internal, Err: err}
}

// CodeOf returns the code of err, or "" for nil.
func CodeOf(err error) Code {
	if e := Of(err); e != nil {
		return e.Code
	}
	return ""
}
