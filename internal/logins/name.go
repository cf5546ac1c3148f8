package logins

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/mailbrook/mailbrook/internal/account"
)

// attempt makes the keys of a login. The name by which a user's own logins are
// counted has no host in it: of hosts there are as many spellings as somebody
// cares to make, by other names, addresses, ports and protocols.
func attempt(a account.Account, addrs []netip.Addr) Attempt {
	name, domain := Name(a.Username)
	at := Attempt{Owner: a.Owner, Account: a.ID, Name: key(name)}
	host := account.NormalHost(a.Server.Host)
	server := host
	if len(addrs) > 0 {
		server = slices.MinFunc(addrs, func(a, b netip.Addr) int { return a.Unmap().Compare(b.Unmap()) }).Unmap().String()
	}
	at.Mailbox = key(server, name, domain)
	at.Home = key(host, name, domain)
	return at
}

// key is a digest of words.
func key(words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// Name reduces a login to what servers tell users apart by, and the domain that
// was written with it, "" for none. Servers take "Anna", "anna@example.org",
// "anna+x@example.org", "EXAMPLE\anna" and "a.n.n.a" for the same user: each of
// them some. Where two users are taken for one here, they share a limit and
// nothing else.
func Name(login string) (name, domain string) {
	s := strings.ToLower(norm.NFKC.String(login))
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsControl(r) || r == '"' {
			return -1
		}
		return r
	}, s)
	if i := strings.IndexAny(s, "@%"); i >= 0 {
		s, domain = s[:i], strings.TrimRight(s[i+1:], ".")
	}
	if i := strings.LastIndexAny(s, `\/!`); i >= 0 { // NT domain, Kerberos realm, UUCP path.
		s = s[i+1:]
	}
	whole := s
	if i := strings.IndexAny(s, "+*=#"); i > 0 { // Subaddress, Dovecot's master user.
		s = s[:i]
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, s)
	if s == "" {
		s = whole
	}
	return s, domain
}
