package wire

import (
	"errors"
	"strings"
	"sync/atomic"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// errWritingRefused says that something was about to be sent to a destination that is
// not on the list of what may be. It is a defect of ours, never of a server.
var errWritingRefused = errors.New("imap writing guard: refused to send")

// The commands that only a destination is sent, beside those of imap_guard.go.
const (
	verbAppend       = "APPEND"
	verbCreate       = "CREATE"
	verbDelete       = "DELETE"
	verbEnable       = "ENABLE"
	verbGetQuota     = "GETQUOTA"
	verbGetQuotaRoot = "GETQUOTAROOT"
	verbLsub         = "LSUB"
	verbMove         = "UID MOVE"
	verbMyRights     = "MYRIGHTS"
	verbSelect       = "SELECT"
	verbSubscribe    = "SUBSCRIBE"
	verbUnselect     = "UNSELECT"
	verbUnsubscribe  = "UNSUBSCRIBE"
)

// Permission says of which folders at a destination something may be taken away; names
// are as the server writes them.
type Permission struct {
	// Private are folders of ours that no user works with: messages may be moved out of
	// them, and they may be deleted.
	Private func(name string) bool
	// Removed are folders that may be deleted with all they hold, and taken off the subscriptions,
	// since their owner asks for it. Nil: none.
	Removed func(name string) bool
}

// writingGuard decides what may be sent to a destination. It cannot change or take away a
// message that was there, nor one that was delivered: no STORE, EXPUNGE, CLOSE, COPY or
// RENAME, no MOVE but out of a private folder and no DELETE but of one.
//
// It is no Allowlist, so that nothing that reads from a remote server can be given it.
type writingGuard struct {
	may     Permission
	refused *atomic.Int64 // May be nil.
	private bool          // The folder that is selected, by the server's word, is a private one.
	asked   string        // The tag of the SELECT of a private folder that was sent last; "": there is none.
	asking  bool          // The command that is checked is one.
	argued  bool          // It has a space after its name.
}

// writingGrammar checks a command's arguments.
type writingGrammar func(g *writingGuard, args string) bool

var writingGrammars = map[string]writingGrammar{
	verbCapability: bareWriting,
	verbNoop:       bareWriting,
	verbLogout:     bareWriting,
	verbSTARTTLS:   bareWriting,
	verbNamespace:  bareWriting,
	verbUnselect:   bareWriting,
	verbLogin: func(_ *writingGuard, args string) bool {
		_, rest, ok := cutQuoted(args)
		_, rest, also := cutQuoted(strings.TrimPrefix(rest, " "))
		return ok && also && rest == ""
	},
	verbAuthenticate: func(_ *writingGuard, args string) bool {
		mechanism, initial, _ := strings.Cut(args, " ")
		return isAtom(mechanism) && isBase64(initial)
	},
	verbID:     func(_ *writingGuard, args string) bool { return isIntroduction(args) },
	verbEnable: func(_ *writingGuard, args string) bool { return args == "UTF8=ACCEPT" },
	verbList:   listWriting,
	verbLsub:   listWriting,
	verbStatus: func(_ *writingGuard, args string) bool {
		_, rest, ok := cutQuoted(args)
		return ok && isItemList(rest, statusAsked)
	},
	verbGetQuotaRoot: folderWriting,
	verbGetQuota:     folderWriting,
	verbMyRights:     folderWriting,
	verbCreate:       folderWriting,
	verbSubscribe:    folderWriting,
	verbExamine:      folderWriting,
	verbSelect: func(g *writingGuard, args string) bool {
		name, _, _ := cutQuoted(args)
		g.asking = g.may.Private != nil && g.may.Private(name)
		return folderWriting(g, args)
	},
	verbFetch: func(_ *writingGuard, args string) bool {
		set, items, _ := strings.Cut(args, " ")
		_, ok := parseUIDSet(set)
		return ok && isItemList(" "+items, lookItems)
	},
	verbMove: func(g *writingGuard, args string) bool {
		set, folder, _ := strings.Cut(args, " ")
		_, ok := parseUIDSet(set)
		name, rest, quoted := cutQuoted(folder)
		return ok && quoted && rest == "" && g.private && !g.may.Private(name)
	},
	verbDelete: func(g *writingGuard, args string) bool {
		name, rest, ok := cutQuoted(args)
		private := g.may.Private != nil && g.may.Private(name)
		return ok && rest == "" && (private || g.may.Removed != nil && g.may.Removed(name))
	},
	verbUnsubscribe: func(g *writingGuard, args string) bool {
		name, rest, ok := cutQuoted(args)
		return ok && rest == "" && g.may.Removed != nil && g.may.Removed(name)
	},
	verbAppend: func(_ *writingGuard, args string) bool {
		_, rest, ok := cutQuoted(args)
		return ok && isAppended(rest)
	},
}

var (
	statusAsked = []string{"UIDVALIDITY", "UIDNEXT", "MESSAGES", "SIZE", "APPENDLIMIT"}
	lookItems   = []string{"UID", "RFC822.SIZE", "INTERNALDATE", "FLAGS", "BODY.PEEK[]", "BODY.PEEK[HEADER]"}
)

func bareWriting(g *writingGuard, args string) bool { return args == "" && !g.argued }

func folderWriting(_ *writingGuard, args string) bool {
	_, rest, ok := cutQuoted(args)
	return ok && rest == ""
}

func listWriting(_ *writingGuard, args string) bool {
	_, rest, ok := cutQuoted(args)
	_, rest, also := cutQuoted(strings.TrimPrefix(rest, " "))
	items, returns := strings.CutPrefix(rest, " RETURN")
	return ok && also && (rest == "" || returns && isItemList(items, []string{"SPECIAL-USE", "SUBSCRIBED"}))
}

// isAppended reports whether text is ` (flags) "date" {n}` with flags that travel, as it
// stands before each message of an APPEND (RFC 9051 section 6.3.12, RFC 3502).
func isAppended(text string) bool {
	inner, ok := strings.CutPrefix(text, " (")
	flags, rest, closes := strings.Cut(inner, `) "`)
	date, size, ends := strings.Cut(rest, `" `)
	if !ok || !closes || !ends || !usableDate([]byte(date)) {
		return false
	}
	for f := range strings.SplitSeq(flags, " ") {
		switch f {
		case "":
			if flags != "" {
				return false
			}
		case `\Seen`, `\Answered`, `\Flagged`, `\Draft`:
		default:
			if !mail.IsKeyword(f) {
				return false
			}
		}
	}
	_, ok = announced(size)
	return ok
}

// cutQuoted takes a quoted string off a text and returns what it stands for. There is one way
// to write it, so that no server reads another name than was judged: "\x" is not always "x".
func cutQuoted(text string) (inner, rest string, ok bool) {
	n := quotedLen(text)
	if n == 0 {
		return "", "", false
	}
	inner = string(unescape([]byte(text[1 : n-1])))
	return inner, text[n:], Askable(inner) && text[:n] == Quote(inner)
}

// command checks a command without its tag and line end, as it is about to be sent.
func (g *writingGuard) command(line string) error {
	verb, args, argued := strings.Cut(line, " ")
	g.argued = argued
	if verb == "UID" {
		second, rest, _ := strings.Cut(args, " ")
		verb, args = verb+" "+second, rest
	}
	switch verb {
	case verbSelect, verbExamine, verbUnselect: // Whatever comes of it, what was selected is not any more.
		g.private, g.asked, g.asking = false, "", false
	}
	grammar := writingGrammars[verb]
	if grammar == nil || strings.ContainsAny(line, "\x00\r\n") || len(line) > maxCommandLine || !grammar(g, args) {
		return g.refuse()
	}
	return nil
}

// sent records the tag that a command was sent under.
func (g *writingGuard) sent(tag string) {
	if g.asking {
		g.asked, g.asking = tag, false
	}
}

// completed records that the server said OK: what it has not selected is not moved out of.
func (g *writingGuard) completed(tag string) { g.private = g.private || tag == g.asked }

// next checks what stands before a further message of the APPEND under way.
func (g *writingGuard) next(text string) error {
	if !isAppended(text) || strings.ContainsAny(text, "\x00\r\n") || len(text) > maxCommandLine {
		return g.refuse()
	}
	return nil
}

// answer checks a line that answers a challenge.
func (g *writingGuard) answer(line string) error {
	if !isBase64(line) || len(line) > maxCommandLine {
		return g.refuse()
	}
	return nil
}

func (g *writingGuard) refuse() error {
	if g.refused != nil {
		g.refused.Add(1)
	}
	return errWritingRefused
}
