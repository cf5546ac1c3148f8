package mailtest

import (
	"bytes"
	"net/textproto"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCorpusIsTheSameForTheSameArguments(t *testing.T) {
	a, b := Corpus(1, 120, true), Corpus(1, 120, true)
	if !reflect.DeepEqual(a, b) {
		t.Error("two corpora of one seed differ")
	}
	if reflect.DeepEqual(a, Corpus(2, 120, true)) {
		t.Error("two corpora of different seeds are equal")
	}
}

func TestCorpusHasEveryFolderAndOddity(t *testing.T) {
	msgs := Corpus(7, 4*len(Oddities()), true)
	folders, odd := map[string]bool{}, map[string]bool{"": true}
	for _, m := range msgs {
		folders[m.Folder], odd[m.Odd] = true, true
		if m.Date.IsZero() || m.Date.Nanosecond() != 0 {
			t.Errorf("a message is of %v", m.Date)
		}
	}
	for _, f := range Tree() {
		if !folders[f] {
			t.Errorf("nothing in folder %q", f)
		}
	}
	for _, o := range Oddities() {
		if !odd[o] {
			t.Errorf("no message with %q", o)
		}
	}
}

func TestWireEndsEveryLineInCRLF(t *testing.T) {
	m := Message{Data: []byte("a: b\r\nc: d\n\nbare\rcr\nend")}
	if got, want := string(m.Wire()), "a: b\r\nc: d\r\n\r\nbare\rcr\r\nend"; got != want {
		t.Errorf("Wire gives %q, want %q", got, want)
	}
	if got, want := string(m.POP3()), "a: b\r\nc: d\r\n\r\nbare\rcr\r\nend\r\n"; got != want {
		t.Errorf("POP3 gives %q, want %q", got, want)
	}
}

func TestNamesRoundTrip(t *testing.T) {
	for _, tc := range []struct{ name, wire string }{
		{"INBOX", "INBOX"},
		{"R&D", "R&-D"},
		{"Wysłane", "Wys&AUI-ane"},
		{"~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"}, // RFC 3501 section 5.1.3.
		{"a\U0001F600b", "a&2D3eAA-b"},
	} {
		if got := EncodeName(tc.name); got != tc.wire {
			t.Errorf("EncodeName(%q) = %q, want %q", tc.name, got, tc.wire)
		}
		if got, err := DecodeName(tc.wire); err != nil || got != tc.name {
			t.Errorf("DecodeName(%q) = %q, %v, want %q", tc.wire, got, err, tc.name)
		}
	}
	for _, bad := range []string{"&", "a&b", "&AUI", "&A-"} {
		if got, err := DecodeName(bad); err == nil {
			t.Errorf("DecodeName(%q) = %q, want an error", bad, got)
		}
	}
}

func FuzzDecodeName(f *testing.F) {
	for _, s := range []string{"INBOX", "R&-D", "&U,BTFw-", "&2D3eAA-", "&", "&AUI"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := DecodeName(s)
		if err != nil {
			return
		}
		if again, err := DecodeName(EncodeName(name)); err != nil || again != name &&
			!bytes.ContainsRune([]byte(name), '\uFFFD') {
			t.Errorf("%q became %q, then %q: %v", s, name, again, err)
		}
	})
}

func TestDovecotServesTheCorpusAsTheOracleSays(t *testing.T) {
	for _, o := range []DovecotOptions{{}, {Separator: "/"}, {Prefix: "INBOX."}} {
		t.Run("separator "+o.Separator+" prefix "+o.Prefix, func(t *testing.T) {
			d := StartDovecot(t, o)
			msgs := Corpus(3, 4*len(Oddities()), true)
			oracle := Fill(t, d, "anna", msgs)
			tls := d.CA.Client()
			before := Snapshot(t, d.Addr("imaps"), tls, "anna", "sekret")
			CompareDelivered(t, oracle, ReadIMAP(t, d.Addr("imaps"), tls, "anna", "sekret"), "")
			want := ByPOP3(msgs)
			for i := range want {
				want[i].Date = time.Time{} // POP3 tells none.
			}
			CompareDelivered(t, want, ReadPOP3(t, d.Addr("pop3s"), tls, "anna", "sekret"), "")
			if after := Snapshot(t, d.Addr("imap"), nil, "anna", "sekret"); after != before {
				t.Errorf("reading changed the mailbox:\n%s\n%s", before, after)
			}
			folders := slices.Sorted(slices.Values(Tree()))
			if got := SubscribedIMAP(t, d.Addr("imap"), nil, "anna", "sekret"); !slices.Equal(got, folders) {
				t.Errorf("subscribed are %q, want %q", got, folders)
			}
		})
	}
}

