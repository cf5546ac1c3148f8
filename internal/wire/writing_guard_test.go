package wire

import (
	"fmt"
	"io"
	"net"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// ours permits what the tests take away.
var ours = Permission{
	Private: func(name string) bool { return name == "staging" || name == `st"a\g` },
	Removed: func(name string) bool { return name == "Gone/Sent" },
}

// judgedWriting passes commands to a guard, one after another. "OK n" says that the server
// completed the n-th. It returns those that passed, and how many refusals were counted.
func judgedWriting(may Permission, steps ...string) (passed []string, refused int64) {
	var counted atomic.Int64
	g := writingGuard{may: may, refused: &counted}
	for _, s := range steps {
		if n, ok := strings.CutPrefix(s, "OK "); ok {
			g.completed(n)
			continue
		}
		if g.command(s) != nil {
			break
		}
		passed = append(passed, s)
		g.sent(fmt.Sprint(len(passed)))
	}
	return passed, counted.Load()
}

// What a destination is asked for passes, word for word.
func TestWritingGuardLetsPass(t *testing.T) {
	for _, command := range []string{
		"CAPABILITY", "NOOP", "LOGOUT", "STARTTLS", "NAMESPACE", "UNSELECT",
		`LOGIN "anna*mailbrook" "p\"a\\ss"`, "AUTHENTICATE PLAIN", "AUTHENTICATE PLAIN AGEAYg==", "AUTHENTICATE XOAUTH2 =",
		`ID ("name" "Mailbrook")`, `ID ("name" "Mailbrook" "version" "1.2")`, "ENABLE UTF8=ACCEPT",
		`LIST "" "*"`, `LIST "" "Gmail/%"`, `LIST "" "*" RETURN (SUBSCRIBED)`, `LIST "" "*" RETURN (SPECIAL-USE SUBSCRIBED)`,
		`LSUB "" "*"`, `STATUS "INBOX" (UIDVALIDITY UIDNEXT)`, `STATUS "INBOX" (MESSAGES SIZE)`,
		`STATUS "INBOX" (APPENDLIMIT)`,
		`GETQUOTAROOT "INBOX"`, `GETQUOTA ""`, `MYRIGHTS "INBOX"`, `CREATE "Gmail"`, `SUBSCRIBE "Gmail"`, `EXAMINE "Gmail"`,
		`SELECT "staging"`, `SELECT "INBOX"`,
		"UID FETCH 1:* (UID)", "UID FETCH 7,9:12 (UID RFC822.SIZE INTERNALDATE FLAGS)", "UID FETCH 7 (UID BODY.PEEK[])",
		"UID FETCH 7 (UID BODY.PEEK[HEADER])",
		`DELETE "staging"`, `DELETE "st\"a\\g"`, `DELETE "Gone/Sent"`,
		`APPEND "Gmail" () " 1-May-2023 12:00:00 +0200" {12}`,
		`APPEND "Gmail" (\Seen \Answered \Flagged \Draft $Forwarded NonJunk) "11-May-2023 12:00:00 -0130" {12+}`,
		// A name may be anything that a quoted string holds.
		`CREATE "a\"b\\c"`, "CREATE \"Entw\xfcrfe\"", `CREATE "Wys&AUI-ane"`, `CREATE "STORE 1 +FLAGS (\\Deleted)"`,
		`CREATE ""`, "CREATE \"\x01\x7f\"",
	} {
		if passed, refused := judgedWriting(ours, command); len(passed) != 1 || refused != 0 {
			t.Errorf("%q was refused", command)
		}
	}
}

// Everything else is refused, in any spelling, and counted.
func TestWritingGuardRefuses(t *testing.T) {
	const item = `(\Seen) " 1-May-2023 12:00:00 +0200" {12}`
	for _, command := range []string{
		"STORE 1 +FLAGS (\\Deleted)", "UID STORE 1 +FLAGS (\\Deleted)", "uid store 1 flags ()", "UID  STORE 1 FLAGS ()",
		"EXPUNGE", "UID EXPUNGE 1", "CLOSE", "close", "COPY 1 \"x\"", "UID COPY 1 \"x\"", "MOVE 1 \"x\"",
		`RENAME "staging" "x"`, `RENAME "a" "b"`, `SETACL "x" y lrs`, `DELETEACL "x" y`, `SETQUOTA "" (STORAGE 1)`,
		`SETMETADATA "x" (/a NIL)`, `UNSUBSCRIBE "x"`, "REPLACE 1 \"x\" " + item, "UID REPLACE 1 \"x\" " + item, "CHECK",
		"IDLE", "SEARCH ALL", "UID SEARCH ALL", "UID SORT x", "NOTIFY SET", "COMPRESS DEFLATE", "UNAUTHENTICATE", "XMOVE", "",
		"UID", "UID ", "UID NOOP", " NOOP", "NOOP ", "NOOP x", "noop", "Noop", "CAPABILITY x", "UNSELECT \"x\"",
		// Folders are quoted, in the one way that there is.
		"CREATE x", "CREATE {1}", "CREATE {1+}", `CREATE "x`, `CREATE "x" "y"`, `CREATE "x" (USE (\All))`, `CREATE x"y"`,
		`CREATE "x\y"`, `DELETE "stagin\g"`, `DELETE "staging`, `DELETE "staging" x`, `DELETE staging`, `delete "staging"`,
		`DELETE  "staging"`, "DELETE {7}", `DELETE "STAGING"`, `DELETE "staging "`, `DELETE "staging/x"`,
		`DELETE "INBOX"`, `DELETE "Gone"`, `DELETE ""`, `DELETE "st"a\g"`,
		"CREATE \"x\r\nb EXPUNGE\"", "CREATE \"x\"\r\nb EXPUNGE", "CREATE \"x\nb\"", "CREATE \"x\rb\"", "CREATE \"x\x00b\"",
		"NOOP\r\nb EXPUNGE", "NOOP\n", "NOOP\x00",
		`LIST "" *`, `LIST "" "*" RETURN (STATUS (MESSAGES))`, `LIST (SUBSCRIBED) "" "*"`, `LIST "" ("a" "b")`,
		`STATUS "x"`, `STATUS "x" ()`, `STATUS "x" (RECENT)`, `STATUS "x" (MESSAGES) x`, `SELECT "x" (CONDSTORE)`,
		`EXAMINE x`,
		"ENABLE CONDSTORE", "ENABLE UTF8=ACCEPT CONDSTORE", "ID NIL", `ID ("name" "Mailbrook" "os" "x")`,
		"UID FETCH 1 (BODY[])", "UID FETCH 1 (UID BODY[HEADER])", "UID FETCH 1 (RFC822)", "UID FETCH 1 (BINARY[1])",
		"UID FETCH 1 FULL", "UID FETCH 1 (UID) (CHANGEDSINCE 1)", "UID FETCH 0 (UID)", "UID FETCH 3,1 (UID)",
		"UID FETCH $ (UID)", "FETCH 1 (UID)", "UID FETCH 1", "UID FETCH",
		"AUTHENTICATE PLAIN x y", "AUTHENTICATE", "AUTHENTICATE plain", `LOGIN "x"`, `LOGIN x y`, `LOGIN "x" "y" "z"`,
		"LOGIN {3}",
		`APPEND "x"`, `APPEND "x" {12}`, `APPEND "x" (\Seen) {12}`, `APPEND x ` + item, `APPEND "x" ` + item + " ",
		`APPEND "x" (\Deleted) " 1-May-2023 12:00:00 +0200" {12}`, `APPEND "x" (\Recent) " 1-May-2023 12:00:00 +0200" {12}`,
		`APPEND "x" (a(b) " 1-May-2023 12:00:00 +0200" {12}`, "APPEND \"x\" (a\tb) \" 1-May-2023 12:00:00 +0200\" {12}",
		`APPEND "x" (a  b) " 1-May-2023 12:00:00 +0200" {12}`,
		`APPEND "x" () "yesterday" {12}`, `APPEND "x" () " 1-May-1923 12:00:00 +0200" {12}`,
		`APPEND "x" () " 1-May-2023 12:00:00 +0200" {0}`, `APPEND "x" () " 1-May-2023 12:00:00 +0200" {-1}`,
		`APPEND "x" () " 1-May-2023 12:00:00 +0200" {12++}`, `APPEND "x" () " 1-May-2023 12:00:00 +0200" ~{12}`,
		`APPEND "x" () " 1-May-2023 12:00:00 +0200" {99999999999}`,
		`APPEND "x" () " 1-May-2023 12:00:00 +0200" CATENATE (URL "y")`,
		`CREATE "` + strings.Repeat("x", maxCommandLine) + `"`,
	} {
		passed, refused := judgedWriting(ours, command, "NOOP")
		if len(passed) != 0 || refused != 1 {
			t.Errorf("%q passed (%d refusals)", command, refused)
		}
	}
}

// Nothing is deleted or moved where nobody may.
func TestWritingGuardWithoutPermissionTakesNothingAway(t *testing.T) {
	for _, steps := range [][]string{
		{`DELETE "staging"`}, {`SELECT "staging"`, "OK 1", `UID MOVE 1 "INBOX"`}, {`DELETE "Gone/Sent"`},
	} {
		if _, refused := judgedWriting(Permission{}, steps...); refused != 1 {
			t.Errorf("%q passed", steps)
		}
	}
}

// MOVE is let pass only while a private folder is selected by the server's own word.
func TestWritingGuardMovesOutOfWhatIsSelected(t *testing.T) {
	const move = `UID MOVE 1:3 "INBOX"`
	for _, tc := range []struct {
		name  string
		steps []string
		may   bool
	}{
		{"selected", []string{`SELECT "staging"`, "OK 1", move}, true},
		{"twice", []string{`SELECT "staging"`, "OK 1", move, move}, true},
		{"other commands between", []string{`SELECT "staging"`, "OK 1", `CREATE "x"`, "OK 2", "NOOP", move}, true},
		{"selected again", []string{`SELECT "x"`, "OK 1", `SELECT "staging"`, "OK 2", move}, true},
		{"pipelined, and the last is answered", []string{`SELECT "x"`, `SELECT "staging"`, "OK 1", "OK 2", move}, true},
		{"nothing is selected", []string{move}, false},
		{"another is selected", []string{`SELECT "x"`, "OK 1", move}, false},
		{"not answered yet", []string{`SELECT "staging"`, move}, false},
		{"another command is answered", []string{"NOOP", `SELECT "staging"`, "OK 1", move}, false},
		{"refused", []string{`SELECT "staging"`, "NOOP", "OK 2", move}, false},
		{"left", []string{`SELECT "staging"`, "OK 1", "UNSELECT", move}, false},
		{"looked at only", []string{`EXAMINE "staging"`, "OK 1", move}, false},
		{"looked at thereafter", []string{`SELECT "staging"`, "OK 1", `EXAMINE "staging"`, "OK 2", move}, false},
		{"another is being selected", []string{`SELECT "staging"`, "OK 1", `SELECT "x"`, move}, false},
		{"another was, and failed", []string{`SELECT "staging"`, "OK 1", `SELECT "x"`, "NOOP", "OK 3", move}, false},
		{"answered after the next was sent", []string{`SELECT "staging"`, `SELECT "x"`, "OK 1", move}, false},
		{"and the next is answered", []string{`SELECT "staging"`, `SELECT "x"`, "OK 1", "OK 2", move}, false},
		{"the second of two fails", []string{`SELECT "staging"`, "OK 1", `SELECT "st\"a\\g"`, "NOOP", "OK 3", move}, false},
		{"into a private folder", []string{`SELECT "staging"`, "OK 1", `UID MOVE 1 "st\"a\\g"`}, false},
		{"into itself", []string{`SELECT "staging"`, "OK 1", `UID MOVE 1 "staging"`}, false},
		{"without a folder", []string{`SELECT "staging"`, "OK 1", `UID MOVE 1`}, false},
		{"into a folder unquoted", []string{`SELECT "staging"`, "OK 1", `UID MOVE 1 x`}, false},
		{"by another name's spelling", []string{`SELECT "stagin\g"`, "OK 1", move}, false},
		{"by sequence numbers", []string{`SELECT "staging"`, "OK 1", `MOVE 1 "INBOX"`}, false},
		{"no set", []string{`SELECT "staging"`, "OK 1", `UID MOVE * "INBOX"`}, false},
	} {
		passed, refused := judgedWriting(ours, tc.steps...)
		may := refused == 0 && strings.HasPrefix(passed[len(passed)-1], "UID MOVE")
		if may != tc.may {
			t.Errorf("%s: %q passed, %d refusals", tc.name, passed, refused)
		}
	}
}

// What stands before the second message of an APPEND, and what answers a challenge, passes the
// guard as well.
func TestWritingGuardChecksWhatIsNoCommand(t *testing.T) {
	for text, may := range map[string]bool{
		` (\Seen) " 1-May-2023 12:00:00 +0200" {12+}`: true, ` () " 1-May-2023 12:00:00 +0200" {1}`: true,
		"": false, ` {12}`: false, ` (\Deleted) " 1-May-2023 12:00:00 +0200" {12}`: false, "\r\nb EXPUNGE": false,
		" () \" 1-May-2023 12:00:00 +0200\" {12}\r\nb EXPUNGE": false, ` () " 1-May-2023 12:00:00 +0200" {0}`: false,
		` (` + strings.Repeat("x", 99) + strings.Repeat(" "+strings.Repeat("x", 99),
			200) + `) " 1-May-2023 12:00:00 +0200" {1}`: false,
	} {
		if err := (&writingGuard{}).next(text); (err == nil) != may {
			t.Errorf("%.80q: %v", text, err)
		}
	}
	for text, may := range map[string]bool{
		"": true, "AGEAYg==": true, "*": true, "b EXPUNGE": false, "AA==\r\nb EXPUNGE": false,
		strings.Repeat("A", maxCommandLine+1): false,
	} {
		if err := (&writingGuard{}).answer(text); (err == nil) != may {
			t.Errorf("%.80q: %v", text, err)
		}
	}
}

// judgedForms are a second opinion on what may pass, which knows nothing of the guard's
// grammars: a pattern for each command.
var judgedForms = func() (all []*regexp.Regexp) {
	fill := strings.NewReplacer(
		"<q>", `"(?:[^"\\\x00\r\n]|\\["\\])*"`, "<set>", `[0-9]+(?::(?:[0-9]+|\*))?(?:,[0-9]+(?::(?:[0-9]+|\*))?)*`,
	)
	for _, form := range []string{
		`CAPABILITY|NOOP|LOGOUT|STARTTLS|NAMESPACE|UNSELECT|ENABLE UTF8=ACCEPT`,
		`LOGIN <q> ?<q>`, `AUTHENTICATE [A-Z0-9_-]+(?: [A-Za-z0-9+/=*]*)?`, `ID \("name" "Mailbrook"(?: "version" <q>)?\)`,
		`(?:LIST|LSUB) <q> ?<q>(?: RETURN \((?:SUBSCRIBED|SPECIAL-USE| )+\))?`, `STATUS <q> \([A-Z ]+\)`,
		`(?:GETQUOTAROOT|GETQUOTA|MYRIGHTS|CREATE|SUBSCRIBE|UNSUBSCRIBE|EXAMINE|SELECT|DELETE) <q>`,
		`UID FETCH <set> \((?:UID|FLAGS|INTERNALDATE|RFC822\.SIZE|BODY\.PEEK\[(?:HEADER)?\]| )+\)`, `UID MOVE <set> <q>`,
		`APPEND <q> \((?:\\(?:Seen|Answered|Flagged|Draft)|[^\x00-\x20\x7f-\xff(){%*"\\\]]+| )*\) ` +
			`"[ 0-9][0-9]-[A-Za-z]{3}-[0-9]{4} [0-9:]{8} [+-][0-9]{4}" \{[0-9]*[1-9][0-9]*\+?\}`,
	} {
		all = append(all, regexp.MustCompile(`^(?:`+fill.Replace(form)+`)$`))
	}
	return all
}()

// judgedState follows which folder a server has selected, from what was sent and answered.
type judgedState struct {
	selected string   // By its name, as it was written; "": none that may be written.
	pending  []string // The commands that are not answered, by number.
	last     int      // The last that selects or leaves a folder.
}

// mayPass says what is wrong with a command that the guard let pass; "": nothing.
func (s *judgedState) mayPass(command string) string {
	octets := []rune(nil)
	for _, b := range []byte(command) { // Patterns are of octets.
		octets = append(octets, rune(b))
	}
	text := string(octets)
	if !slices.ContainsFunc(judgedForms, func(form *regexp.Regexp) bool { return form.MatchString(text) }) {
		return "it has none of the forms that there are"
	}
	verb, args, _ := strings.Cut(command, " ")
	switch {
	case verb == "DELETE" && args != `"staging"` && args != `"st\"a\\g"` && args != `"Gone/Sent"`:
		return "it deletes another's folder"
	case verb == "UNSUBSCRIBE" && args != `"Gone/Sent"`:
		return "it takes another's folder off the subscriptions"
	case strings.HasPrefix(command, "UID MOVE "):
		_, into, _ := strings.Cut(strings.TrimPrefix(args, "MOVE "), " ")
		if s.selected != `"staging"` && s.selected != `"st\"a\\g"` || into == `"staging"` || into == `"st\"a\\g"` {
			return "it moves out of " + s.selected + " into " + into
		}
	}
	s.pending = append(s.pending, command)
	if verb == "SELECT" || verb == "EXAMINE" || verb == "UNSELECT" {
		s.selected, s.last = "", len(s.pending)
	}
	return ""
}

func (s *judgedState) completed(n int) {
	if n >= 1 && n <= len(s.pending) && n == s.last {
		s.selected, _ = strings.CutPrefix(s.pending[n-1], "SELECT ")
	}
}

// FuzzWritingGuard: of whatever commands, answered in whatever order, those that pass are ones
// that a second opinion lets pass: none changes or takes away what others have.
func FuzzWritingGuard(f *testing.F) {
	for _, s := range []string{
		"SELECT \"staging\"\x01OK 1\x01UID MOVE 1:3 \"INBOX\"",
		"SELECT \"x\"\x01SELECT \"staging\"\x01OK 1\x01UID MOVE 1 \"INBOX\"",
		"DELETE \"staging\"\x01DELETE \"stagin\\g\"", "UID STORE 1 +FLAGS (\\Deleted)", "CREATE {3+}\r\nabc",
		"uid store 1 flags ()",
		"APPEND \"x\" (\\Seen a) \" 1-May-2023 12:00:00 +0200\" {12+}",
		"APPEND \"x\" (\\Deleted) \" 1-May-2023 12:00:00 +0200\" {1}",
		"LOGIN \"a\" \"b\"\x01AUTHENTICATE PLAIN AA==", "LIST \"\" \"*\" RETURN (SUBSCRIBED)", "STATUS \"x\" (UIDNEXT)",
		"UID FETCH 1:* (UID BODY.PEEK[])", "ID (\"name\" \"Mailbrook\" \"version\" \"1\")", "EXPUNGE", "UID EXPUNGE 1",
		"CLOSE",
		"RENAME \"staging\" \"x\"", "SETACL \"x\" \"y\" \"z\"", "SETQUOTA \"\" (STORAGE 1)", "COPY 1 \"x\"",
		"UID COPY 1 \"x\"",
		"NOOP\r\nx EXPUNGE", "CREATE \"a\\\"b\"",
		"SELECT \"st\\\"a\\\\g\"\x01OK 1\x01UID MOVE 1 \"x\"\x01UNSELECT\x01UID MOVE 1 \"x\"",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		g := writingGuard{may: ours}
		var second judgedState
		sent := 0
		for step := range strings.SplitSeq(in, "\x01") {
			var n int
			if _, err := fmt.Sscanf(step, "OK %d", &n); err == nil {
				g.completed(fmt.Sprint(n))
				second.completed(n)
				continue
			}
			if g.command(step) != nil {
				return
			}
			if wrong := second.mayPass(step); wrong != "" {
				t.Fatalf("%q passed after %q: %s", step, in, wrong)
			}
			sent++
			g.sent(fmt.Sprint(sent))
		}
	})
}

