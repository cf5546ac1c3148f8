package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
)

func quotedAlias(name string) string { return `"` + AliasOf(name) + `"` }

// What changes nothing is sent, in pieces of any size, with aliases turned back.
func TestGuardLetsReadingThrough(t *testing.T) {
	for in, want := range map[string]string{
		"T1 CAPABILITY\r\n":                                          "",
		"T1 NOOP\r\nT2 LOGOUT\r\n":                                   "",
		"T1 STARTTLS\r\n":                                            "",
		"T1 NAMESPACE\r\n":                                           "",
		`T1 LOGIN "u" "p"` + "\r\n":                                  "",
		`T1 LOGIN "u\" \\" "EXPUNGE"` + "\r\n":                       "",
		"T1 LOGIN {3}\r\nabc {4+}\r\npass\r\n":                       "",
		"T1 LOGIN \"u\" {4+}\r\np)ss\r\nT2 NOOP\r\n":                 "",
		"T1 AUTHENTICATE PLAIN AGEAYg==\r\n":                         "",
		"T1 AUTHENTICATE PLAIN\r\nAGFiYwBkZWY=\r\n\r\n":              "",
		`T1 LIST "" "*"` + "\r\n":                                    "",
		`T1 LIST "" "*" RETURN (STATUS (MESSAGES UIDNEXT))` + "\r\n": "",
		"T1 EXAMINE " + quotedAlias("INBOX") + "\r\n":                "T1 EXAMINE \"INBOX\"\r\n",
		"T1 EXAMINE " + quotedAlias(`a"b\c`) + "\r\n":                `T1 EXAMINE "a\"b\\c"` + "\r\n",
		"T1 STATUS " + quotedAlias("Entw\xfcrfe") + " (UIDNEXT MESSAGES)\r\n": "T1 STATUS \"Entw\xfcrfe\" (UIDNEXT " +
			"MESSAGES)\r\n",
		"T1 UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)\r\n": "",
		"T1 UID FETCH 7,9:12 (UID BODY.PEEK[])\r\n":                 "",
	} {
		if want == "" {
			want = in
		}
		for _, size := range []int{1, 2, 7, len(in)} {
			out, err := guarded(in, func() int { return size })
			if err != nil || out != want {
				t.Errorf("%q in pieces of %d: sent %q, %v", in, size, out, err)
			}
		}
	}
}

// guarded writes text through a guard in pieces.
func guarded(text string, size func() int) (string, error) {
	var out bytes.Buffer
	var refused atomic.Int64
	g := &imapGuard{w: &out, allowed: Reading().imap, queue: &imapQueue{}, refused: &refused}
	for rest := text; rest != ""; {
		n := min(max(size(), 1), len(rest))
		if _, err := g.Write([]byte(rest[:n])); err != nil {
			if refused.Load() != 1 {
				return out.String(), fmt.Errorf("%d refusals were counted", refused.Load())
			}
			return out.String(), err
		}
		rest = rest[n:]
	}
	return out.String(), nil
}

// The library writes "=" for nothing wherever it is; Dovecot takes it in a line
// of its own for no base64.
func TestGuardSendsNothingAsAnEmptyLine(t *testing.T) {
	for _, size := range []int{1, 100} {
		out, err := guarded("T1 AUTHENTICATE XOAUTH2 =\r\n=\r\n", func() int { return size })
		if err != nil || out != "T1 AUTHENTICATE XOAUTH2 =\r\n\r\n" {
			t.Errorf("sent %q, %v", out, err)
		}
	}
}