func TestSnapshotShowsAnyChange(t *testing.T) {
	d := StartDovecot(t, DovecotOptions{})
	Fill(t, d, "anna", Corpus(4, 5, false))
	look := func() string { return Snapshot(t, d.Addr("imap"), nil, "anna", "sekret") }
	last := look()
	for _, change := range [][]string{
		{"flags", "add", "-u", "anna", `\Deleted`, "mailbox", "INBOX", "1"},
		{"mailbox", "create", "-u", "anna", "New"},
		{"mailbox", "subscribe", "-u", "anna", "New"},
		{"expunge", "-u", "anna", "mailbox", "INBOX", "DELETED"},
	} {
		d.Adm(change...)
		now := look()
		if now == last {
			t.Errorf("%q does not show", change)
		}
		last = now
	}
}

func TestWhatCyrusTakesItServesAsTheOracleSays(t *testing.T) {
	for _, alt := range []bool{false, true} {
		c := StartCyrus(t, CyrusOptions{Alt: alt})
		tls := c.CA.Client()
		oracle := Append(t, c.Addr("imaps"), tls, "anna", "sekret", Corpus(5, 4*len(Oddities()), true))
		if len(oracle) < 60 {
			t.Errorf("Cyrus took only %d messages", len(oracle))
		}
		before := Snapshot(t, c.Addr("imaps"), tls, "anna", "sekret")
		CompareDelivered(t, oracle, ReadIMAP(t, c.Addr("imaps"), tls, "anna", "sekret"), "")
		inbox := slices.DeleteFunc(slices.Clone(oracle), func(e Expected) bool { return e.Folder != "INBOX" })
		if got := ReadPOP3(t, c.Addr("pop3s"), tls, "anna", "sekret"); len(got) != len(inbox) || len(got) == 0 {
			t.Errorf("%d messages by POP3, %d in the inbox", len(got), len(inbox))
		}
		if after := Snapshot(t, c.Addr("imap"), nil, "anna", "sekret"); after != before {
			t.Errorf("reading changed the mailbox:\n%s\n%s", before, after)
		}
	}
}

func TestServersRefuseAWrongPassword(t *testing.T) {
	for name, addr := range map[string]string{
		"Dovecot": StartDovecot(t, DovecotOptions{}).Addr("pop3"), "Cyrus": StartCyrus(t, CyrusOptions{}).Addr("pop3"),
	} {
		if got := talk(t, addr, nil, "USER anna\r\nPASS wrong\r\nQUIT\r\n"); !strings.Contains(got, "-ERR") {
			t.Errorf("%s says %q", name, got)
		}
	}
}

// A reader that forgets RSET must be found out where the server marks mail as
// seen, and only there.
func TestPOP3SetsSeenWhereItIsTold(t *testing.T) {
	for _, sets := range []bool{false, true} {
		d := StartDovecot(t, DovecotOptions{POP3SetsSeen: sets})
		Fill(t, d, "anna", []Message{{Folder: "INBOX", Data: []byte("Subject: hi\n\nhi\n"), Date: time.Unix(1700000000, 0)}})
		look := func() string { return Snapshot(t, d.Addr("imap"), nil, "anna", "sekret") }
		before := look()
		c := textproto.NewConn(dial(t, d.Addr("pop3"), nil))
		for _, say := range []string{"", "USER anna", "PASS sekret", "RETR 1", "QUIT"} {
			if say != "" {
				if err := c.PrintfLine("%s", say); err != nil {
					t.Fatal(err)
				}
			}
			if line, err := c.ReadLine(); err != nil || !strings.HasPrefix(line, "+OK") {
				t.Fatalf("%s: %q, %v", say, line, err)
			}
			if say == "RETR 1" {
				if _, err := c.ReadDotBytes(); err != nil {
					t.Fatal(err)
				}
			}
		}
		c.Close()
		if changed := look() != before; changed != sets {
			t.Errorf("POP3SetsSeen %v: the snapshot changed: %v", sets, changed)
		}
	}
}
