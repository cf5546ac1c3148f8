package imapbox

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
)

// hold reads a message into the depot as Stage does.
func hold(t *testing.T, d *depot, body io.Reader) *staged {
	t.Helper()
	m := &staged{depot: d}
	spare := make([]byte, blockSize)
	for {
		in, err := m.room(spare)
		if err != nil {
			t.Fatal(err)
		}
		n, err := fill(body, in)
		if also := m.took(in[:n]); also != nil {
			t.Fatal(also)
		}
		if errors.Is(err, io.EOF) {
			return m
		}
	}
}

// Messages are read back as they came, whether they lie in memory, in the file or in both; and with the last
// one nothing is kept, whoever held and gave back what meanwhile.
func TestMessagesOnTheirWay(t *testing.T) {
	t.Parallel()
	d := &depot{dir: t.TempDir(), most: 5}
	var all sync.WaitGroup
	for seed := range uint64(4) {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, 1))
			type kept struct {
				m    *staged
				text []byte
			}
			var some []kept
			for range 200 {
				text := make([]byte, []int{0, 1, blockSize - 1, blockSize, blockSize + 1, r.IntN(4 * blockSize)}[r.IntN(6)])
				for i := range text {
					text[i] = byte(r.Uint32())
				}
				some = append(some, kept{hold(t, d, bytes.NewReader(text)), text})
				if len(some) < 3 {
					continue
				}
				at := r.IntN(len(some))
				for range 2 { // It may be sent again.
					if got, err := io.ReadAll(some[at].m.open()); err != nil || !bytes.Equal(got, some[at].text) {
						t.Errorf("%d octets came back as %d others: %v", len(some[at].text), len(got), err)
					}
				}
				some[at].m.discard()
				some[at].m.discard() // Does nothing.
				some = append(some[:at], some[at+1:]...)
			}
			for _, k := range some {
				k.m.discard()
			}
		})
	}
	all.Wait()
	if d.inUse != 0 || d.filed != 0 || d.file != nil || d.spare != nil || d.end != 0 {
		t.Errorf("something is kept: %+v", d)
	}
}

// What was discarded cannot be sent, as its place may be another's by now.
func TestADiscardedMessageIsNotRead(t *testing.T) {
	t.Parallel()
	d := &depot{dir: t.TempDir(), most: 1}
	m := hold(t, d, bytes.NewReader(make([]byte, 3*blockSize)))
	r := m.open()
	m.discard()
	if n, err := io.Copy(io.Discard, r); err == nil || n != 0 {
		t.Errorf("%d octets of it: %v", n, err)
	}
}
