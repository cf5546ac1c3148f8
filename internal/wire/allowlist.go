package wire

import (
	"slices"
	"strconv"
	"strings"
)

// Allowlist says which commands may be sent over a connection, each with its
// grammar. What it does not name is not sent, whoever writes it; its zero value
// names nothing. [Reading] is the only one there is.
type Allowlist struct {
	imap map[string]imapGrammar
	pop3 map[POP3Verb]func(args string, has bool) bool
}

// imapGrammar checks a command's arguments and notes in c what the filter has to
// know of it. instead is what is sent in its place, nil: as it was written; shown is
// its arguments in the transcript. why says what is wrong; "": nothing.
type imapGrammar func(g *imapGuard, c *IMAPCommand, args string, has bool) (instead []byte, shown, why string)

// Reading allows what reads and cannot change anything at the server. RETR may mark a
// message as read at some servers, whoever sends it (docs/servers.md); DELE, STORE,
// EXPUNGE, SELECT and all that writes are not on it.
func Reading() Allowlist {
	return Allowlist{
		imap: map[string]imapGrammar{
			verbCapability:   bareIMAP,
			verbNoop:         bareIMAP,
			verbLogout:       bareIMAP,
			verbSTARTTLS:     bareIMAP,
			verbNamespace:    bareIMAP,
			verbLogin:        loginIMAP,
			verbAuthenticate: authenticateIMAP,
			verbID:           introduceIMAP,
			verbList:         listIMAP,
			verbExamine:      folderIMAP,
			verbStatus:       folderIMAP,
			verbFetch:        fetchIMAP,
		},
		pop3: map[POP3Verb]func(string, bool) bool{
			PopCAPA: barePOP3, PopSTLS: barePOP3, PopUTF8: barePOP3, PopSTAT: barePOP3, PopLIST: barePOP3,
			PopUIDL: barePOP3, PopNOOP: barePOP3, PopRSET: barePOP3, PopQUIT: barePOP3,
			PopUSER: somePOP3, PopPASS: somePOP3,
			PopAUTH: func(args string, _ bool) bool {
				mechanism, initial, _ := strings.Cut(args, " ")
				return slices.Contains(SASLMechanisms, mechanism) && isSASLAnswer([]byte(initial))
			},
			PopAPOP: func(args string, _ bool) bool {
				user, digest, _ := cutLast(args, " ")
				return user != "" && len(digest) == 32 && strings.Trim(digest, "0123456789abcdef") == ""
			},
			PopRETR: func(args string, _ bool) bool { return isNumber(args) },
			PopTOP: func(args string, _ bool) bool {
				n, lines, _ := strings.Cut(args, " ")
				return isNumber(n) && lines == "0"
			},
		},
	}
}

func barePOP3(_ string, has bool) bool  { return !has }
func somePOP3(args string, _ bool) bool { return args != "" }

func bareIMAP(_ *imapGuard, c *IMAPCommand, _ string, has bool) (instead []byte, shown, why string) {
	if has {
		return nil, "", c.verb + " with arguments"
	}
	return nil, "", ""
}

// loginIMAP leaves the arguments to continueLogin: literals may follow.
func loginIMAP(*imapGuard, *IMAPCommand, string, bool) (instead []byte, shown, why string) {
	return nil, "***", ""
}

func authenticateIMAP(_ *imapGuard, c *IMAPCommand, args string, _ bool) (instead []byte, shown, why string) {
	mechanism, initial, _ := strings.Cut(args, " ")
	if !isAtom(mechanism) || !isBase64(initial) {
		return nil, "", "AUTHENTICATE with bad arguments"
	}
	c.questions = speaksFirst(mechanism)
	return nil, mechanism + " ***", ""
}

func introduceIMAP(_ *imapGuard, _ *IMAPCommand, args string, _ bool) (instead []byte, shown, why string) {
	if !isIntroduction(args) {
		return nil, "", "ID with more than name and version"
	}
	return nil, args, ""
}

func listIMAP(_ *imapGuard, _ *IMAPCommand, args string, _ bool) (instead []byte, shown, why string) {
	if strings.Trim(args, `ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ()*%"-`) != "" {
		return nil, "", "LIST with bad arguments"
	}
	return nil, args, ""
}

// folderIMAP turns a folder's alias back into its name, in EXAMINE and STATUS.
func folderIMAP(_ *imapGuard, c *IMAPCommand, args string, _ bool) (instead []byte, shown, why string) {
	name, rest, ok := cutAlias(args)
	if !ok || c.verb == verbExamine && rest != "" || c.verb == verbStatus && !isItemList(rest, statusItems) {
		return nil, "", c.verb + " with bad arguments"
	}
	instead = appendQuoted([]byte(c.tag+" "+c.verb+" "), name)
	return append(append(instead, rest...), "\r\n"...), strconv.QuoteToASCII(name) + rest, ""
}

// fetchIMAP asks for headers in plain words, and adds to listings the one item that
// the library does not know.
func fetchIMAP(g *imapGuard, c *IMAPCommand, args string, _ bool) (instead []byte, shown, why string) {
	set, items, _ := strings.Cut(args, " ")
	var ok bool
	if c.wanted, ok = parseUIDSet(set); !ok || items != headersAsked && !isItemList(" "+items, fetchItems) {
		return nil, "", "UID FETCH with bad arguments"
	}
	c.bodies = strings.Contains(items, "BODY.PEEK[]")
	switch c.headers = items == headersAsked; {
	case c.headers:
		items = headersSent
	case !c.bodies && isGlobalItem(g.global):
		c.global = g.global
		items = strings.TrimSuffix(items, ")") + " " + g.global + ")"
	}
	shown = set + " " + items
	return []byte(c.tag + " " + c.verb + " " + shown + "\r\n"), shown, ""
}
