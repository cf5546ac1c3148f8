package imapbox

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// Lines of a Dovecot's configuration that has quotas, and shows them or not.
const (
	counting = "plugin {\n  quota = count:User quota\n  quota_vsizes = yes\n}\nmail_plugins = quota\n"
	showing  = counting + "protocol imap {\n  mail_plugins = quota imap_quota\n}\n"
)

func rule(limits string) string { return "plugin {\n  quota_rule = *:" + limits + "\n}\n" }

func number(n int64) *int64 { return &n }

// What a mailbox holds is asked for at most once a minute, and what deliveries find out counts.
func TestUsage(t *testing.T) {
	t.Parallel()
	f := newOffice(t, showing)
	f.configure(rule("storage=1M:messages=100"))
	ctx := t.Context()
	d := f.open(anna(), 1, owner.Limit{})
	if err := d.Reserve(ctx, 3, 6000); err != nil {
		t.Fatal(err)
	}
	f.deliver(d, "Gmail", 2, 2000)
	f.deliver(d, "Gmail/Sent", 1, 3000)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	dialled := f.dialled.Load()
	bytes, messages, err := f.Usage(ctx, anna())
	if err != nil || bytes != 7000 || messages != 3 || f.dialled.Load() != dialled {
		t.Errorf("%d octets, %d messages by what was delivered: %v", bytes, messages, err)
	}
	folders := []string{"Gmail", "Gmail/Sent", "Other"}
	want := []owner.Use{{Bytes: 4000, Messages: 2}, {Bytes: 3000, Messages: 1}, {}}
	for range 3 {
		all, of, err := f.Shares(ctx, anna(), folders)
		if err != nil || all != (owner.Use{Bytes: 7 << 10, Messages: 3}) { // It counts whole units of 1024.
			t.Errorf("%+v: %v", all, err)
		}
		for i := range want {
			if of[i] != want[i] {
				t.Errorf("%s holds %+v", folders[i], of[i])
			}
		}
		own, err := f.OwnLimit(ctx, anna(), owner.Limit{})
		if err != nil || own.Bytes == nil || *own.Bytes != 1<<20 || own.Messages == nil || *own.Messages != 100 {
			t.Errorf("%+v: %v", own, err)
		}
	}
	if n := f.dialled.Load() - dialled; n != 1 {
		t.Errorf("%d connections for one page", n)
	}
	f.pass(2 * time.Minute)
	bytes, messages, err = f.Usage(ctx, anna())
	if err != nil || bytes != 7<<10 || messages != 3 || f.dialled.Load() != dialled+2 {
		t.Errorf("%d octets, %d messages a minute later: %v", bytes, messages, err)
	}
	if _, of, err := f.Shares(ctx, user("ben@firma.test"), folders); err != nil || of[0] != (owner.Use{}) {
		t.Error(of, err)
	}
}

// A server without a quota, and one that does not add up sizes, are asked for what they hold.
func TestUsageWithoutAQuota(t *testing.T) {
	t.Parallel()
	f := newOffice(t)
	ctx := t.Context()
	d := f.open(anna(), 1, owner.Limit{})
	f.deliver(d, "Gmail", 2, 2000)
	f.deliver(d, "Gmail/Sent", 1, 3000)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	look := func(what string) {
		t.Helper()
		f.pass(2 * time.Minute)
		all, of, err := f.Shares(ctx, anna(), []string{"Gmail"})
		if err != nil || all != (owner.Use{Bytes: 7000, Messages: 3}) || of[0] != all {
			t.Errorf("%s: %+v, of it %+v: %v", what, all, of, err)
		}
		own, err := f.OwnLimit(ctx, anna(), owner.Limit{})
		if err != nil || own != (owner.Limit{}) {
			t.Errorf("%s: %+v, %v", what, own, err)
		}
	}
	look("STATUS SIZE")
	f.configure("imap_capability = IMAP4rev1 UIDPLUS MOVE NAMESPACE\n")
	look("RFC822.SIZE")
	look("RFC822.SIZE, again")
}

// A full mailbox is noticed before anything is fetched, and again when there is room.
func TestAFullMailbox(t *testing.T) {
	t.Parallel()
	f := newOffice(t, showing)
	f.configure(rule("storage=100K"))
	ctx := t.Context()
	d := f.open(anna(), 1, owner.Limit{})
	if err := d.Reserve(ctx, 1, 50_000); err != nil {
		t.Fatal(err)
	}
	f.deliver(d, "Gmail", 1, 50_000)
	err := d.Reserve(ctx, 1, 60_000)
	is(t, err, fault.LocalOverQuota)
	is(t, d.Reserve(ctx, 1, 50_000), fault.LocalOverQuota) // A twentieth is left to other mail.
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	// The next visit sees before anything else whether there is room at all: there is some.
	d = f.open(anna(), 2, owner.Limit{})
	before := f.dialled.Load()
	if err := d.Reserve(ctx, 1, 1); err != nil || f.dialled.Load() == before {
		t.Error("nobody asked", err)
	}
	if err := d.Reserve(ctx, 1, 40_000); err != nil {
		t.Error(err)
	}
	// A limit that was set, where the server counts otherwise.
	d = f.open(user("ben@firma.test"), 1, owner.Limit{Messages: number(1)})
	if err := d.Reserve(ctx, 1, 1000); err != nil {
		t.Fatal(err)
	}
	f.deliver(d, "Gmail", 1, 1000)
	is(t, d.Reserve(ctx, 1, 1), fault.LocalOverQuota)
}