// The second opinion is one: what the guard would pass if it were broken is found.
func TestTheSecondOpinionBites(t *testing.T) {
	for _, steps := range [][]string{
		{"UID STORE 1 +FLAGS (\\Deleted)"},
		{"EXPUNGE"},
		{"CLOSE"},
		{"noop"},
		{"COPY 1 \"x\""},
		{`RENAME "staging" "x"`},
		{`DELETE "INBOX"`},
		{`DELETE "stagin\g"`},
		{`UID MOVE 1 "x"`},
		{`SELECT "x"`, "1", `UID MOVE 1 "x"`},
		{"NOOP\r\n"},
		{`SELECT "staging"`, `UID MOVE 1 "x"`},
		{`SELECT "staging"`, `SELECT "x"`, "1", `UID MOVE 1 "x"`},
		{"CREATE {3}"},
		{`APPEND "x" (\Deleted) " 1-May-2023 12:00:00 +0200" {12}`},
		{"UID FETCH 1 (BODY[])"},
		{"SETQUOTA \"\" (STORAGE 1)"},
	} {
		var s judgedState
		wrong := ""
		for _, step := range steps {
			if n := strings.Trim(step, "123456789"); n == "" {
				s.completed(int(step[0] - '0'))
				continue
			}
			wrong = s.mayPass(step)
		}
		if wrong == "" {
			t.Errorf("%q is let pass", steps)
		}
	}
}

