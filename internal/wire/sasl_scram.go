package wire

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	// maxIterations bounds what a server can have us compute: a second or so. RFC 7677
	// asks for 4096 at least; servers of the field have 4096 to 600,000.
	maxIterations = 1_000_000
	minIterations = 1000 // Fewer make the proof a gift to whoever reads it; RFC 5802 asks for 4096.
)

// scram signs in by RFC 5802 without channel binding: the server sees a proof, and
// proves in turn that it has the password's digest.
type scram struct {
	mechanism    string
	hash         func() hash.Hash
	user, secret string
	secrets      *remote.Redactor
	nonce        string // Ours.
	serverProof  []byte // What the server has to send; nil until the proof was sent.
	done         bool   // … and has sent.
}

func newSCRAM(mechanism, user, secret string, secrets *remote.Redactor) *scram {
	s := &scram{mechanism: mechanism, hash: sha256.New, secrets: secrets, nonce: rand.Text()}
	s.user, s.secret = prepared(user), prepared(secret)
	if mechanism == SASLSCRAM1 {
		s.hash = sha1.New
	}
	return s
}

// prepared is the part of SASLprep (RFC 4013 section 2) that changes what people
// type: other spaces become one of ASCII, letters are composed.
func prepared(text string) string {
	if IsASCII(text) {
		return text
	}
	return norm.NFKC.String(strings.Map(func(r rune) rune {
		switch {
		case r == '\u00ad', r >= '\u200b' && r <= '\u200d', r == '\u2060', r == '\ufeff':
			return -1
		case unicode.Is(unicode.Zs, r):
			return ' '
		}
		return r
	}, text))
}

const gs2Header = "n,," // We know no channel binding.

func (s *scram) firstBare() string {
	return "n=" + strings.NewReplacer("=", "=3D", ",", "=2C").Replace(s.user) + ",r=" + s.nonce
}

// Start implements sasl.Client.
func (s *scram) Start() (string, []byte, error) {
	return s.mechanism, []byte(gs2Header + s.firstBare()), nil
}

// Next implements sasl.Client.
func (s *scram) Next(challenge []byte) ([]byte, error) {
	switch {
	case s.serverProof == nil:
		return s.prove(string(challenge))
	case s.done:
		return nil, scramFault(words.Say("The server asks for more than signing in takes."))
	}
	said := attributes(string(challenge))
	if _, refused := said['e']; refused {
		return []byte{}, nil // Its refusal follows; an acceptance would be none, as it proved nothing.
	}
	proof, err := base64.StdEncoding.DecodeString(said['v'])
	if err != nil || !hmac.Equal(proof, s.serverProof) {
		return nil, scramFault(words.Say("The server did not prove that it knows the password."))
	}
	s.done = true
	return []byte{}, nil
}

// prove answers the server's first message.
func (s *scram) prove(challenge string) ([]byte, error) {
	said := attributes(challenge)
	salt, err := base64.StdEncoding.DecodeString(said['s'])
	n, bad := strconv.ParseUint(said['i'], 10, 31)
	nonce := said['r']
	_, extended := said['m']
	switch {
	case err != nil, bad != nil, len(salt) == 0, extended, !strings.HasPrefix(nonce, s.nonce), len(nonce) == len(s.nonce):
		return nil, scramFault(words.Say("The server's challenge cannot be used."))
	case n < minIterations || n > maxIterations:
		return nil, scramFault(words.Say("The server asks for %d rounds, which is not an acceptable number.", n))
	}
	salted, err := pbkdf2.Key(s.hash, s.secret, salt, int(n), s.hash().Size())
	if err != nil {
		return nil, fmt.Errorf("deriving the proof: %w", err)
	}
	final := "c=" + base64.StdEncoding.EncodeToString([]byte(gs2Header)) + ",r=" + nonce
	signed := s.firstBare() + "," + challenge + "," + final
	key := s.mac(salted, "Client Key")
	stored := s.hash()
	stored.Write(key)
	proof := s.mac(stored.Sum(nil), signed)
	for i := range proof {
		proof[i] ^= key[i]
	}
	s.serverProof = s.mac(s.mac(salted, "Server Key"), signed)
	text := base64.StdEncoding.EncodeToString(proof)
	s.secrets.Add(remote.NewSecret(text))
	return []byte(final + ",p=" + text), nil
}

func (s *scram) mac(key []byte, text string) []byte {
	m := hmac.New(s.hash, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// Proved implements saslClient.
func (s *scram) Proved() error {
	if !s.done {
		return scramFault(words.Say("The server did not prove that it knows the password."))
	}
	return nil
}

func scramFault(detail words.Sentence) *fault.Error {
	return fault.New(fault.ProtocolError, "signing in", detail)
}

// attributes takes apart "r=…,s=…,i=…" (RFC 5802 section 5.1).
func attributes(message string) map[byte]string {
	all := map[byte]string{}
	for part := range strings.SplitSeq(message, ",") {
		if len(part) >= 2 && part[1] == '=' {
			all[part[0]] = part[2:]
		}
	}
	return all
}