// A server that refuses by itself stops a visit, loses nothing, and is tried again after growing pauses.
func TestAServerThatRefusesAsThereIsNoRoom(t *testing.T) {
	t.Parallel()
	f := newOffice(t, counting) // It does not say what it counts.
	f.configure(rule("storage=100K"))
	ctx := t.Context()
	for try := 1; try <= 3; try++ {
		d := f.open(anna(), int64(try), owner.Limit{})
		if err := d.Reserve(ctx, 1, 1); err != nil {
			t.Fatalf("visit %d: %v", try, err)
		}
		ps := f.stage(d, "Gmail", 3, 60_000)
		_, err := d.Seal(ctx, ps)
		is(t, err, fault.LocalOverQuota)
		if err == nil || !strings.Contains(err.Error(), "Quota exceeded") {
			t.Error("in whose words?", err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		// Nothing is asked for until the pause is over, and it grows.
		dialled := f.dialled.Load()
		for range try {
			d := f.open(anna(), int64(try), owner.Limit{})
			is(t, d.Reserve(ctx, 1, 1), fault.LocalOverQuota)
			_ = d.Close()
			f.pass(time.Minute)
		}
		if f.dialled.Load() != dialled {
			t.Error("the server was asked all the same")
		}
	}
	// Room is found when the time has come, and there is no pause any more.
	f.configure(rule("storage=10M"))
	d := f.open(anna(), 9, owner.Limit{})
	if err := d.Reserve(ctx, 1, 1); err != nil {
		t.Fatal(err)
	}
	f.deliver(d, "Gmail", 3, 60_000)
	if err := d.Reserve(ctx, 1, 1); err != nil || d.box.full != nil {
		t.Error(err)
	}
}

// One that shows its quota is tried as soon as it shows more room than when it refused.
func TestRoomIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	f := newOffice(t, showing)
	f.configure(rule("storage=100K"))
	ctx := t.Context()
	d := f.open(anna(), 1, owner.Limit{})
	_, err := d.Seal(ctx, f.stage(d, "Gmail", 3, 60_000)) // As if others had filled it since Reserve.
	is(t, err, fault.LocalOverQuota)
	_ = d.Close()
	d = f.open(anna(), 2, owner.Limit{})
	is(t, d.Reserve(ctx, 1, 1), fault.LocalOverQuota)
	_ = d.Close()
	f.configure(rule("storage=200K"))
	d = f.open(anna(), 3, owner.Limit{})
	if err := d.Reserve(ctx, 1, 1); err != nil {
		t.Errorf("there is more room, and nobody tries: %v", err)
	}
	f.deliver(d, "Gmail", 3, 60_000)
}

// Messages on their way that fill the mailbox to the brim arrive all the same.
func TestMovingNeedsNoRoom(t *testing.T) {
	t.Parallel()
	f := newOffice(t, showing)
	f.configure(rule("storage=100K"))
	d := f.open(anna(), 1, owner.Limit{})
	f.deliver(d, "Gmail", 1, 99<<10)
}

func TestOverQuota(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code, text string
		full       bool
	}{
		{"OVERQUOTA", "", true},
		{"", "Quota exceeded (mailbox for user is full)", true}, // Dovecot, formerly.
		{"", "Over quota", true},                                // Cyrus, formerly.
		{"LIMIT", "Mailbox quota exceeded", true},
		{"ALERT", "Your mailbox is full.", true},
		{"LIMIT", "Too many flags", false},
		{"TOOBIG", "Message exceeds quota of 10 MB", false},
		{"", "Message too large", false},
		{"UNAVAILABLE", "Quota service is down for over a minute", false},
		{"", "Invalid message", false},
	} {
		err := &wire.Refused{Reply: wire.Reply{Kind: wire.NO, Code: c.code, Text: c.text}}
		if overQuota(err.Reply) != c.full {
			t.Errorf("[%s] %s", c.code, c.text)
		}
		if code := fault.CodeOf(trouble("appending", err)); (code == fault.LocalOverQuota) != c.full {
			t.Errorf("[%s] %s is %s", c.code, c.text, code)
		}
		a := (&Delivery{}).newAppending(nil, make([]mail.Placement, 1), []*staged{{}}, []string{""})
		if got := a.judge(group{of: []int{0}}, err); c.full && !errors.Is(got, err) {
			t.Errorf("[%s] %s is taken for a refusal of the message", c.code, c.text)
		}
	}
}
