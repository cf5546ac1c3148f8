package source

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
)

var updateIMAP = flag.Bool("update-imap", false, "rewrite what the IMAP dialogues lead to")

var anyDay = regexp.MustCompile(`\d{4}-\d{2}-\d{2}`)

const testSecret = "tr0ub4dor&3"

// Each dialogue in testdata/imap is played to a visit that does everything a
// visit does; what it leads to is in the file of the same name that ends in
// ".want". The first comment of a dialogue says what it promises; lines like
// "# security: starttls" and "# max: 100" set up the visit: "# known: LIST-STATUS"
// has it remember what the server offered, and prints what it remembers then;
// "# from: 5" has it list from that UID on, "# wants: 6 7" fetch these alone; "# words: yes" has it
// print keywords and time zones.
func TestIMAPDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/imap/*.dialog")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d dialogues: %v", len(files), err)
	}
	for i, file := range append(slices.Clone(files), files...) {
		// Once more as a listing that is too long for memory: nothing may differ.
		window := 0
		if i >= len(files) {
			if window = 1; filepath.Base(file) == "objectid.dialog" {
				continue // Whether two have such a name is not known then: they have none.
			}
		}
		t.Run(fmt.Sprintf("%s/window=%d", strings.TrimSuffix(filepath.Base(file), ".dialog"), window), func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			script := mailtest.Play(t, string(text), mailtest.ScriptOptions{})
			got := visit(t, script, string(text), window)
			script.Close()
			if strings.Contains(got, testSecret) {
				t.Errorf("the secret is in what came of it")
			}
			want := strings.TrimSuffix(file, ".dialog") + ".want"
			if *updateIMAP {
				if err := os.WriteFile(want, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			expected, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(expected), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func setting(dialogue, name, otherwise string) string {
	for line := range strings.Lines(dialogue) {
		if v, ok := strings.CutPrefix(line, "# "+name+": "); ok {
			return strings.TrimSpace(v)
		}
	}
	return otherwise
}

// visit does what a visit does and describes what came of it.
func visit(t *testing.T, script *mailtest.Script, dialogue string, window int) string {
	t.Helper()
	var out strings.Builder
	c := loopback(script.CA, func(o *Options) {
		o.Window = window
		o.MaxMessageBytes, _ = strconv.ParseInt(setting(dialogue, "max", "0"), 10, 64)
		if strings.Contains(dialogue, "\nSTALL") {
			o.Patience = wire.Patience{Greeting: 300 * time.Millisecond, Idle: 300 * time.Millisecond}
		}
		o.Transcript = func(line string) {
			if strings.Contains(line, testSecret) {
				t.Errorf("the secret is in the transcript: %s", line)
			}
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	server := remote.Server{Host: "localhost", Port: script.Port(), Security: remote.Security(
		setting(dialogue, "security", "none"))}
	cred := credential(setting(dialogue, "user", "anna"), setting(dialogue, "secret", testSecret))
	cred.Auth = remote.Auth(setting(dialogue, "auth", "password"))
	known := setting(dialogue, "known", "")
	session, err := c.Open(ctx, remote.Mailbox{Server: server, Protocol: remote.IMAP, Capabilities: known}, cred)
	if err != nil {
		fmt.Fprintf(&out, "open: %s\n", told(err))
	} else {
		readInto(ctx, &out, session, dialogue)
		if known != "" {
			fmt.Fprintln(&out, "remembered:", anyDay.ReplaceAllString(session.Capabilities(), "today"))
		}
	}
	if n := c.Refused(); n != 0 {
		t.Errorf("%d commands were refused", n)
	}
	return out.String()
}

func readInto(ctx context.Context, out io.Writer, session *Session, dialogue string) {
	defer session.Close()
	from, _ := strconv.ParseUint(setting(dialogue, "from", "0"), 10, 32)
	fetched := setting(dialogue, "wants", "")
	folders, err := session.Folders(ctx)
	if err != nil {
		fmt.Fprintf(out, "folders: %s\n", told(err))
		return
	}
	var queries []mail.Query
	for _, f := range folders {
		fmt.Fprintf(out, "folder %q path %q", f.Wire, f.Path)
		if f.SpecialUse != "" {
			fmt.Fprintf(out, " %s", f.SpecialUse)
		}
		if f.Status.Known {
			fmt.Fprintf(out, " messages %d next %d validity %d", f.Status.Messages, f.Status.UIDNext, f.Status.UIDValidity)
		}
		switch {
		case f.Problem != nil:
			fmt.Fprintf(out, " problem %s", told(f.Problem))
		case !f.Selectable:
			fmt.Fprint(out, " not selectable")
		default:
			queries = append(queries, mail.Query{Folder: f, From: uint32(from)})
		}
		fmt.Fprintln(out)
	}
	var wants []mail.Want
	err = session.List(ctx, queries, func(l mail.Listing, err error) error {
		if err != nil {
			fmt.Fprintf(out, "list %q: %s\n", l.Folder.Wire, told(err))
			return nil
		}
		fmt.Fprintf(out, "list %q: validity %d complete %v\n", l.Folder.Wire, l.Folder.Status.UIDValidity, l.Complete)
		items := everything(&l)
		for _, it := range items {
			fmt.Fprintf(out, "  uid %d size %d flags %q", it.ID.UID, it.Size, letters(it.Flags))
			if it.Global != "" {
				fmt.Fprintf(out, " global %s", it.Global)
			}
			if setting(dialogue, "words", "") != "" {
				fmt.Fprintf(out, " keywords %q zone %s", it.Keywords, it.Received.Format("-0700"))
			}
			if !it.Received.IsZero() {
				fmt.Fprintf(out, " received %s", it.Received.UTC().Format(time.RFC3339))
			}
			fmt.Fprintln(out)
		}
		want := mail.Want{Folder: l.Folder, Validity: l.Folder.Status.UIDValidity}
		for _, it := range items {
			if fetched == "" || slices.Contains(strings.Fields(fetched), strconv.Itoa(int(it.ID.UID))) {
				want.Items = append(want.Items, it)
			}
		}
		wants = append(wants, want)
		return nil
	})
	if err != nil {
		fmt.Fprintf(out, "list: %s\n", told(err))
		return
	}
	err = session.Fetch(ctx, wants, func(f mail.Folder, it mail.Item, body io.Reader) error {
		b, err := io.ReadAll(body)
		if err != nil {
			return fmt.Errorf("staging: %w", err)
		}
		fmt.Fprintf(out, "take %q %d: %.60q, %d octets\n", f.Wire, it.ID.UID, b, len(b))
		return nil
	}, func(f mail.Folder, it mail.Item, why *fault.Error) {
		fmt.Fprintf(out, "miss %q %d: %s\n", f.Wire, it.ID.UID, told(why))
	})
	if err != nil {
		fmt.Fprintf(out, "fetch: %s\n", told(err))
		return
	}
	fmt.Fprintln(out, "left:", session.Leave(ctx))
}

// told is what a user sees of a failure.
func told(err error) string {
	var f *fault.Error
	if !errors.As(err, &f) {
		return "untyped error " + err.Error()
	}
	return strings.TrimSuffix(string(f.Code)+": "+f.Detail.String(), ": ")
}
