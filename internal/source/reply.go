package source

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
)

// phase is how far a session has come: it says what a refusal means whose words
// tell nothing.
type phase int

const (
	greeting       phase = iota // Before anything was asked.
	signingIn                   // USER and PASS, LOGIN, AUTHENTICATE, AUTH.
	askingAccount               // Of all folders or messages: LIST, NAMESPACE; STAT, UIDL, LIST by POP3.
	openingFolder               // Of one folder: STATUS, EXAMINE, and what it holds.
	readingMessage              // Of messages: FETCH of bodies; TOP, RETR.
)

// The kinds of a reply that are no success.
const (
	replyNO  = "NO"
	replyBAD = "BAD"
	replyBYE = "BYE"
	replyERR = "-ERR"
)

// reply is how a server refuses, by IMAP or POP3. Whatever it answers, in
// whatever phase, is judged by the one table of responseCodes and saidWords.
type reply struct {
	kind string
	code string // The response code in upper case (RFC 9051 section 7.1, RFC 2449 section 8); may be empty.
	args string // What stands behind it within the brackets.
	text string
}

// imapReply is a tagged NO or BAD as the library gives it.
func imapReply(e *imap.Error) reply {
	return reply{kind: string(e.Type), code: string(e.Code), text: e.Text}
}

// popReply is what stands behind "-ERR ".
func popReply(text string) reply {
	r := reply{kind: replyERR, text: text}
	if inner, rest, ok := strings.Cut(strings.TrimPrefix(text, "["), "]"); ok && strings.HasPrefix(text, "[") {
		code, args, _ := strings.Cut(inner, " ")
		r.code, r.args, r.text = strings.ToUpper(code), args, strings.TrimSpace(rest)
	}
	return r
}

// judge says what a refusal means that came in a phase, while op was being done.
// Session tells whether the server speaks of itself or the account, rather than
// of the folder or message that it was asked for; such words may still be about
// that one alone, which another question shows. RetryAfter is how long the
// server wants to be left in peace, 0 if it does not say.
func (r reply) judge(p phase, op string, cred account.Credential) *fault.Error {
	code, told := r.means()
	switch {
	case code == fault.AuthFailed && p > signingIn:
		code = fault.ServerUnavailable // It had signed us in: the session is gone.
	case code == fault.ProtocolError && p >= openingFolder:
		told = false // What was asked for had a part in it.
	}
	if !told {
		code = r.otherwise(p)
	}
	f := &fault.Error{Code: code, Op: op, Session: told || p < openingFolder || r.kind == replyBYE, RetryAfter: r.wait()}
	if f.Code == fault.AuthFailed && cred.Auth == account.OAuth2 {
		f.Code = fault.OAuthReauthorizationRequired
	}
	f.Detail = serverSays(r.text, cred)
	switch {
	case f.Code == fault.AuthFailed && (r.code == "EXPIRED" || holdsOne(foldWords(r.text), passwordExpired)):
		f.Detail = fault.PasswordExpired + " " + f.Detail
	case r.code == "PRIVACYREQUIRED":
		f.Detail = "The server wants an encrypted connection. " + f.Detail
	}
	return f
}

// otherwise is what a refusal means that gives no reason.
func (r reply) otherwise(p phase) fault.Code {
	switch {
	case r.kind == replyBYE:
		return fault.ServerUnavailable
	case p == signingIn && r.kind == replyBAD:
		return fault.ProtocolError
	case p == signingIn:
		return fault.AuthFailed
	case p == openingFolder:
		return fault.FolderFailed
	case p == readingMessage:
		return fault.MessageFailed
	}
	return fault.ServerUnavailable
}

// means finds what the code and the words tell. Words may refine a code that
// says little; a code that says all, and one about a folder or message, stands.
func (r reply) means() (code fault.Code, told bool) {
	name, _, _ := strings.Cut(r.code, "=")
	known, ok := responseCodes[name]
	if !ok && strings.HasPrefix(name, "LOGIN-DELAY") { // [LOGIN-DELAY/300], of some.
		known, ok = responseCodes["LOGIN-DELAY"], true
	}
	if ok && !known.refined {
		return known.code, true
	}
	text := foldWords(r.text)
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

// wait is how long the server wants to be left in peace, 0 if it does not say.
func (r reply) wait() time.Duration {
	if rest, ok := strings.CutPrefix(r.code, "LOGIN-DELAY"); ok {
		if d := waitOf(strings.Trim(rest+" "+r.args, "/=: "), "s"); d > 0 {
			return d
		}
	}
	text := foldWords(r.text)
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

// serverSays quotes a server, cleaned and without the secret.
func serverSays(text string, cred account.Credential) string {
	if text = fault.Clean(account.Redact(text, cred.Secret), 200); text == "" || text == "-" {
		return "The server gave no reason."
	}
	return "The server says: " + text
}