// What could change anything, or hide something that could, is not sent; after
// it nothing is.
func TestGuardRefusesTheRest(t *testing.T) {
	inbox := quotedAlias("INBOX")
	for _, in := range []string{
		"a SELECT " + inbox + "\r\n", "a STORE 1 +FLAGS (\\Seen)\r\n", "a UID STORE 1 +FLAGS (\\Deleted)\r\n",
		"a EXPUNGE\r\n",
		"a UID EXPUNGE 1\r\n", "a CLOSE\r\n", "a DELETE x\r\n", "a RENAME a b\r\n", "a CREATE x\r\n",
		"a APPEND x {3}\r\nabc\r\n",
		"a COPY 1 x\r\n", "a UID MOVE 1 x\r\n", "a UID COPY 1 x\r\n", "a SUBSCRIBE x\r\n", "a SETMETADATA x (/a NIL)\r\n",
		"a SETACL x y z\r\n", "a UID FETCH 1 (BODY[])\r\n", "a UID FETCH 1 BODY[TEXT]\r\n", "a UID FETCH 1 (RFC822)\r\n",
		"a UID FETCH 1 (BODY.PEEK[] BODY[1])\r\n", "a UID FETCH 1 FULL\r\n", "a FETCH 1 (UID)\r\n",
		"a UID FETCH 1 (BINARY[1])\r\n",
		"a UID FETCH 1 (ENVELOPE)\r\n", "a UID FETCH 1 (BODYSTRUCTURE)\r\n", "a UID FETCH 3,1 (UID)\r\n",
		"a UID FETCH 0 (UID)\r\n",
		"a UID FETCH 1 (UID) (CHANGEDSINCE 5)\r\n", "a UID SEARCH ALL\r\n", "a IDLE\r\n", "a ENABLE QRESYNC\r\n",
		"a COMPRESS DEFLATE\r\n",
		"a NOOP x\r\n", "a\r\n", "\r\n", " NOOP\r\n", "a  NOOP\r\n", "a LOGIN x y\nb EXPUNGE\r\n",
		"a LOGIN \"x\" \"y\" \"z\"\r\n",
		"a LOGIN \"x\"\r\n", "a LOGIN x y\r\n", "a LOGIN {3}\r\na\r\nb \"y\"\r\n", "a LOGIN {9999}\r\n",
		"a LOGIN {3}\r\nabc EXPUNGE\r\n",
		"a AUTHENTICATE PLAIN\r\nb EXPUNGE\r\n", "a AUTHENTICATE PLAIN x y\r\n", "a EXAMINE INBOX\r\n",
		"a EXAMINE \"INBOX\"\r\n", "a EXAMINE {5}\r\nINBOX\r\n",
		"a EXAMINE " + inbox + " (CONDSTORE)\r\n", "a EXAMINE " + quotedAlias("a\r\nb EXPUNGE") + "\r\n", "a EXAMINE " +
			quotedAlias(strings.Repeat("x", 2000)) + "\r\n",
		"a STATUS " + inbox + " (RECENT)\r\n", "a STATUS " + inbox + "\r\n", "a LIST \"\" {1}\r\n*\r\n", "a LIST \"\" a\r\n",
		"a ID NIL\r\n",
		"a UNAUTHENTICATE\r\n", "a REPLACE 1 x {1}\r\n", "a GETQUOTA x\r\n", "a notify set\r\n", "a uid store 1 flags ()\r\n",
		"a capability\r\n",
		"a NOOP\x00\r\n", "a NOOP\rb EXPUNGE\r\n", "a " + strings.Repeat("x", maxCommandLine), "a-b NOOP\r\n",
	} {
		for _, size := range []int{1, len(in)} {
			out, err := guarded(in+"z NOOP\r\n", func() int { return size })
			if !errors.Is(err, errIMAPRefused) {
				t.Errorf("let through %q (%v)", in, err)
			}
			for _, word := range []string{"EXPUNGE", "STORE", "DELETE", "SELECT", "COPY", "MOVE", "APPEND", "NOOP"} {
				if strings.Contains(strings.ToUpper(out), word) {
					t.Errorf("%q reached the wire as %q", in, out)
				}
			}
		}
	}
}

