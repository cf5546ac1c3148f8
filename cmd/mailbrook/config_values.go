package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/hostname"
	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/memory"
	"github.com/mailbrook/mailbrook/internal/words"
)

// minSecret is the least length of a shared secret: RFC 7518 section 3.2
// requires a key as long as the hash.
const minSecret = 32

func checkText(v string) error {
	if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("must not contain control characters")
	}
	return nil
}

func checkListen(v string) error {
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return errors.New("must be a host and a port, as in 127.0.0.1:8080 or :8080")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return errors.New("must end in a port from 0 to 65535")
	}
	return nil
}

// checkDatabase says nothing of the value, which may hold a password.
func checkDatabase(v string) error {
	switch scheme, rest, _ := strings.Cut(v, ":"); scheme {
	case "sqlite":
		if rest == "" {
			return errors.New("names no file: write sqlite:/path/to/mailbrook.db")
		}
		return checkText(v)
	case "postgres", "postgresql":
		u, err := url.Parse(v)
		if err != nil || !strings.HasPrefix(rest, "//") || u.Opaque != "" {
			return errors.New("is no address of a database: write postgres://user:password@host:5432/name (and %XX for " +
				"special " +
				"characters)")
		}
		return nil
	}
	return errors.New("must begin with sqlite: or postgres://")
}

// placeholders are the words in braces of a template.
var placeholders = regexp.MustCompile(`\{[^{}]*\}`)

func checkMailbox(v string) error {
	if v == mailboxIMAP {
		return nil
	}
	path, ok := strings.CutPrefix(v, "maildir:")
	if !ok || path == "" {
		return errors.New("must begin with maildir: and a path, or be imap")
	}
	personal := false
	for _, p := range placeholders.FindAllString(path, -1) {
		switch p {
		case "{user}", "{local}":
			personal = true
		case "{domain}":
		default:
			return fmt.Errorf("must not contain %s: there are {user}, {domain} and {local}", p)
		}
	}
	if strings.ContainsAny(placeholders.ReplaceAllString(path, ""), "{}") {
		return errors.New("has a brace without its counterpart")
	}
	if !personal {
		return errors.New("must contain {user} or {local}, or all users would share one mailbox")
	}
	if err := maildir.CheckTemplate(v); errors.Is(err, maildir.ErrShared) {
		return fmt.Errorf("must not be so: %w", err)
	}
	return checkText(v)
}

func checkSecret(v string) error {
	if v != "" && len(v) < minSecret {
		return fmt.Errorf("is shorter than %d bytes, the least for HS256: take a longer one, such as the output of "+
			"\"openssl rand -base64 48\"", minSecret)
	}
	return nil
}

// perToken are claims that are another one in each token, or the same for
// everybody, or the address.
var perToken = []string{"jti", "iat", "exp", "nbf", "aud", "iss", "scope", "nonce", "sid", "auth_time", "sub", "email"}

// checkClaim refuses what cannot tell users apart: with a claim that changes each
// token would be another user's, and the accounts of the one before be removed.
func checkClaim(v string) error {
	if slices.Contains(perToken, v) {
		return errors.New("must name a claim that every token of a user has alike, and no other user's does, such as uid")
	}
	return checkText(v)
}

func checkJWKS(v string) error {
	if v == "" {
		return nil
	}
	u, err := url.Parse(v)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return errors.New("must be an address that begins with https://")
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return errors.New("must begin with https://: whoever can change the keys on the way can sign in as anybody")
	}
	return nil
}

// parseTitle wants a name that fits the head of a page.
func parseTitle(v string) (string, error) {
	v = strings.TrimSpace(v)
	switch {
	case words.HasControl(v) || utf8.RuneCountInString(v) > 40:
		return "", errors.New("must have 40 characters at most, all of them printable")
	case account.Blank(v):
		return "", errors.New("must have a character that can be seen")
	}
	return v, nil
}

// checkForPeople wants an address that a link may lead people to, or none.
func checkForPeople(v string) error {
	if v == "" {
		return nil
	}
	u, err := url.Parse(v)
	if err != nil || words.HasControl(v) || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return errors.New("must be the address of a page, like https://firma.example/pomoc")
	}
	return nil
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || (err == nil && a.IsLoopback())
}

