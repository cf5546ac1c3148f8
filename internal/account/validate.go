package account

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/hostname"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Limits of what a user may write, in bytes.
const (
	MaxUsername   = 320  // 64 for the local part, 255 for the domain, and "@".
	MaxPassword   = 1024 // Access tokens are not entered by hand.
	MaxName       = 100
	MaxSenderName = 200
	MaxFolder     = 200
	MaxRules      = 500  // Entries in each of include and exclude.
	MaxRule       = 1000 // Of one entry.
)

// text checks one free-text field.
func (e *InvalidError) text(field, s string, max int, required bool) {
	switch {
	case required && strings.TrimSpace(s) == "":
		e.Add(field, "required", "must not be empty")
	case len(s) > max:
		e.Add(field, "too_long", "must not be longer than %d bytes", max)
	case words.HasControl(s):
		e.Add(field, "control_character", "must not contain control characters or line breaks")
	case s != strings.TrimSpace(s):
		e.Add(field, "invalid", "must not start or end with a space")
	}
}

func (e *InvalidError) email(field, s string) {
	if s == "" {
		e.Add(field, "required", "must not be empty")
		return
	}
	if words.HasControl(s) {
		e.Add(field, "control_character", "must not contain control characters or line breaks")
		return
	}
	var why words.Sentence
	if _, err := owner.PlainAddress(s); errors.As(err, &why) {
		e.Add(field, "invalid", why.Format, why.Args...)
	}
}

func (e *InvalidError) password(s remote.Secret) {
	p := s.Reveal()
	switch {
	case p == "":
		e.Add("password", "required", "must not be empty")
	case len(p) > MaxPassword:
		e.Add("password", "too_long", "must not be longer than %d bytes", MaxPassword)
	case strings.ContainsAny(p, "\r\n\x00") || !utf8.ValidString(p) || strings.ContainsFunc(p, unicode.IsControl):
		e.Add("password", "control_character", "must not contain control characters or line breaks")
	}
}

func (e *InvalidError) protocol(p remote.Protocol) {
	if p != remote.IMAP && p != remote.POP3 {
		e.Add("protocol", "invalid", "must be imap or pop3")
	}
}

func (e *InvalidError) server(s remote.Server, allowPlaintext bool) {
	switch {
	case s.Host == "":
		e.Add("server.host", "required", "is not known for this address: give the server's name")
	case len(s.Host) > hostname.Most:
		e.Add("server.host", "too_long", "must not be longer than %d bytes", hostname.Most)
	case words.HasControl(s.Host):
		e.Add("server.host", "control_character", "must not contain control characters or line breaks")
	case hostname.Check(s.Host) != nil:
		e.Add("server.host", "invalid",
			"must be the name or the address of a server and nothing else, such as imap.example.org")
	}
	if s.Port < 1 || s.Port > 65535 {
		e.Add("server.port", "out_of_range", "must be between %d and %d", 1, 65535)
	}
	switch s.Security {
	case remote.TLS, remote.STARTTLS:
	case remote.None:
		if !allowPlaintext {
			e.Add("server.security", "not_allowed", "unencrypted connections are not allowed here: choose tls or starttls")
		}
	default:
		e.Add("server.security", "invalid", "must be tls, starttls or none")
	}
}

func (e *InvalidError) rules(field string, rules []string) {
	if len(rules) > MaxRules {
		e.Add(field, "too_many", "must not have more than %d entries", MaxRules)
		return
	}
	for i, r := range rules {
		e.text(fmt.Sprintf("%s[%d]", field, i), r, MaxRule, true)
	}
}

func (e *InvalidError) interval(d, least time.Duration) {
	switch {
	case d < least:
		e.Add("poll_interval_seconds", "out_of_range", "must be at least %d seconds", int(least.Seconds()))
	case d > 7*24*time.Hour:
		e.Add("poll_interval_seconds", "out_of_range", "must not be longer than a week, which is %d seconds", 604800)
	}
}

func (e *InvalidError) start(s route.Start) {
	if s < route.StartNew || s > route.MaxStartDays {
		e.Add("start", "out_of_range", "must be all, new, or between 1 and %d days", route.MaxStartDays)
	}
}

func (e *InvalidError) messageBytes(n int64) {
	if n < route.LeastMessageBytes || n > route.MostMessageBytes {
		e.Add("max_message_bytes", "out_of_range", "must be between %d and %d",
			route.LeastMessageBytes, route.MostMessageBytes)
	}
}

// protocolName writes a protocol as people know it: "IMAP".
func protocolName(p remote.Protocol) string { return strings.ToUpper(string(p)) }