func FuzzGuard(f *testing.F) {
	for _, s := range []string{
		"a NOOP\r\n", "a LOGIN {3}\r\nabc {4+}\r\npass\r\n", "a AUTHENTICATE PLAIN\r\nAA==\r\nb EXPUNGE\r\n",
		"a EXAMINE " + quotedAlias(`R&D"`) + "\r\nb UID FETCH 1:* (UID)\r\n", "a UID STORE 1 x\r\n",
	} {
		f.Add(s, uint64(1))
	}
	f.Fuzz(func(t *testing.T, in string, seed uint64) {
		whole, err := guarded(in, func() int { return len(in) })
		r := rand.New(rand.NewPCG(seed, 2))
		pieces, perr := guarded(in, func() int { return 1 + r.IntN(8) })
		if whole != pieces || (err == nil) != (perr == nil) {
			t.Fatalf("%q: whole %q (%v), in pieces %q (%v)", in, whole, err, pieces, perr)
		}
		for line := range strings.SplitSeq(whole, "\r\n") {
			for _, verb := range []string{"EXPUNGE", "STORE", "SELECT", "UID STORE", "APPEND", "DELETE"} {
				_, rest, _ := strings.Cut(line, " ")
				if rest == verb || strings.HasPrefix(rest, verb+" ") {
					if !strings.Contains(whole, "LOGIN {") { // A password may be any words.
						t.Fatalf("%q reached the wire", line)
					}
				}
			}
		}
	})
}

// fakeLink is the part of a link that the filter sees, over given octets.
type fakeLink struct{ *bufio.Reader }

