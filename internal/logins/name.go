package logins

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/mailbrook/mailbrook/internal/hostname"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// attempt makes the keys of a login. The names by which a user's own logins are
// counted have no host in them: of hosts there are as many spellings as somebody
// cares to make, by other names, addresses, ports and protocols.
func attempt(m remote.Mailbox, addrs []netip.Addr) Attempt {
	name, domain := reduce(m.Username)
	at := Attempt{Owner: m.Secret.Owner, Subject: m.Secret.Subject}
	for _, name := range Names(m.Username) {
		at.Names = append(at.Names, key(name))
	}
	host := hostname.Normal(m.Server.Host)
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

// reduce reduces a login to what servers distinguish users by, and the domain that
// was written with it, "" for none. Servers take "Anna", "anna@example.org",
// "anna+x@example.org", "EXAMPLE\anna" and "a.n.n.a" for the same user: each of
// them some. Where two users are taken for one here, they share a limit and
// nothing else.
func reduce(login string) (name, domain string) {
	s, domain := split(login)
	s = s[strings.LastIndex(s, ":")+1:] // Gmail's "recent:".
	if path := strings.FieldsFunc(s, among(`\/!`)); len(path) == 3 {
		s = path[1] // Exchange: domain, user, the shared mailbox that is wanted.
	} else if len(path) > 0 { // NT domain, Kerberos realm, UUCP path.
		s = path[len(path)-1]
	}
	whole := s
	if i := strings.IndexAny(s, "+*=#"); i > 0 { // Subaddress, Dovecot's master user.
		s = s[:i]
	}
	if s = letters(s); s == "" {
		s = whole
	}
	return s, domain
}

// Names returns everything in a login that some server may take for the user:
// Name, and each part before the domain. Which part it is, servers decide, and
// whoever guesses writes whatever they like into the others.
func Names(login string) []string {
	first, _ := reduce(login)
	names := []string{first}
	s, _ := split(login)
	for _, part := range strings.FieldsFunc(s, among(`\/!+*=#:;,|&~^<>()[]{}`)) {
		if part = letters(part); part != "" && !slices.Contains(names, part) {
			names = append(names, part)
		}
	}
	return names
}

// split folds a login and cuts its domain off.
func split(login string) (local, domain string) {
	s := strings.Map(func(r rune) rune {
		// Accents do not distinguish users for Active Directory and for MySQL's collations.
		if unicode.IsSpace(r) || unicode.IsControl(r) || unicode.Is(unicode.Mn, r) || r == '"' {
			return -1
		}
		return r
	}, strings.ToLower(norm.NFKD.String(login)))
	if i := strings.IndexAny(s, "@%"); i >= 0 {
		return s[:i], strings.TrimRight(s[i+1:], ".")
	}
	return s, ""
}

func among(signs string) func(rune) bool {
	return func(r rune) bool { return strings.ContainsRune(signs, r) }
}

// letters is s without punctuation.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return r
		}
		return -1
	}, s)
}
