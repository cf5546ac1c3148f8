package fetch_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/source"
)

// numbered is a world whose POP3 server has so many messages, all of them
// fetched.
func numbered(t *testing.T, n int) *world {
	t.Helper()
	w := datedWorld(t, route.StartAll, true)
	w.arrive(n, -day)
	w.brings(t, int64(n))
	w.remote.headers = 0
	return w
}

// replace replaces the message with this unique-id with another.
func (w *world) replace(uid uint32, subject string) {
	w.remote.folders[0].bodies[uid] = fmt.Sprintf("Date: Tue, 1 Feb 2033 10:00:00 +0000\r\nSubject: %s\r\nMessage-ID: "+
		"<%s@new>\r\n\r\nnew\r\n", subject, subject)
}

// once checks that each of the bodies was delivered once, and nothing twice.
func (w *world) once(t *testing.T, bodies ...string) {
	t.Helper()
	got := map[string]int{}
	for _, b := range w.box.folders["Gmail"] {
		if got[b]++; got[b] > 1 {
			t.Errorf("delivered twice: %q", b)
		}
	}
	for _, b := range bodies {
		if got[b] != 1 {
			t.Errorf("delivered %d times: %q", got[b], b)
		}
	}
	for name, n := range w.box.names {
		if n != 1 {
			t.Errorf("%s was delivered %d times", name, n)
		}
	}
}

func (w *world) readsHeaders(t *testing.T, want int) {
	t.Helper()
	if w.remote.headers != want {
		t.Errorf("%d headers were read, want %d", w.remote.headers, want)
	}
	w.remote.headers = 0
}

func TestAMessageUnderAReusedUniqueIDArrivesOnce(t *testing.T) {
	w := numbered(t, 30)
	all := slices.Collect(maps.Values(w.remote.folders[0].bodies))
	for _, subject := range []string{"a second life", "and a third one"} {
		w.replace(3, subject)
		all = append(all, w.remote.folders[0].bodies[3])
		w.brings(t, 1)
		w.readsHeaders(t, 1)
		commits := w.journal.commits
		w.brings(t, 0)
		if w.journal.commits != commits {
			t.Error("a visit without news wrote")
		}
		w.arrive(1, day)
		w.brings(t, 1)
		w.now = w.now.Add(25 * time.Hour)
		w.brings(t, 0)
		w.readsHeaders(t, 0)
	}
	w.once(t, all...)
}

func TestAMaildropOfReusedUniqueIDsArrives(t *testing.T) {
	w := numbered(t, 5)
	all := slices.Collect(maps.Values(w.remote.folders[0].bodies))
	for uid := range uint32(5) { // The server has begun to count from 1 again.
		w.replace(uid+1, strings.Repeat("again ", int(uid)+1))
		all = append(all, w.remote.folders[0].bodies[uid+1])
	}
	w.brings(t, 5)
	w.brings(t, 0)
	w.once(t, all...)
	// What was delivered under the old names is not gone, to be rematched with others.
	w.remote.folders[0].add(w.remote.folders[0].bodies[1])
	w.brings(t, 1)
}

func TestASizeThatIsCountedOtherwiseIsLookedAtOnce(t *testing.T) {
	w := numbered(t, 30)
	all := slices.Collect(maps.Values(w.remote.folders[0].bodies))
	w.remote.sizes = map[uint32]int64{3: 9999}
	w.brings(t, 0)
	w.readsHeaders(t, 1)
	w.arrive(1, day)
	w.brings(t, 1)
	w.now = w.now.Add(25 * time.Hour)
	w.brings(t, 0)
	w.readsHeaders(t, 0)
	w.remote.sizes = nil
	w.replace(3, "really another")
	w.brings(t, 1)
	w.readsHeaders(t, 1)
	w.once(t, append(all, w.remote.folders[0].bodies[3])...)
}

func TestWithoutHeadersAUniqueIDIsBelieved(t *testing.T) {
	w := numbered(t, 30)
	w.remote.noHeader = map[uint32]bool{3: true}
	w.replace(3, "unseen")
	w.brings(t, 0)
	commits := w.journal.commits
	w.brings(t, 0)
	if w.journal.commits != commits {
		t.Error("the listing did not settle")
	}
}

func TestAHeaderThatDoesNotComeIsAskedForAgain(t *testing.T) {
	w := numbered(t, 30)
	w.remote.noHeader = map[uint32]bool{3: true}
	w.replace(3, "for now unseen")
	w.replace(4, "seen")
	w.brings(t, 1)
	w.remote.noHeader = nil
	w.brings(t, 1)
	w.brings(t, 0)
	w.once(t, w.remote.folders[0].bodies[3], w.remote.folders[0].bodies[4])
}