func (l fakeLink) ReadLine(max int) ([]byte, error) {
	var line []byte
	for {
		b, err := l.ReadSlice('\n')
		if line = append(line, b...); len(line) > max {
			return nil, protocolError("a line too long")
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func (fakeLink) named()      {}
func (fakeLink) doubted()    {}
func (fakeLink) Listed()     {}
func (fakeLink) brought(int) {}
func (fakeLink) answered()   {}
func (fakeLink) Settled()    {}

// filtered runs octets through a filter while the given commands are under way.
func filtered(in []byte, max imapLimits, commands ...string) (string, error) {
	q := &imapQueue{}
	g := &imapGuard{w: io.Discard, allowed: Reading().imap, queue: q, global: ItemGmailID}
	for _, c := range commands {
		if _, err := io.WriteString(g, c+"\r\n"); err != nil {
			return "", err
		}
	}
	f := newIMAPFilter(fakeLink{bufio.NewReaderSize(bytes.NewReader(in), 4096)}, q, max, &imapSaid{})
	out, err := io.ReadAll(f)
	if err == nil && f.err != io.EOF {
		err = f.err
	}
	return string(out), err
}

// TestWhatCannotBeReadIsShownWithoutSecrets: as a folder of that name, and to the log.
// The control is a filter that knows no secret.
func TestWhatCannotBeReadIsShownWithoutSecrets(t *testing.T) {
	for _, knows := range []bool{true, false} {
		q := &imapQueue{}
		g := &imapGuard{w: io.Discard, allowed: Reading().imap, queue: q}
		if _, err := io.WriteString(g, "T1 LIST \"\" \"*\"\r\n"); err != nil {
			t.Fatal(err)
		}
		in := "* LIST ((((Zx9-Secr3t/Qu\r\n"
		f := newIMAPFilter(fakeLink{bufio.NewReaderSize(strings.NewReader(in), 4096)}, q, defaultIMAPLimits(1), &imapSaid{})
		if knows {
			f.redact = strings.NewReplacer("Zx9-Secr3t/Qu", "***").Replace
		}
		out, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		alias := strings.TrimSuffix(strings.TrimPrefix(string(out), "* LIST () NIL "), "\r\n")
		shown, ok := FromUnreadAlias(alias)
		if !ok || strings.Contains(shown, "Zx9") == knows {
			t.Errorf("a secret is known: %v; it is shown as %q", knows, shown)
		}
	}
}

func TestFilterWritesAnswersAnew(t *testing.T) {
	for _, tc := range []struct{ name, command, in, want string }{
		{
			"a date of another form", "T1 UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)",
			"* 3 FETCH (UID 7 INTERNALDATE \"2026-02-01T10:00:00+01:00\" RFC822.SIZE 12)\r\n",
			"* 3 FETCH (UID 7 FLAGS () INTERNALDATE \" 1-Feb-2026 09:00:00 +0000\" RFC822.SIZE 12)\r\n",
		},
		{
			"flags, dates and unknown items", "T1 UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)",
			"* 3 FETCH (X-GM-MSGID 9 MODSEQ (5) RFC822.SIZE 12 INTERNALDATE \" 1-Feb-2026 10:00:00 +0100\" FLAGS (\\seen " +
				"Foo\\Bar $x] \\Draft) UID 7)\r\n",
			"* 3 FETCH (UID 7 FLAGS (\\Draft \\Seen) INTERNALDATE \" 1-Feb-2026 10:00:00 +0100\" RFC822.SIZE 12)\r\n",
		},
		{
			"body last", "T1 UID FETCH 7 (UID BODY.PEEK[])", "* 3 FETCH (UID 7 FLAGS (x) BODY[] {3}\r\na)\n)\r\n",
			"* 3 FETCH (UID 7 BODY[] {3}\r\na)\n)\r\n",
		},
		{
			"body first", "T1 UID FETCH 7 (UID BODY.PEEK[])", "* 3 FETCH (BODY[] {3}\r\na)\n UID 7)\r\n",
			"* 3 FETCH (UID 7 BODY[] {3}\r\na)\n)\r\n",
		},
		{
			"body first, too large for memory", "T1 UID FETCH 7 (UID BODY.PEEK[])",
			"* 3 FETCH (BODY[] {300000}\r\n" + strings.Repeat("x", 300000) + " UID 7)\r\n", "* 3 FETCH (UID 7 BODY[] " +
				"{300000}\r\n" + strings.Repeat("x", 300000) + ")\r\n",
		},
		{
			"body of nothing", "T1 UID FETCH 7 (UID BODY.PEEK[])", "* 3 FETCH (UID 7 BODY[] {0}\r\n)\r\n",
			"* 3 FETCH (UID 7 BODY[] {0}\r\n)\r\n",
		},
		{
			"literal8", "T1 UID FETCH 7 (UID BODY.PEEK[])", "* 3 FETCH (UID 7 BODY[] ~{3}\r\na\x00b)\r\n",
			"* 3 FETCH (UID 7 BODY[] {3}\r\na\x00b)\r\n",
		},
		{"lower than asked", "T1 UID FETCH 7:* (UID FLAGS)", "* 3 FETCH (UID 6 RFC822.SIZE 1)\r\n", ""},
		{"an answer while a folder is opened", "T1 EXAMINE " + quotedAlias("A"), "* 3 FETCH (UID 6 RFC822.SIZE 1)\r\n* 4 " +
			"EXISTS\r\n", "* 4 EXISTS\r\n"},
		{"capabilities", "T1 CAPABILITY", "* CAPABILITY IMAP4rev1 X{} A=B\r\n", "* CAPABILITY IMAP4rev1 A=B\r\n"},
		{
			"a login without capabilities", "T1 LOGIN \"a\" \"b\"", "T1 ok [foo bar] welcome\r\n",
			"T1 OK [CAPABILITY IMAP4rev1 X-NOT-TOLD] welcome\r\n",
		},
		{"a refusal without words", "T1 NOOP", "T1 NO [serverbug]\r\n", "T1 NO [SERVERBUG] -\r\n"},
		{
			"status", "T1 STATUS " + quotedAlias("a b") + " (MESSAGES)", "* STATUS a b (uidnext 4 X (1 (2)) MESSAGES 2 " +
				"UIDVALIDITY 99999999999)\r\n",
			"* STATUS " + AliasOf("a b") + " (UIDNEXT 4 MESSAGES 2)\r\n",
		},
		{
			"a bad answer with a literal", `T1 LIST "" "*"`, "* LIST ((broken {3}\r\n* 1 \r\n* LIST () \"/\" x\r\n",
			"* LIST () NIL " + string(unreadAlias([]byte("LIST ((broken {3}"))) + "\r\n* LIST () \"/\" " + AliasOf("x") +
				"\r\n",
		},
		{
			"servers D2: a name that begins with a tilde", `T1 LIST "" "*"`, "* LIST () \"/\" ~archive\r\n* LIST () \"/\" " +
				"~{1}\r\nx\r\n",
			"* LIST () \"/\" " + AliasOf("~archive") + "\r\n* LIST () \"/\" " + AliasOf("x") + "\r\n",
		},
		{
			"bugreports F7: names that do not end", `T1 LIST "" "*"`, "* LIST () \"/\" \"Kat\\\"\r\n* LIST () \"/\" " +
				"{003}\r\nabc\r\n",
			"* LIST () NIL " + string(unreadAlias([]byte("LIST () \"/\" \"Kat\\\""))) + "\r\n* LIST () \"/\" " + AliasOf("abc") +
				"\r\n",
		},
		{
			"bugreports F7: a message whose answer does not end", "T1 UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)",
			"* 1 FETCH (UID 7 RFC822.SIZE 3 FLAGS (\\Seen)\r\n* 2 FETCH (UID 8 FLAGS (\\Seen \"x\r\n* 3 FETCH (RFC822.SIZE 3 " +
				"UID 9)\r\n",
			"* 1 FETCH (UID 7 FLAGS (\\Seen) RFC822.SIZE 3)\r\n* 2 FETCH (UID 8 FLAGS ())\r\n* 3 FETCH (UID 9 FLAGS () " +
				"RFC822.SIZE 3)\r\n",
		},
		{
			"bugreports F7: a name with a line break, and a brace that announces nothing", `T1 LIST "" "*"`,
			"* LIST () \"/\" \"Kat\r\nalog\"\r\n* LIST () \"/\" {x}\r\n* LIST () \"/\" b\r\n",
			"* LIST () NIL " + string(unreadAlias([]byte("LIST () \"/\" \"Kat"))) + "\r\n" +
				"* LIST () NIL " + string(unreadAlias([]byte("LIST () \"/\" {x}"))) + "\r\n" +
				"* LIST () \"/\" " + AliasOf("b") + "\r\n",
		},
		{
			"bugreports F7: a literal that is too long for a name", `T1 LIST "" "*"`,
			"* LIST () \"/\" {300000}\r\n" + strings.Repeat("x", 300000) + "\r\n* LIST () \"/\" b\r\n",
			"* LIST () NIL " + string(unreadAlias([]byte("LIST () \"/\" {300000}"))) + "\r\n* LIST () \"/\" " + AliasOf("b") +
				"\r\n",
		},
		{
			"servers D2: atoms hold every ATOM-CHAR", `T1 LIST "" "*"`,
			"* LIST (\\Sent[ \\Junk) \"/\" [a\r\n* LIST () \"/\" a]!#$&'+,-./:;<=>?@^_`|}~\r\n",
			"* LIST (\\Junk) \"/\" " + AliasOf("[a") + "\r\n* LIST () \"/\" " + AliasOf("a]!#$&'+,-./:;<=>?@^_`|}~") + "\r\n",
		},
		{
			"bugreports F7: an unpaired bracket, something behind the end, a UID that is none, no list",
			"T1 UID FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE)",
			"* 1 FETCH (UID 7 X-LABELS ([a b) RFC822.SIZE 3)\r\n* 2 FETCH (UID 8 RFC822.SIZE 3) more\r\n" +
				"* 3 FETCH (UID x RFC822.SIZE 3)\r\n* 4 FETCH UID 9\r\n* 5 FETCH (UID 10 RFC822.SIZE 3)\r\n",
			"* 1 FETCH (UID 7 FLAGS () RFC822.SIZE 3)\r\n* 2 FETCH (UID 8 FLAGS () RFC822.SIZE 3)\r\n" +
				"* 5 FETCH (UID 10 FLAGS () RFC822.SIZE 3)\r\n",
		},
		{
			"namespace", "T1 NAMESPACE", "* NAMESPACE ((\"INBOX.\" \".\" \"X\" (\"y\"))) NIL ((\"#shared\" \"/\"))\r\n",
			"* NAMESPACE ((\"INBOX.\" \".\")) NIL ((\"#shared\" \"/\"))\r\n",
		},
		{
			"several namespaces", "T1 NAMESPACE", "* NAMESPACE ((\"\" \"/\")(\"#mh/\" \"/\"))  " +
				"((~ \"/\") ({5}\r\nuser/ NIL)) NIL\r\n",
			"* NAMESPACE ((\"\" \"/\") (\"#mh/\" \"/\")) ((\"~\" \"/\") (\"user/\" NIL)) NIL\r\n",
		},
		{
			"namespaces that do not end", "T1 NAMESPACE", "* NAMESPACE ((\"INBOX.\" \".\")) ((\"user.\" \".\") ((\"x\"\r\n",
			"* NAMESPACE ((\"INBOX.\" \".\")) NIL NIL\r\n",
		},
		{
			"no personal namespace", "T1 NAMESPACE", "* NAMESPACE NIL () ((\"\" \".\"))\r\n",
			"* NAMESPACE NIL NIL ((\"\" \".\"))\r\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := filtered([]byte(tc.in), defaultIMAPLimits(1<<20), tc.command)
			if err != nil || got != tc.want {
				t.Errorf("got %.300q, %v; want %.300q", got, err, tc.want)
			}
		})
	}
}

// 64 KiB of "(" made the library take 16 seconds and 700 MB.
func TestNestingCostsNothing(t *testing.T) {
	bomb := []byte("* 1 FETCH (UID 1 BODYSTRUCTURE " + strings.Repeat("(", 64<<10) + "\r\n")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, command := range []string{"T1 UID FETCH 1:* (UID)", "T1 UID FETCH 1 (UID BODY.PEEK[])", "T1 NOOP"} {
		out, err := filtered(bomb, defaultIMAPLimits(1<<20), command)
		if out != "" || command != "T1 NOOP" && !errors.Is(err, errIMAPProtocol) {
			t.Errorf("%s: %q, %v", command, out, err)
		}
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("%d octets were allocated", used)
	}
}

// Answers that nobody asked for come to an end.
func TestUselessAnswersAreBounded(t *testing.T) {
	max := defaultIMAPLimits(1 << 20)
	for name, in := range map[string]string{
		"lines":  strings.Repeat("* X\r\n", max.dropped+1),
		"octets": strings.Repeat("* X "+strings.Repeat("y", 64<<10)+"\r\n", 65),
		"line":   "* LIST () \"/\" \"" + strings.Repeat("x", 2<<20) + "\"\r\n",
	} {
		if _, err := filtered([]byte(in), max, `T1 LIST "" "*"`); !errors.Is(err, errIMAPProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A mailbox with more folders than can be looked after is reported as that, and not
// as a server that cannot be understood; with as many as can be, it is read.
func TestTooManyFoldersAreSaidToBe(t *testing.T) {
	max := defaultIMAPLimits(1 << 20)
	one := "* LIST () \"/\" x\r\n"
	_, err := filtered([]byte(strings.Repeat(one, max.folders+1)), max, `T1 LIST "" "*"`)
	if f := fault.Of(err); f.Code != fault.FolderFailed || !strings.Contains(f.Detail.String(), "more than 10000") ||
		errors.Is(err, errIMAPProtocol) {
		t.Errorf("too many folders are reported as %v", err)
	}
	if _, err := filtered([]byte(strings.Repeat(one, max.folders)+"T1 OK x\r\n"), max, `T1 LIST "" "*"`); err != nil &&
		!errors.Is(err, io.EOF) {
		t.Errorf("as many folders as are allowed: %v", err)
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{
		"* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\nT1 OK x\r\n", "* 1 FETCH (BODY[] {3}\r\nabc UID 1)\r\n",
		"* LIST (\\Sent) \".\" {3}\r\na.b\r\n",
		"* OK [UIDVALIDITY 7] x\r\n", "* STATUS x (MESSAGES 1)\r\n", "* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n",
		"T1 NO [X y] z\r\n", "+ \r\n",
		"* 1 FETCH (UID 1 BODY[HEADER.FIELDS (MESSAGE-ID)] {3}\r\na:\n X-GM-MSGID 7)\r\n", "* 1 FETCH (X-GM-MSGID 7 UID 1 " +
			"EMAILID (a) RFC822.SIZE 1)\r\n", "* 1 FETCH (ENVELOPE (NIL {2000000000}\r\n", "* 1 FETCH (FLAGS (\\Seen) UID 2 " +
			"INTERNALDATE \"01-Jan-2020 00:00:00 +0000\" RFC822.SIZE 5)\r\n",
	} {
		for kind := range 5 {
			f.Add([]byte(s), byte(kind))
		}
	}
	commands := []string{
		"T1 UID FETCH 1:9 (UID BODY.PEEK[])", "T1 UID FETCH 1:* (UID FLAGS)", `T1 LIST "" "*"`,
		"T1 EXAMINE " + quotedAlias("x"), "T1 UID FETCH 1:9 " + headersAsked,
	}
	f.Fuzz(func(t *testing.T, in []byte, kind byte) {
		max := imapLimits{
			line: 4096, literal: 1024, body: 4096, depth: 8, dropped: 100, dropSize: 10000, folders: 50,
			listing: 50, rounds: 3,
		}
		out, _ := filtered(in, max, commands[int(kind)%len(commands)])
		if len(out) > 4*len(in)+1000 {
			t.Fatalf("%d octets became %d", len(in), len(out))
		}
	})
}

func TestUIDSet(t *testing.T) {
	var s uidSet
	model := map[uint32]bool{}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		uid := 1 + r.Uint32N(300)
		s.add(uid)
		model[uid] = true
		for i := 1; i < len(s); i++ {
			if s[i].lo <= s[i-1].hi+1 {
				t.Fatalf("ranges touch: %v", s)
			}
		}
	}
	for uid := uint32(0); uid < 310; uid++ {
		if s.has(uid) != model[uid] {
			t.Fatalf("has(%d) is %v", uid, s.has(uid))
		}
	}
	for text, ok := range map[string]bool{
		"1": true, "1:*": true, "1,3:5,9:*": true, "4294967295": true, "": false,
		"0": false, "*": false, "5:1": false, "3,3": false, "4294967296": false, "1:*,5": false, "-1": false,
	} {
		if _, got := parseUIDSet(text); got != ok {
			t.Errorf("parseUIDSet(%q) is %v", text, got)
		}
	}
}

func BenchmarkFilterBodies(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 40<<10)
	var in bytes.Buffer
	for i := range 100 {
		fmt.Fprintf(&in, "* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n", i+1, i+1, len(body), body)
	}
	b.SetBytes(int64(in.Len()))
	buf := make([]byte, 64<<10)
	for b.Loop() {
		q := &imapQueue{}
		g := &imapGuard{w: io.Discard, allowed: Reading().imap, queue: q}
		io.WriteString(g, "T1 UID FETCH 1:100 (UID BODY.PEEK[])\r\n")
		f := newIMAPFilter(fakeLink{bufio.NewReaderSize(bytes.NewReader(in.Bytes()), 64<<10)}, q, defaultIMAPLimits(1<<20),
			&imapSaid{})
		for {
			if _, err := f.Read(buf); err != nil {
				break
			}
		}
	}
}

func BenchmarkFilterListing(b *testing.B) {
	var in bytes.Buffer
	for i := range 1000 {
		fmt.Fprintf(&in, "* %d FETCH (UID %d FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE "+
			"4286)\r\n", i+1, i+1)
	}
	buf := make([]byte, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		q := &imapQueue{}
		io.WriteString(&imapGuard{w: io.Discard, allowed: Reading().imap, queue: q}, "T1 UID FETCH 1:* (UID FLAGS)\r\n")
		f := newIMAPFilter(fakeLink{bufio.NewReaderSize(bytes.NewReader(in.Bytes()), 64<<10)}, q, defaultIMAPLimits(1<<20),
			&imapSaid{})
		for {
			if _, err := f.Read(buf); err != nil {
				break
			}
		}
	}
}

// What is no listing asks for no name, and no form but ours asks for headers.
func TestGuardAddsTheGlobalNameToListingsOnly(t *testing.T) {
	for in, want := range map[string]string{
		"T1 UID FETCH 1:* (UID FLAGS)\r\n":        "T1 UID FETCH 1:* (UID FLAGS X-GM-MSGID)\r\n",
		"T1 UID FETCH 1 (UID BODY.PEEK[])\r\n":    "T1 UID FETCH 1 (UID BODY.PEEK[])\r\n",
		"T1 UID FETCH 1 " + headersAsked + "\r\n": "T1 UID FETCH 1 " + headersSent + "\r\n",
	} {
		var out bytes.Buffer
		g := &imapGuard{w: &out, allowed: Reading().imap, queue: &imapQueue{}, global: ItemGmailID}
		if _, err := io.WriteString(g, in); err != nil || out.String() != want {
			t.Errorf("%q was sent as %q: %v", in, out.String(), err)
		}
	}
	for _, in := range []string{
		"(UID BODY.PEEK[HEADER])", "(UID BODY[HEADER.FIELDS (MESSAGE-ID DATE FROM SUBJECT)])",
		"(UID BODY.PEEK[HEADER.FIELDS (TO)])",
		strings.Replace(headersAsked, ".PEEK", "", 1), headersAsked + " x", "(UID X-GM-LABELS)", "(UID X-GM-MSGID)",
		"(UID EMAILID)",
	} {
		if out, err := guarded("T1 UID FETCH 1 "+in+"\r\n", func() int {
			return 100
		}); !errors.Is(err, errIMAPRefused) || out != "" {
			t.Errorf("%s was sent as %q: %v", in, out, err)
		}
	}
}

func TestAnIntroductionTellsNameAndVersionOnly(t *testing.T) {
	for args, ok := range map[string]bool{
		`("name" "Mailbrook" "version" "1.2")`: true, `("name" "Mailbrook")`: true,
		`("name" "Mailbrook" "os" "Linux")`:                false,
		`("name" "Mailbrook" "version" "1" "user" "anna")`: false, `("name" "x")`: false, "": false, "NIL": false,
	} {
		if isIntroduction(args) != ok {
			t.Errorf("%q: %v", args, !ok)
		}
	}
}

// TestWhatIsNotAllowedIsNotSent, by a list without it, and whatever is written by one
// that allows nothing. The control is Reading, which sends the same.
func TestWhatIsNotAllowedIsNotSent(t *testing.T) {
	withoutNoop := Reading()
	delete(withoutNoop.imap, verbNoop)
	delete(withoutNoop.pop3, PopNOOP)
	for name, tc := range map[string]struct {
		allowed Allowlist
		sent    bool
	}{"nothing": {Allowlist{}, false}, "all but this": {withoutNoop, false}, "reading": {Reading(), true}} {
		var imap, pop strings.Builder
		g := &imapGuard{w: &imap, allowed: tc.allowed.imap, queue: &imapQueue{}}
		_, err := io.WriteString(g, "T1 NOOP\r\n")
		p := pop3Guard{w: &pop, allowed: tc.allowed.pop3, lines: 1}
		_, popErr := io.WriteString(&p, "NOOP\r\n")
		if (err == nil) != tc.sent || (popErr == nil) != tc.sent || (imap.Len() > 0) != tc.sent ||
			(pop.Len() > 0) != tc.sent {
			t.Errorf("%s: sent %q, %q; %v, %v", name, imap.String(), pop.String(), err, popErr)
		}
	}
}
