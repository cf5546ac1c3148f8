package wire

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Phase is how far a session has come: it says what a refusal means whose words
// say nothing.
type Phase int

// How far a session can have come.
const (
	Greeting       Phase = iota // Before anything was asked.
	SigningIn                   // USER and PASS, LOGIN, AUTHENTICATE, AUTH.
	AskingAccount               // Of all folders or messages: LIST, NAMESPACE; STAT, UIDL, LIST by POP3.
	OpeningFolder               // Of one folder: STATUS, EXAMINE, and what it holds.
	ReadingMessage              // Of messages: FETCH of bodies; TOP, RETR.
)

// The kinds of a reply that are no success.
const (
	NO  = "NO"
	BAD = "BAD"
	BYE = "BYE"
	ERR = "-ERR"
)

// Reply is how a server refuses, by IMAP or POP3. Whatever it answers, in
// whatever phase, is judged by the one table of responseCodes and saidWords.
type Reply struct {
	Kind string
	Code string // The response code in upper case (RFC 9051 section 7.1, RFC 2449 section 8); may be empty.
	Args string // What follows it within the brackets.
	Text string
}

// IMAPReply is a tagged NO or BAD as the library gives it.
func IMAPReply(e *imap.Error) Reply {
	return Reply{Kind: string(e.Type), Code: string(e.Code), Text: e.Text}
}

// POP3Reply is what follows "-ERR ".
func POP3Reply(text string) Reply {
	r := Reply{Kind: ERR, Text: text}
	if inner, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "]"); ok && strings.HasPrefix(text, "[") {
		code, args, _ := strings.Cut(inner, " ")
		r.Code, r.Args, r.Text = strings.ToUpper(code), args, strings.TrimSpace(rest)
	}
	return r
}

// Judge says what a refusal means that came in a phase, while op was being done.
// Session says whether the server speaks of itself or the account, rather than
// of the folder or message that it was asked for; such words may still be about
// that one alone, which another question shows. RetryAfter is how long the
// server asks clients to stay away, 0 if it does not say.
func (r Reply) Judge(p Phase, op string, cred remote.Credential) *fault.Error {
	code, known := r.Means()
	switch {
	case code == fault.AuthFailed && p > SigningIn:
		code = fault.ServerUnavailable // It had signed us in: the session is gone.
	case code == fault.ProtocolError && p >= OpeningFolder:
		known = false // What was asked for had a part in it.
	}
	if !known {
		code = r.otherwise(p)
	}
	f := &fault.Error{Code: code, Op: op, Session: known || p < OpeningFolder || r.Kind == BYE, RetryAfter: r.wait()}
	if f.Code == fault.AuthFailed && cred.Auth == remote.OAuth2 {
		f.Code = fault.OAuthReauthorizationRequired
	}
	f.Detail = words.Detail{ServerSays(r.Text, cred)}
	switch {
	case f.Code == fault.AuthFailed && (r.Code == "EXPIRED" || holdsOne(foldWords(r.Text), passwordExpired)):
		f.Detail = append(words.Detail{words.Say(fault.PasswordExpired)}, f.Detail...)
	case r.Code == "PRIVACYREQUIRED":
		f.Detail = append(words.Detail{words.Say("The server wants an encrypted connection.")}, f.Detail...)
	}
	return f
}

// otherwise is what a refusal means that gives no reason.
func (r Reply) otherwise(p Phase) fault.Code {
	switch {
	case r.Kind == BYE:
		return fault.ServerUnavailable
	case p == SigningIn && r.Kind == BAD:
		return fault.ProtocolError
	case p == SigningIn:
		return fault.AuthFailed
	case p == OpeningFolder:
		return fault.FolderFailed
	case p == ReadingMessage:
		return fault.MessageFailed
	}
	return fault.ServerUnavailable
}

// Means finds what the code and the words mean. Words may refine a code that
// says little; a code that says all, and one about a folder or message, stands.
func (r Reply) Means() (code fault.Code, clear bool) {
	name, _, _ := strings.Cut(r.Code, "=")
	known, ok := responseCodes[name]
	if !ok && strings.HasPrefix(name, "LOGIN-DELAY") { // [LOGIN-DELAY/300], of some.
		known, ok = responseCodes["LOGIN-DELAY"], true
	}
	if ok && !known.refined {
		return known.code, true
	}
	text := foldWords(r.Text)
	for _, w := range tellingWords {
		if w.in(text) {
			return w.code, true
		}
	}
	if ok {
		return known.code, known.code != ""
	}
	for _, w := range vagueWords {
		if w.in(text) {
			return w.code, true
		}
	}
	return "", false
}

// Waits that servers name, in words folded by foldWords. Only a time that we are
// asked to wait counts, not one that is over ("idle for 30 minutes").
var (
	backoffTime = regexp.MustCompile(`back-?off time:? *(\d{1,12}) *(\pL*)`)
	waitTime    = regexp.MustCompile(`(?:\bwait|\bagain in|\bretry (?:in|after)|\bagain after|\bponownie za|\bodczekaj` +
		`|\berneut in|\bwarten sie|\bminimum|\bdelay)[^\d.]{0,40}?(\d{1,12}) *(\pL*)`)
	waitTimeChinese = regexp.MustCompile(`(\d{1,12}) *(秒|分|小时)钟?(?:后|再|以后|之后)`)
)

// longestWait bounds what a server may ask for, far beyond what the schedule
// takes from it.
const longestWait = 30 * 24 * time.Hour

// wait is how long the server asks clients to stay away, 0 if it does not say.
func (r Reply) wait() time.Duration {
	if rest, ok := strings.CutPrefix(r.Code, "LOGIN-DELAY"); ok {
		if d := waitOf(strings.Trim(rest+" "+r.Args, "/=: "), "s"); d > 0 {
			return d
		}
	}
	text := foldWords(r.Text)
	if m := backoffTime.FindStringSubmatch(text); m != nil {
		return waitOf(m[1], or(m[2], "ms"))
	}
	for _, words := range []*regexp.Regexp{waitTime, waitTimeChinese} {
		if m := words.FindStringSubmatch(text); m != nil {
			return waitOf(m[1], or(m[2], "s"))
		}
	}
	return 0
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// waitOf is a number of units, by the beginning of their name in any of the
// languages of the words.
func waitOf(number, unit string) time.Duration {
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n <= 0 {
		return 0
	}
	var each time.Duration
	switch {
	case strings.HasPrefix(unit, "ms"), strings.HasPrefix(unit, "millis"), strings.HasPrefix(unit, "milis"):
		each = time.Millisecond
	case strings.HasPrefix(unit, "h"), strings.HasPrefix(unit, "godz"), strings.HasPrefix(unit, "stund"), unit == "小时":
		each = time.Hour
	case strings.HasPrefix(unit, "m"), strings.HasPrefix(unit, "分"):
		each = time.Minute
	case strings.HasPrefix(unit, "s"), unit == "秒":
		each = time.Second
	case strings.HasPrefix(unit, "d"), strings.HasPrefix(unit, "tag"):
		each = 24 * time.Hour
	default:
		return 0
	}
	if n > int64(longestWait/each) {
		return longestWait
	}
	return time.Duration(n) * each
}

// ServerSays quotes a server, cleaned and without the secret.
func ServerSays(text string, cred remote.Credential) words.Sentence {
	if text = words.Clean(remote.Redact(text, cred.Secret), 200); text == "" || text == "-" {
		return words.Say("The server gave no reason.")
	}
	return words.Say("The server says: %s", text)
}