// mappedBits are before an IPv4 address that is written as IPv6 (RFC 4291 section
// 2.5.5.2).
const mappedBits = 96

// parseNetworks reads networks, and single addresses as networks of one. IPv4 that is
// written as IPv6 (::ffff:192.0.2.7) is IPv4: what connects is compared as such.
func parseNetworks(v string) ([]netip.Prefix, error) {
	var nets []netip.Prefix
	for _, word := range splitWords(v) {
		p, err := netip.ParsePrefix(word)
		if err != nil {
			a, aerr := netip.ParseAddr(word)
			if aerr != nil || a.Zone() != "" {
				return nil, fmt.Errorf("must be networks such as 10.0.0.0/8 or fd00::/8, which %q is not", word)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if a := p.Addr(); a.Is4In6() {
			if p.Bits() < mappedBits {
				return nil, fmt.Errorf("must be networks such as 10.0.0.0/8 or fd00::/8: write %q as one of IPv4 or of IPv6", word)
			}
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-mappedBits)
		}
		nets = append(nets, p.Masked())
	}
	return nets, nil
}

func parseHosts(v string) ([]string, error) {
	var hosts []string
	for _, word := range splitWords(v) {
		h, err := hostname.Checked(word)
		if err != nil {
			return nil, fmt.Errorf("must be hosts such as imap.example.org, which %q is not: %w", word, err)
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

func parsePorts(v string) (portList, error) {
	if strings.TrimSpace(v) == "*" {
		return portList{Any: true}, nil
	}
	var ports []int
	for _, word := range splitWords(v) {
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > 65535 {
			return portList{}, fmt.Errorf("must be ports from 1 to 65535, or \"*\" for all, which %q is not", word)
		}
		if !slices.Contains(ports, n) {
			ports = append(ports, n)
		}
	}
	if len(ports) == 0 {
		return portList{}, errors.New("names no port")
	}
	return portList{List: ports}, nil
}

// splitWords splits at commas and spaces.
func splitWords(v string) []string {
	return strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
}

func parseTruth(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "true", "yes", "on", "1":
		return true, nil
	case "false", "no", "off", "0":
		return false, nil
	}
	return false, errors.New("must be true or false")
}

func parseNumber(v string, most int) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > most {
		return 0, fmt.Errorf("must be a number from 1 to %d", most)
	}
	return n, nil
}

// parseMemory reads a size of what visits need at the least.
func parseMemory(v string) (int64, error) {
	n, err := parseBytes(v)
	if err == nil && n < memory.Least {
		return 0, fmt.Errorf("must be at least %dMB", memory.Least>>20)
	}
	return n, err
}

// parseBytes reads "512MB", "2GiB", and octets without a unit. All units are
// powers of 1024.
func parseBytes(v string) (int64, error) {
	bad := errors.New("must be a size such as 512MB, 2GB or 536870912")
	digits := strings.TrimRight(strings.ToUpper(v), " BIKMGT")
	unit, ok := map[string]int{
		"": 0, "B": 0, "K": 10, "KB": 10, "KIB": 10, "M": 20, "MB": 20, "MIB": 20, "G": 30, "GB": 30, "GIB": 30, "T": 40,
		"TB": 40, "TIB": 40,
	}[strings.TrimSpace(strings.ToUpper(v[len(digits):]))]
	n, err := strconv.ParseInt(digits, 10, 62)
	switch {
	case !ok || err != nil || n < 0 || n > 1<<50>>unit:
		return 0, bad
	}
	return n << unit, nil
}

// parseDuration reads "5m", "90s", "1h30m", and nothing without a unit.
func parseDuration(v string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(v, 64); err == nil {
		return 0, fmt.Errorf("has no unit: write %sm for minutes or %ss for seconds", v, v)
	}
	d, err := time.ParseDuration(v)
	switch {
	case err != nil:
		return 0, errors.New("must be a time such as 5m, 90s or 1h30m")
	case d < 100*time.Millisecond:
		return 0, errors.New("must be at least 100ms")
	case d > 7*24*time.Hour:
		return 0, errors.New("must be at most a week (168h)")
	}
	return d, nil
}
