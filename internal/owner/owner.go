// Package owner is a user of ours: an address, and what the mailbox of it may hold
// and holds. It does no I/O and knows nothing of accounts.
package owner

import (
	"fmt"
	"log/slog"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"

	"github.com/mailbrook/mailbrook/internal/words"
)

// Owner is a user of this provider: a plain mailbox address in lower case.
// Only Parse makes one, and Stored of what it made before, so that
// holding an Owner means it was checked.
type Owner struct{ address string }

// String returns the address.
func (o Owner) String() string { return o.address }

// LogValue logs the address.
func (o Owner) LogValue() slog.Value { return slog.StringValue(o.address) }

// IsZero reports whether this is no user at all.
func (o Owner) IsZero() bool { return o.address == "" }

// maxAddress is how many bytes an address may have: RFC 5321 section 4.5.3.1.3, less
// the angle brackets.
const maxAddress = 254

// Parse checks that s is a plain mailbox address in ASCII (no display
// name, no comments, no quoted local part) and returns the user it names, with
// the letters A to Z in lower case.
//
// Nothing else is folded or converted: two addresses that differ in anything but
// those letters are never one user. A domain in another script is written as
// its A-labels (RFC 5890 section 2.3.2.1): "xn--…".
func Parse(s string) (Owner, error) {
	a, err := plainAddress(s)
	if err == nil && !IsASCII(a) {
		err = fmt.Errorf("a user's address has ASCII characters only, its domain in the form xn--… where it needs one")
	}
	if err != nil {
		return Owner{}, fmt.Errorf("%q is not a plain mailbox address: %w", words.Clip(s), err)
	}
	return Owner{FoldASCII(a)}, nil
}

// Stored returns a user as an earlier version may have saved it: the
// address is taken as it is, also when Parse does not accept it any more.
// What is of such a user is kept and fetched for; nobody signs in as it.
func Stored(s string) (Owner, error) {
	a, err := plainAddress(s)
	if err != nil {
		return Owner{}, fmt.Errorf("%q is no user: %w", words.Clip(s), err)
	}
	return Owner{a}, nil
}

// ParseDomain checks that s can be what follows the @ in the address of a user,
// and returns it as it stands there.
func ParseDomain(s string) (string, error) {
	o, err := Parse("anna@" + s)
	if err == nil && strings.Contains(s, EveryDomain) {
		err = fmt.Errorf("%s stands for all domains, and for no part of one", EveryDomain)
	}
	if err != nil {
		return "", fmt.Errorf("%q is no domain of users: %w", words.Clip(s), err)
	}
	return strings.TrimPrefix(o.String(), "anna@"), nil
}

// PlainAddress checks that s is a plain mailbox address at whichever provider,
// in any script, and returns it with the letters A to Z in lower case.
func PlainAddress(s string) (string, error) {
	a, err := plainAddress(s)
	return FoldASCII(a), err
}

// FoldASCII returns s with the letters A to Z in lower case and all else as it
// is. It decides whether two names are the same one wherever that decides whose
// something is: by Unicode's rules U+212A would be a "k" as well.
func FoldASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// SameAddress reports whether two addresses are the same but for ASCII case.
func SameAddress(a, b string) bool { return FoldASCII(a) == FoldASCII(b) }

// LooksLike returns what an address is taken for by a person, or by a program
// that folds Unicode: compatible forms as the plain ones, without marks, in lower
// case. For an address in ASCII that is the address itself.
func LooksLike(s string) string {
	plain := strings.Map(func(r rune) rune {
		if unicode.Is(unicode.M, r) || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, norm.NFKD.String(s))
	return strings.ToLower(plain)
}

// IsASCII reports whether a text has no other characters.
func IsASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// plainAddress accepts local@domain and nothing around it.
func plainAddress(s string) (string, error) {
	if len(s) > maxAddress {
		return "", words.Say("must not be longer than %d bytes", maxAddress)
	}
	a, err := mail.ParseAddress(s)
	if err != nil || a.Address != s || a.Name != "" {
		return "", words.Say("must be a full mailbox address, such as anna@example.org")
	}
	local, domain, _ := Split(s)
	if strings.ContainsAny(local, "\"\\/ ") || len(local) > 64 || words.HasControl(s) {
		return "", words.Say("must be a full mailbox address, such as anna@example.org")
	}
	if domain == "" || strings.HasPrefix(domain, ".") || strings.HasSuffix(domain, ".") ||
		strings.ContainsAny(domain, "[]/\\ ") || strings.Contains(domain, "..") {
		return "", words.Say("must have a domain after the @, such as example.org")
	}
	return s, nil
}

// Domain returns what follows the last "@" of an address as a program would look for it:
// in lower case, signs of another width as the plain ones.
func Domain(email string) string {
	_, d, _ := Split(email)
	if mapped, err := idna.Lookup.ToUnicode(d); err == nil && !IsASCII(d) {
		return mapped
	}
	return strings.ToLower(d)
}

// Split returns the two sides of the last "@" of an address; without one, the whole of
// it stands before.
func Split(address string) (local, domain string, found bool) {
	if i := strings.LastIndex(address, "@"); i >= 0 {
		return address[:i], address[i+1:], true
	}
	return address, "", false
}
