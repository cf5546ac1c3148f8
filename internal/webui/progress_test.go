package webui_test

import (
	"io"
	"net"
	"regexp"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// thinLine is a way to an address that brings no more than so many octets a
// second, and returns its port.
func thinLine(tb testing.TB, target string, perSecond int) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var lines sync.WaitGroup
	over := make(chan struct{})
	tb.Cleanup(func() {
		close(over)
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
		lines.Wait()
	})
	lines.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // The test is over.
			}
			lines.Go(func() { trickle(c, target, perSecond, over) })
		}
	})
	return l.Addr().(*net.TCPAddr).Port
}

func trickle(client net.Conn, target string, perSecond int, over <-chan struct{}) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client) // Until either has gone.
		server.Close()
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := io.CopyN(client, server, int64(perSecond/20)); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-over:
			return
		}
	}
}

var leftWords = regexp.MustCompile(`(\d+) of (\d+) .*about (\d+) (second|minute)s? left`)

// The time left is shown once there is something to compute with, and agrees with
// how the fetch goes.
func TestARunningFetchTellsHowLongItWillTake(t *testing.T) {
	t.Parallel()
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: map[string]string{"anna": "tajne-anna-7Qx"}})
	mail := mailtest.Corpus(7, 160, false)
	mailtest.Fill(t, d, "anna", mail)
	size := 0
	for _, m := range mail {
		size += len(m.Data)
	}
	s := newSite(t, d.CA)
	p := look(t, desktop, s.link("anna@firma.test"))
	p.sees("Read all your mail in one place")
	began := time.Now()
	s.add("anna@firma.test", d, "Poczta", "imap", "anna", map[string]any{
		"server": map[string]any{"host": "localhost", "port": thinLine(t, d.Addr("imaps"), size/20), "security": "tls"},
	})
	const words = `document.querySelector(".card .progress-text")?.textContent.replaceAll("\u00a0", " ")`
	p.until(words + `?.includes("left")`)
	said := js[string](p, words)
	took := time.Since(began).Seconds()
	m := leftWords.FindStringSubmatch(said)
	if m == nil {
		t.Fatalf("the page says %q", said)
	}
	var n [3]float64
	for i, text := range m[1:4] {
		var err error
		if n[i], err = strconv.ParseFloat(text, 64); err != nil {
			t.Fatal(err)
		}
	}
	done, total, left := n[0], n[1], n[2]
	if m[4] == "minute" {
		left *= 60
	}
	// What is left of it takes as long as the same part of it took so far, give
	// or take the first moments and messages of other sizes.
	if want := took / done * (total - done); done < 3 || total != 160 || left > 8*want+5 || left < want/8-5 {
		t.Errorf("the page says %q after %.1f s: %.1f s are to be expected", said, took, want)
	}
	p.until(card("Poczta") + `?.dataset.state === "ok"`)
	p.until(`!document.querySelector(".card .progress").checkVisibility()`)
	p.quiet()
}
