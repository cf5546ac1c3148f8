// Package hostname knows how people write the name or the address of a server: whether a text is one at all, and
// in which one form it is saved, compared and looked up. It asks nobody.
package hostname

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode"
)

// Most is the longest name of the DNS in text (RFC 1035 section 2.3.4: 255 octets with the length bytes).
const Most = 253

// Lower returns a host in lower case, without the final dot.
func Lower(host string) string { return strings.ToLower(strings.TrimSuffix(host, ".")) }

// Normal returns a host as it is saved: Lower, and without the brackets of an IPv6 address.
func Normal(host string) string {
	bare, _ := unbracket(Lower(host))
	return bare
}

// Key returns the one form of a host that all of its spellings share: Normal, and of an address its usual spelling.
func Key(host string) string {
	host = Normal(strings.TrimSpace(host))
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().String()
	}
	return host
}

// ErrUnusual is wrapped by Parse's error where some resolver may take the text for a host though it is no name:
// "127.1", letters that are not ASCII. No one may dial it; it is refused as other servers that an account may not name
// (host_not_allowed), and not as a slip of the pen.
var ErrUnusual = errors.New("only some resolvers know this spelling")

// Check refuses what is no host at all, and addresses with a zone, which mean something on one machine only. What is
// ErrUnusual passes: Parse refuses it.
func Check(host string) error {
	err := check(host)
	if errors.Is(err, ErrUnusual) {
		return nil
	}
	return err
}

func check(host string) error {
	a, _, err := Parse(host)
	if err == nil && a.Zone() != "" {
		err = errors.New("an address with a zone means something on one machine only")
	}
	return err
}

// Checked returns the Key of what is a host, and has no zone.
func Checked(host string) (string, error) {
	host = Lower(host)
	if err := check(host); err != nil {
		return "", err
	}
	return Key(host), nil
}

// Parse accepts a DNS name or an IP address in its usual spelling; literal says that it is an address. The
// spellings that only some resolvers understand ("127.1", "0x7f.1",
// "2130706433") are no names: no top-level domain is a number.
func Parse(host string) (a netip.Addr, literal bool, err error) {
	if host == "" || len(host) > Most+1 {
		return a, false, errors.New("the host is empty or longer than any name")
	}
	bare, bracketed := unbracket(host)
	if a, err := netip.ParseAddr(bare); err == nil {
		if bracketed && !a.Is6() {
			return a, false, errors.New("brackets are for IPv6 addresses")
		}
		return a, true, nil
	}
	if bracketed {
		return a, false, errors.New("what stands in brackets is no IPv6 address")
	}
	name := Lower(host)
	if len(name) > Most {
		return a, false, errors.New("the host is longer than any name")
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if err := checkLabel(l); err != nil {
			return a, false, err
		}
	}
	if numeric(labels[len(labels)-1]) {
		return a, false, fmt.Errorf("a name cannot end in a number: %w", ErrUnusual)
	}
	return a, false, nil
}

// unbracket takes the brackets off that an IPv6 address has in URLs.
func unbracket(host string) (bare string, bracketed bool) {
	if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		return host[1 : len(host)-1], true
	}
	return host, false
}

// elsewhere are characters of URLs, addresses of people and sentences, which say that something else was written.
const elsewhere = " /\\@%?#\"'()<>,;:[]"

// checkLabel takes letters, digits, hyphens and underscores. Names in other
// scripts come in their ASCII form (xn--…), so that no look-alike is dialled
// unseen.
func checkLabel(l string) error {
	if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
		return errors.New("a part of the name is empty, too long, or begins or ends with a hyphen")
	}
	var unusual error
	for _, c := range l {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		case strings.ContainsRune(elsewhere, c), unicode.IsControl(c):
			return errors.New("the name has a character that no host name has")
		default:
			unusual = fmt.Errorf("the name has a character that no host name has: %w", ErrUnusual)
		}
	}
	return unusual
}

func numeric(label string) bool {
	hex := strings.TrimPrefix(label, "0x")
	digits := "0123456789"
	if hex != label {
		digits += "abcdef"
	}
	return strings.Trim(hex, digits) == ""
}
