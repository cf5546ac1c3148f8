package mailtest

import (
	"io"
	"net"
	"strings"
	"testing"
)

func TestProxyLetsThroughAndCounts(t *testing.T) {
	s := Play(t, "S: hello\nC: ask\nS: answer\nC: bye", ScriptOptions{})
	p := StartProxy(t, s.Addr())
	if got := talk(t, p.Addr(), nil, "ask\r\nbye\r\n"); got != "hello\r\nanswer\r\n" {
		t.Errorf("the client hears %q", got)
	}
	s.Close()
	if got := p.Traffic(); got.Connections != 1 || got.Up != 10 || got.Down != 15 {
		t.Errorf("it counts %+v", got)
	}
}

func TestProxyCutsWhereTold(t *testing.T) {
	s := Play(t, "S: 0123456789", ScriptOptions{Repeat: true, Lenient: true})
	p := StartProxy(t, s.Addr())
	for _, n := range []int64{0, 1, 11} {
		p.CutAfter(n)
		if got := talk(t, p.Addr(), nil, ""); got != "0123456789\r\n"[:n] {
			t.Errorf("cut after %d octets, the client hears %q", n, got)
		}
	}
	p.Heal()
	if got := talk(t, p.Addr(), nil, ""); got != "0123456789\r\n" {
		t.Errorf("healed, the client hears %q", got)
	}
	p.Refuse()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, _ := io.ReadAll(c); len(got) > 0 {
		t.Errorf("refused, the client hears %q", got)
	}
}

func TestProxyStallsUntilClosed(t *testing.T) {
	s := Play(t, "S* 100 0123456789\nSTALL", ScriptOptions{})
	p := StartProxy(t, s.Addr())
	p.StallAfter(15)
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := make([]byte, 15)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "012345678901234" {
		t.Fatalf("the client hears %q, %v", b, err)
	}
	<-p.Stalled()
	p.CutAll()
	if rest, _ := io.ReadAll(c); len(rest) > 0 {
		t.Errorf("after the stall the client hears %q", rest)
	}
}

func TestProxyCarriesTLS(t *testing.T) {
	s := Play(t, "TLS\nS: hi", ScriptOptions{})
	p := StartProxy(t, s.Addr())
	if got := talk(t, p.Addr(), s.CA.Client(), ""); got != "hi\r\n" {
		t.Errorf("the client hears %q", got)
	}
}

func TestDifferencesNameEachKind(t *testing.T) {
	msgs := Corpus(9, 40, true)
	oracle := ByIMAP(msgs)
	delivered := func() []Delivered {
		root := t.TempDir()
		moved := append([]Message(nil), msgs...)
		for i := range moved {
			if moved[i].Folder == "INBOX" {
				moved[i].Folder = "Gmail"
			} else {
				moved[i].Folder = "Gmail/" + moved[i].Folder
			}
		}
		if err := WriteMaildir(root, append(moved, Message{Folder: "INBOX", Data: []byte("not ours\n")})); err != nil {
			t.Fatal(err)
		}
		return ReadMaildir(t, root)
	}
	good := delivered()
	if len(good) != len(msgs)+1 {
		t.Fatalf("%d messages lie in the Maildir, want %d", len(good), len(msgs)+1)
	}
	if diffs := Differences(oracle, good, "Gmail"); len(diffs) > 0 {
		t.Fatalf("equal mailboxes differ: %s", diffs)
	}
	for _, tc := range []struct {
		name, want string
		spoil      func(d []Delivered) []Delivered
	}{
		{"a lost message", "is there 0 times, want 1", func(d []Delivered) []Delivered { return d[2:] }},
		{"a doubled message", "is there 2 times, want 1", func(d []Delivered) []Delivered { return append(d, d[1]) }},
		{"changed bytes", "is there 1 times, want 0", func(d []Delivered) []Delivered { d[3].SHA[0]++; return d }},
		{"another folder", "is there 0 times, want 1", func(d []Delivered) []Delivered {
			d[4].Folder = "Gmail/Elsewhere"
			return d
		}},
		{"other flags", "has flags", func(d []Delivered) []Delivered { d[5].Flags += "D"; return d }},
		{"another date", "is of ", func(d []Delivered) []Delivered { d[6].Time = d[6].Time.AddDate(0, 0, 1); return d }},
	} {
		diffs := Differences(oracle, tc.spoil(delivered()), "Gmail")
		if !strings.Contains(strings.Join(diffs, "\n"), tc.want) {
			t.Errorf("%s: got %q, want %q", tc.name, diffs, tc.want)
		}
	}
}

func TestOpenOnServesALocalMailboxAndLeavesItAlone(t *testing.T) {
	root := t.TempDir()
	msgs := Corpus(11, 60, true)
	if err := WriteMaildir(root, msgs); err != nil {
		t.Fatal(err)
	}
	before := ReadMaildir(t, root)
	d := OpenOn(t, root, "anna@firma.test")
	got := ReadIMAP(t, d.Addr("imaps"), d.CA.Client(), "anna@firma.test", "sekret")
	CompareDelivered(t, ByIMAP(msgs), got, "")
	after := ReadMaildir(t, root)
	if len(before) != len(after) || len(before) == 0 {
		t.Fatalf("%d files before, %d after", len(before), len(after))
	}
	for i := range before {
		if before[i] != after[i] {
			t.Errorf("%s became %s", before[i].Path, after[i].Path)
		}
	}
	if got, want := SubscribedIMAP(t, d.Addr("imap"), nil, "anna@firma.test", "sekret"), Subscriptions(
		t, root); strings.Join(got, ",") != strings.Join(want, ",") {
		t.Errorf("subscribed are %q, want %q", got, want)
	}
}
