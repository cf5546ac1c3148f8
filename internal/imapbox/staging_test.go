package imapbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/mailtest/destination"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// capabilities0 is what a server offers at the least.
const capabilities0 = "IMAP4rev1 SASL-IR ID ENABLE NAMESPACE CHILDREN UNSELECT LIST-EXTENDED SPECIAL-USE QUOTA"

// opened opens a delivery that nothing disturbs.
func (p mailbox) opened(epoch int64) fetch.Delivery {
	p.t.Helper()
	d, err := p.Open(p.t.Context(), destination.Process{
		Epoch: epoch, Step: func(string) {}, Call: func() error { return nil },
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return d
}

// sealed stages and seals messages, of which even ones go to Even and odd ones to Odd. Those that are refused
// are left out.
func sealed(t *testing.T, d fetch.Delivery, bodies ...string) (ps []mail.Placement, refused []error) {
	t.Helper()
	n := -1
	return sealedInto(t, d, func(string) string { n++; return [...]string{"Even", "Odd"}[n%2] }, bodies...)
}

// sealedInto is sealed where folder says where a message goes.
func sealedInto(t *testing.T, d fetch.Delivery, folder func(body string) string, bodies ...string) (
	ps []mail.Placement, refused []error,
) {
	t.Helper()
	for i, body := range bodies {
		token := mail.TokenFor([]byte("key"), "journal", "INBOX", 1, mail.ID{UID: uint32(i + 1)})
		st, err := d.Stage(t.Context(), token, strings.NewReader(body), time.Date(2023, 5, 1, 12, 0, 0, 0, time.UTC), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		ps = append(ps, mail.Placement{
			Spool: st.Spool, Token: token, Folder: folder(body), Fingerprint: st.Fingerprint,
			Received: st.Received, FileSize: st.FileSize, VirtualSize: st.VirtualSize,
		})
	}
	answers, err := d.Seal(t.Context(), ps)
	if err != nil {
		t.Fatal(err)
	}
	var taken []mail.Placement
	for i, a := range answers {
		if a.Refused != nil {
			refused = append(refused, a.Refused)
			continue
		}
		ps[i].Spool = a.Spool
		taken = append(taken, ps[i])
	}
	return taken, refused
}

// limited has a Dovecot refuse messages above so many KiB.
func limited(most int) []string {
	return []string{
		"mail_plugins = quota", "protocol imap {\n mail_plugins = quota imap_quota\n}",
		"plugin {\n quota = count:User\n quota_rule = *:storage=100M\n quota_vsizes = yes\n}",
		fmt.Sprintf("plugin {\n quota_max_mail_size = %dk\n}", most),
	}
}

func fingerprint(body string) mail.Fingerprint {
	scan := mail.NewScanner()
	_, _ = scan.Write([]byte(body)) // It never fails.
	return scan.Sum()
}

// text is the n-th message, which says to which folder it goes.
func text(n, size int) string {
	return fmt.Sprintf("Subject: %s %d\r\n\r\n%s\r\n", [...]string{"Even", "Odd"}[n%2], n, strings.Repeat("x", size))
}

// arrived fails the test unless each of n messages is there once, and in its folder.
func (p mailbox) arrived(n int) {
	p.t.Helper()
	all, err := p.Messages()
	if err != nil {
		p.t.Fatal(err)
	}
	there := map[string]bool{}
	for _, m := range all {
		if there[m.Body] || !strings.HasPrefix(m.Body, "Subject: "+m.Folder+" ") {
			p.t.Errorf("%s has %.20q, perhaps a second time", m.Folder, m.Body)
		}
		there[m.Body] = true
	}
	if len(there) != n {
		p.t.Errorf("%d messages have arrived, not %d", len(there), n)
	}
}

// Where a server refuses several messages at once, those that are sent one by one thereafter lie behind
// what was on the wire meanwhile: none of them is taken for another.
func TestARefusedGroupIsAppendedOneByOne(t *testing.T) {
	t.Parallel()
	for _, offers := range []string{"MULTIAPPEND", "MULTIAPPEND LITERAL+"} {
		d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
			Separator: "/", Capability: capabilities0 + " MOVE UIDPLUS " + offers, Extra: append(limited(20), everybody),
		})
		p := newPlace(t, d)
		var bodies []string
		for i := range 120 {
			bodies = append(bodies, text(i, map[bool]int{true: 40000, false: 10 * i}[i == 7]))
		}
		delivery := p.opened(1)
		ps, refused := sealed(t, delivery, bodies...)
		if len(refused) != 1 || fault.CodeOf(refused[0]) != fault.MessageFailed || len(ps) != 119 {
			t.Fatalf("refused: %v", refused)
		}
		if _, err := delivery.Publish(t.Context(), ps); err != nil {
			t.Error(err)
		}
		if err := delivery.Close(); err != nil {
			t.Error(err)
		}
		p.arrived(119)
	}
}

// A staging folder that is gone, with what was in it: what was moved out of it before is found where it went.
func TestTheStagingFolderIsGone(t *testing.T) {
	t.Parallel()
	p := newPlace(t, mailtest.StartDovecot(t, mailtest.DovecotOptions{Separator: "/", Extra: []string{everybody}}))
	d := p.opened(1)
	ps, _ := sealed(t, d, text(0, 10), text(1, 10), text(2, 10), text(3, 10))
	if _, err := d.Publish(t.Context(), ps[:2]); err != nil {
		t.Fatal(err)
	}
	c := mailtest.DialUser(t, p.d.Addr("imap"), nil, p.user, "sekret")
	defer c.Close()
	for _, f := range c.Folders() {
		if strings.HasPrefix(f, "mailbrook-staging-") {
			c.Do(`DELETE "` + f + `"`)
		}
	}
	again := p.opened(2)
	fates, err := again.Find(context.Background(), ps, true)
	if err != nil || fmt.Sprint(fates) != fmt.Sprint([]mail.Fate{mail.Delivered, mail.Delivered, mail.Lost, mail.Lost}) {
		t.Errorf("the fates are %v (%v)", fates, err)
	}
}

// The configuration changed from a Maildir to the server that shows it, with a batch under way: nothing is guessed of
// it. For who knows that the Maildir is gone its folders are searched: what lies there is delivered, each message once.
func TestABatchThatWasStagedForAMaildir(t *testing.T) {
	t.Parallel()
	p := newPlace(t, mailtest.StartDovecot(t, mailtest.DovecotOptions{Separator: "/", Extra: []string{everybody}}))
	d := p.opened(1)
	ps, _ := sealed(t, d, text(0, 10), text(1, 10), text(0, 10), text(2, 10))
	if _, err := d.Publish(t.Context(), ps[:2]); err != nil {
		t.Fatal(err)
	}
	for i := range ps {
		ps[i].Spool = fmt.Sprintf("Fabcdefghij%d.e7", i)
	}
	again := p.opened(2)
	if fates, err := again.Find(t.Context(), ps, true); fault.CodeOf(err) != fault.LocalMailboxUnavailable ||
		!strings.Contains(err.Error(), "migrate-destination") {
		t.Errorf("it is guessed that the fates are %v (%v)", fates, err)
	}
	fates, err := again.(fetch.Heir).Search(t.Context(), ps)
	if err != nil || fmt.Sprint(fates) != fmt.Sprint([]mail.Fate{mail.Delivered, mail.Delivered, mail.Lost, mail.Lost}) {
		t.Errorf("the fates are %v (%v)", fates, err)
	}
}

// A server that is killed within a MOVE may leave a message in both folders: it is delivered then. Of
// its twins those that were moved take their places first.
func TestAMoveThatWasCutInTwo(t *testing.T) {
	t.Parallel()
	p := newPlace(t, mailtest.StartDovecot(t, mailtest.DovecotOptions{Separator: "/", Extra: []string{everybody}}))
	d := p.opened(1)
	ps, _ := sealed(t, d, text(0, 10), text(1, 10), text(0, 10), text(1, 10), text(2, 10))
	if _, err := d.Publish(t.Context(), ps[:1]); err != nil {
		t.Fatal(err)
	}
	c := mailtest.DialUser(t, p.d.Addr("imap"), nil, p.user, "sekret")
	defer c.Close()
	for _, f := range c.Folders() {
		if strings.HasPrefix(f, "mailbrook-staging-") {
			c.Do(`CREATE Odd`)
			c.Do(`SELECT "` + f + `"`)
			c.Do("UID COPY 2 Odd")  // One of the odd twins.
			c.Do("UID COPY 5 Even") // The one that has none.
		}
	}
	again := p.opened(2)
	fates, err := again.Find(context.Background(), ps, true)
	want := []mail.Fate{mail.Delivered, mail.Delivered, mail.Pending, mail.Pending, mail.Delivered}
	if err != nil || fmt.Sprint(fates) != fmt.Sprint(want) {
		t.Fatalf("the fates are %v (%v), want %v", fates, err, want)
	}
	if _, err := again.Publish(t.Context(), []mail.Placement{ps[2], ps[3]}); err != nil {
		t.Error(err)
	}
	if err := again.Sweep(t.Context(), nil); err != nil {
		t.Error(err)
	}
	if all, err := p.Messages(); err != nil || len(all) != 5 {
		t.Errorf("%d messages have arrived (%v)", len(all), err)
	}
	if left := c.Folders(); strings.Contains(strings.Join(left, " "), "mailbrook-staging-") {
		t.Errorf("there are %v", left)
	}
}

// A connection is kept for a while in which nobody needs it, and one that its server has ended meanwhile is no
// failure: another is made.
func TestAConnectionThatRestsIsUsedAgain(t *testing.T) {
	t.Parallel()
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Extra: []string{everybody}})
	p := newPlace(t, d)
	o, err := owner.Parse(p.user)
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	s := p.store(func(string) {}, func() error { return nil })
	s.o.Idle = time.Hour
	dial := s.dial
	s.dial = func(ctx context.Context, l Login) (*wire.Link, error) {
		made++
		return dial(ctx, l)
	}
	use := func(folder string) {
		t.Helper()
		d, err := s.Open(t.Context(), o, "journal", 1, owner.Limit{})
		if err == nil {
			err = errors.Join(d.EnsureFolders(t.Context(), []string{folder}), d.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	use("A")
	use("B")
	if made != 1 {
		t.Errorf("%d connections, one after the other", made)
	}
	d.Stop()
	d.Start()
	use("C")
	if made != 2 {
		t.Errorf("%d connections, the server having ended the first", made)
	}
	s.o.Idle = 0
	use("D")
	use("E") // The control: it was not kept.
	if made != 3 {
		t.Errorf("%d connections where none is kept", made)
	}
}

// Where there are fewer connections than users, one user's long delivery keeps no other from the server: it gives its
// connection away between two steps.
func TestWhoWaitsForAConnectionGetsItBetweenTwoSteps(t *testing.T) {
	t.Parallel()
	for _, rests := range []time.Duration{0, time.Hour} {
		m := newModel(t)
		v := newVisitor(t, m)
		v.store.slots, v.store.o.Idle = make(chan struct{}, 1), rests
		busy, further := make(chan struct{}), make(chan struct{})
		once := alwaysOnce()
		v.store.o.Step = func(name string) {
			if name == "folder.create" && once() {
				close(busy)
				<-further
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		d, err := v.store.Open(ctx, user("anna@firma.test"), "journal", 1, owner.Limit{})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		first, other := make(chan error, 1), make(chan error, 1)
		go func() { first <- d.EnsureFolders(ctx, []string{"A"}) }()
		<-busy
		go func() { other <- v.store.Make(ctx, user("ben@firma.test")) }()
		for v.store.waits.Load() == 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		close(further)
		if err := errors.Join(<-first, <-other); err != nil {
			t.Errorf("while one delivers another waits: %v", err)
		}
		if err := d.EnsureFolders(ctx, []string{"B"}); err != nil {
			t.Error(err)
		}
	}
}

// A connection that rests is not used once its user's mailbox is signed in to otherwise, or not at all any more.
func TestAConnectionThatRestsHasTheLoginThatThereIs(t *testing.T) {
	t.Parallel()
	m := newModel(t)
	v := newVisitor(t, m)
	v.store.o.Idle = time.Hour
	name, forgotten := "anna", false
	v.store.o.Login = func(context.Context, owner.Owner) (Login, error) {
		if forgotten {
			return Login{}, errors.New("nothing is saved")
		}
		return Login{Credential: remote.Credential{Username: name, Secret: remote.NewSecret("sekret")}, Own: true}, nil
	}
	logins := func(want string) {
		t.Helper()
		m.mu.Lock()
		defer m.mu.Unlock()
		got := slices.DeleteFunc(slices.Clone(m.lines), func(line string) bool { return !strings.HasPrefix(line, "LOGIN") })
		if strings.Join(got, "; ") != want {
			t.Errorf("signed in: %q, want %q", got, want)
		}
	}
	for range 2 {
		if err := v.store.Make(t.Context(), user("anna@firma.test")); err != nil {
			t.Fatal(err)
		}
	}
	logins(`LOGIN "anna" "sekret"`) // The control: it is used again.
	name = "ania"
	if err := v.store.Make(t.Context(), user("anna@firma.test")); err != nil {
		t.Fatal(err)
	}
	logins(`LOGIN "anna" "sekret"; LOGIN "ania" "sekret"`)
	forgotten = true
	if err := v.store.Make(t.Context(), user("anna@firma.test")); err == nil {
		t.Error("a mailbox is opened whose login was forgotten")
	}
}