func TestAServerThatCountsOtherwiseIsLeftAlone(t *testing.T) {
	w := numbered(t, 60)
	w.remote.sizes = map[uint32]int64{}
	for uid := range uint32(60) {
		w.remote.sizes[uid+1] = 7777
	}
	w.brings(t, 0)
	w.readsHeaders(t, 0)
}

func TestManyReusedUniqueIDsAreWorkedOffByVisits(t *testing.T) {
	w := numbered(t, 700)
	all := slices.Collect(maps.Values(w.remote.folders[0].bodies))
	for uid := range uint32(250) {
		w.replace(uid+1, fmt.Sprint("another ", uid))
		all = append(all, w.remote.folders[0].bodies[uid+1])
	}
	w.brings(t, 200)
	w.brings(t, 50)
	w.readsHeaders(t, 250)
	w.brings(t, 0)
	w.readsHeaders(t, 0)
	w.once(t, all...)
}

func TestAReusedUniqueIDThatCannotBeReadStaysOnTheListOfSkipped(t *testing.T) {
	w := numbered(t, 30)
	w.replace(3, "unreadable")
	body := w.remote.folders[0].bodies[3]
	w.remote.missing[body] = "no"
	for i := range 3 {
		if r := w.visit(t.Context()); r.Err != nil || r.Skipped != 1 {
			t.Fatalf("visit %d: %+v", i, r)
		}
		w.now = w.now.Add(45 * time.Minute)
	}
	w.arrive(1, day) // The listing is another, and the skipped message not due.
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 1 || r.Skipped != 0 || r.Partial == nil {
		t.Fatalf("report %+v", r)
	}
	var skipped []mail.ID
	for _, s := range w.journal.skips {
		skipped = append(skipped, s.ID)
	}
	if diff := cmp.Diff([]mail.ID{{UIDL: "3", Ordinal: 1}}, skipped); diff != "" {
		t.Error(diff)
	}
	delete(w.remote.missing, body)
	w.now = w.now.Add(48 * time.Hour)
	w.brings(t, 1)
	if len(w.journal.skips) != 0 {
		t.Errorf("still skipped: %v", w.journal.skips)
	}
	w.brings(t, 0)
	w.once(t, body)
}

// The whole way, with a server that has begun to number its messages from 1 again.
func TestAReusedUniqueIDIsFetchedByPOP3(t *testing.T) {
	const (
		capa = "S: +OK\nS: CAPA\nS: USER\nS: TOP\nS: UIDL\nS: PIPELINING\nS: .\n"
		ask  = "C: USER anna\nC: PASS sekret\nC: STAT\nC: LIST\nC: UIDL\n"
	)
	old := "Message-ID: <old@x>\r\nSubject: old\r\n\r\nold\r\n"
	other := "Message-ID: <other@x>\r\nSubject: other\r\n\r\nother\r\n"
	fresh := "Message-ID: <fresh@x>\r\nSubject: fresh\r\n\r\nquite fresh\r\n"
	raw := func(s string) string { return "S< +OK\\r\\n" + strings.ReplaceAll(s, "\r\n", `\r\n`) + `.\r\n` + "\n" }
	lists := func(first string) string {
		return fmt.Sprintf("S: +OK\nS: +OK\nS: +OK 2 0\nS: +OK\nS: 1 %d\nS: 2 %d\nS: .\nS: +OK\nS: 1 m1\nS: 2 m2\nS: .\n",
			len(first), len(other))
	}
	head, _, _ := strings.Cut(fresh, "\r\n\r\n")
	again := "S: +OK\nC: CAPA\n" + ask + capa + lists(fresh)
	s := mailtest.Play(t, "S: +OK\nC: CAPA\n"+capa+ask+lists(old)+
		"C: RETR 2\nC: RETR 1\n"+raw(other)+raw(old)+"C: RSET\nC: QUIT\nS: +OK\n---\n"+
		again+"C: TOP 1 0\n"+raw(head+"\r\n\r\n")+"C: RETR 1\n"+raw(fresh)+"C: RSET\nC: QUIT\nS: +OK\n---\n"+
		again+"C: QUIT\n", mailtest.ScriptOptions{})
	w := newWorld(t, "INBOX")
	w.route.From.Protocol, w.route.From.Username = remote.POP3, "anna"
	w.route.From.Server = remote.Server{Host: "localhost", Port: s.Port(), Security: remote.None}
	w.engine.Credentials = canaryCredentials{}
	w.engine.Source = dialled{source.New(source.Options{Dialer: outbound.New(outbound.Options{
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		AllowAnyPort:  true, AllowPlaintext: true,
	})}), func() {}}
	for i, want := range []int64{2, 1, 0} {
		w.route.From.Capabilities = w.journal.offers
		if r := w.visit(t.Context()); r.Err != nil || r.Partial != nil || r.Messages != want {
			t.Fatalf("visit %d: %+v", i, r)
		}
	}
	s.Finish()
	w.once(t, old, other, fresh)
}
