package fetch_test

import (
	"fmt"
	"testing"
)

// The engine's own share of a first pull and of a visit without news, with everything
// else in memory: what it allocates for each message is what to look at.
func BenchmarkVisit(b *testing.B) {
	const messages = 5000
	fill := func(w *world) {
		for i := range messages {
			w.remote.find("INBOX").add(fmt.Sprintf("Subject: %d\r\n\r\ntext\r\n", i))
		}
	}
	visit := func(b *testing.B, w *world) {
		if r := w.visit(b.Context()); r.Err != nil || r.Partial != nil {
			b.Fatal(r.Err, r.Partial)
		}
	}
	b.Run("first pull", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			w := inMemory("INBOX")
			fill(w)
			b.StartTimer()
			visit(b, w)
		}
	})
	b.Run("without news", func(b *testing.B) {
		w := inMemory("INBOX")
		fill(w)
		visit(b, w)
		b.ReportAllocs()
		for b.Loop() {
			visit(b, w)
		}
	})
	b.Run("one new message, listed as a whole", func(b *testing.B) {
		w := inMemory("INBOX")
		fill(w)
		visit(b, w)
		w.remote.noStatus = true
		b.ReportAllocs()
		for b.Loop() {
			w.remote.find("INBOX").add("Subject: new\r\n\r\n")
			w.engine.FullScan = 1
			visit(b, w)
		}
	})
}