// A Writer is no connection: no library can be put above it, and what it has is given to nobody
// who only reads. That is so where the program is compiled, not where it runs.
func TestAWriterIsNoConnection(t *testing.T) {
	writer := reflect.TypeFor[*Writer]()
	for _, other := range []reflect.Type{
		reflect.TypeFor[net.Conn](), reflect.TypeFor[io.Writer](), reflect.TypeFor[io.Reader](),
		reflect.TypeFor[io.ReaderFrom](),
	} {
		if writer.Implements(other) {
			t.Errorf("a Writer is taken for a %v", other)
		}
		if !reflect.TypeFor[*IMAP]().Implements(reflect.TypeFor[net.Conn]()) {
			t.Error("the control is no connection")
		}
	}
	for _, f := range reflect.VisibleFields(writer.Elem()) {
		if f.IsExported() && f.Name != "Heard" && f.Name != "Body" {
			t.Errorf("a Writer shows %s", f.Name)
		}
	}
	for _, reads := range []reflect.Type{
		reflect.TypeFor[Allowlist](), reflect.TypeFor[Limits](), reflect.TypeFor[*Connector](), reflect.TypeFor[*Link](),
		reflect.TypeFor[*IMAP](), reflect.TypeFor[LinkLimits](),
	} {
		for _, writes := range []reflect.Type{writer, reflect.TypeFor[Permission](), reflect.TypeFor[writingGuard]()} {
			if writes.ConvertibleTo(reads) || holdsType(reads, writes, 3) {
				t.Errorf("a %v can be made a %v", writes, reads)
			}
		}
	}
}

// The control of the test before.
func TestWhatATypeHoldsIsFound(t *testing.T) {
	if !holdsType(reflect.TypeFor[*IMAP](), reflect.TypeFor[*Link](), 3) {
		t.Error("the link of a connection is not found")
	}
}

// holdsType reports whether a value of a type has a place for one of another.
func holdsType(in, what reflect.Type, depth int) bool {
	if in.Kind() == reflect.Pointer {
		in = in.Elem()
	}
	if in.Kind() != reflect.Struct || depth == 0 {
		return false
	}
	for i := range in.NumField() {
		if f := in.Field(i).Type; f == what || holdsType(f, what, depth-1) {
			return true
		}
	}
	return false
}
