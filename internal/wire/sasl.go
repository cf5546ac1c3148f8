package wire

import (
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/emersion/go-sasl"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// The SASL mechanisms by which a password is presented.
const (
	SASLSCRAM256 = "SCRAM-SHA-256" // RFC 7677.
	SASLSCRAM1   = "SCRAM-SHA-1"   // RFC 5802.
	SASLCRAM     = "CRAM-MD5"      // RFC 2195.
	SASLPlain    = "PLAIN"         // RFC 4616.
	SASLLogin    = "LOGIN"         // draft-murchison-sasl-login.
	SASLXOAUTH2  = "XOAUTH2"       // Google's and Microsoft's.
)

// SASLMechanisms are all that are spoken here.
var SASLMechanisms = []string{SASLSCRAM256, SASLSCRAM1, SASLCRAM, SASLPlain, SASLLogin, SASLXOAUTH2}

// ProvingMechanism returns the strongest mechanism offered that proves the
// password without showing it, if it is to be used; "" if the password itself is sent.
//
// SCRAM goes before everything, unless shown says that this account was refused by it.
// CRAM-MD5 goes before a password in plaintext only: under TLS it protects nothing,
// and servers that offer it often have no password in the form that it needs.
func ProvingMechanism(offered func(string) bool, encrypted, shown bool) string {
	switch {
	case offered(SASLSCRAM256) && !(shown && encrypted):
		return SASLSCRAM256
	case offered(SASLSCRAM1) && !(shown && encrypted):
		return SASLSCRAM1
	case offered(SASLCRAM) && !encrypted:
		return SASLCRAM
	}
	return ""
}

// IsSCRAM reports whether a mechanism is one that proves the server to us, too.
func IsSCRAM(mechanism string) bool { return mechanism == SASLSCRAM256 || mechanism == SASLSCRAM1 }

// SASLClient is a mechanism with what it takes.
type SASLClient interface {
	sasl.Client
	// proved says, after the server's acceptance, whether it did its part.
	Proved() error
}

// newSASL returns a mechanism that signs in with cred. secrets is called with what is
// made of the password.
func newSASL(mechanism string, cred remote.Credential, secrets *remote.Redactor) SASLClient {
	user, secret := cred.Username, cred.Secret.Reveal()
	switch mechanism {
	case SASLSCRAM256, SASLSCRAM1:
		return newSCRAM(mechanism, user, secret, secrets)
	case SASLCRAM:
		return oneSided{&cramMD5{user, secret, secrets}}
	case SASLLogin:
		return oneSided{&saslLoginClient{answers: []string{user, secret}}}
	case SASLXOAUTH2:
		return oneSided{&xoauth2{user, secret}}
	}
	return oneSided{sasl.NewPlainClient("", user, secret)}
}

// oneSided is a mechanism by which the server proves nothing.
type oneSided struct{ sasl.Client }

func (oneSided) Proved() error { return nil }

// speaksFirst reports whether a mechanism begins with a challenge, so that there
// is nothing to send along with the command.
func speaksFirst(mechanism string) bool { return mechanism == SASLCRAM || mechanism == SASLLogin }

// cramMD5 answers one challenge.
type cramMD5 struct {
	user, secret string
	secrets      *remote.Redactor
}

// Start implements sasl.Client.
func (c *cramMD5) Start() (string, []byte, error) { return SASLCRAM, nil, nil }

// Next implements sasl.Client.
func (c *cramMD5) Next(challenge []byte) ([]byte, error) {
	if len(challenge) == 0 {
		return nil, fault.New(fault.ProtocolError, "signing in", words.Say("The server's challenge is empty."))
	}
	mac := hmac.New(md5.New, []byte(c.secret))
	mac.Write(challenge)
	digest := hex.EncodeToString(mac.Sum(nil))
	c.secrets.Add(remote.NewSecret(digest))
	return []byte(c.user + " " + digest), nil
}

// apopDigest is the argument of APOP (RFC 1939 section 7).
func apopDigest(timestamp, secret string, secrets *remote.Redactor) string {
	sum := md5.Sum([]byte(timestamp + secret))
	digest := hex.EncodeToString(sum[:])
	secrets.Add(remote.NewSecret(digest))
	return digest
}

// saslLoginClient answers the questions for user name and password in their order,
// whatever words the server has for them.
type saslLoginClient struct{ answers []string }

// Start implements sasl.Client.
func (c *saslLoginClient) Start() (string, []byte, error) { return SASLLogin, nil, nil }

// Next implements sasl.Client.
func (c *saslLoginClient) Next([]byte) ([]byte, error) {
	if len(c.answers) == 0 {
		return nil, fault.New(fault.ProtocolError, "signing in",
			words.Say("The server asks for more than user name and password."))
	}
	answer := c.answers[0]
	c.answers = c.answers[1:]
	return []byte(answer), nil
}

// NoMechanism says that the server wants to be signed in to in no way that is known here.
func NoMechanism(offered []string, encrypted bool) *fault.Error {
	known := words.Say("This service knows %s.", "SCRAM-SHA-256, SCRAM-SHA-1, CRAM-MD5, PLAIN and LOGIN")
	f := fault.New(fault.AuthMechanismUnsupported, "signing in",
		words.Say("The server offers no way to sign in with a password."), known)
	slices.Sort(offered)
	shown := ""
	for _, m := range offered[:min(len(offered), 10)] {
		shown += ", " + m
	}
	switch {
	case shown != "":
		f.Detail = words.Detail{words.Say("The server offers only %s.", words.Clean(shown[2:], 177)), known}
	case !encrypted:
		f.Detail = words.Detail{words.Say("The server offers no way to sign in over a connection that is not encrypted.")}
	}
	return f
}

// IsPlain reports whether s goes as a quoted string that every server reads as
// it is meant.
func IsPlain(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) < 0
}

// IsASCII reports whether s has octets below 128 only.
func IsASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}

// xoauth2 is Google's and Microsoft's XOAUTH2: one message, and an empty
// answer to the error that the server may ask to be acknowledged.
type xoauth2 struct{ user, token string }

func (x *xoauth2) Start() (string, []byte, error) {
	return "XOAUTH2", []byte("user=" + x.user + "\x01auth=Bearer " + x.token + "\x01\x01"), nil
}

func (x *xoauth2) Next([]byte) ([]byte, error) { return []byte{}, nil }
