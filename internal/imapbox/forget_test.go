package imapbox

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// Of many users those are remembered that were served last, and of the others no more than that their account folders
// have marks: a visit without news asks the server nothing. The control is a Store that remembers nobody's marks.
func TestOfManyUsersFewAreRemembered(t *testing.T) {
	t.Parallel()
	d := newDoorman(t)
	d.memory.most = 10
	visit := func(i int) (dials int64) {
		t.Helper()
		before := d.dialled.Load()
		v, err := d.Open(t.Context(), user(fmt.Sprintf("user%d@firma.test", i)), "journal", 1, owner.Limit{})
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Mark(t.Context(), "Gmail", "mark"); err != nil {
			t.Fatal(err)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		return d.dialled.Load() - before
	}
	const users = 200
	for round := range 3 {
		for i := range users {
			want := int64(0)
			if round == 0 {
				want = 1
			}
			if n := visit(i); n != want {
				t.Fatalf("round %d: %d connections for user %d", round, n, i)
			}
			if n := len(d.boxes); n > 10 || n != d.memory.unused.Len() {
				t.Fatalf("%d users are remembered after %d", n, i+1)
			}
		}
	}
	clear(d.memory.marks)
	if n := visit(0); n != 1 {
		t.Errorf("%d connections for one whose mark is not remembered", n)
	}
}

// What a visit soon needs is not forgotten, however many users come between: that a mailbox was full, or is shut, and a
// connection. Once it is over it is.
func TestWhatIsNeededSoonIsNotForgotten(t *testing.T) {
	t.Parallel()
	d := newDoorman(t)
	d.memory.most = 1
	come := func(name string, learn func(b *box)) *box {
		b := d.take(user(name + "@firma.test"))
		learn(b)
		d.give(b)
		return b
	}
	soon := d.clock().Add(time.Minute)
	kept := map[string]*box{
		"full": come("full", func(b *box) { b.full = &fullness{until: soon} }),
		"shut": come("shut", func(b *box) { b.shut = &shut{until: soon} }),
		"sent": come("sent", func(b *box) { b.sent["journal"] = map[string]*sending{} }),
	}
	for i := range 50 {
		come(fmt.Sprintf("other%d", i), func(*box) {})
	}
	for name, b := range kept {
		if d.boxes[b.owner] != b {
			t.Errorf("%s is forgotten", name)
		}
	}
	d.pass(time.Hour)
	clear(kept["sent"].sent)
	for i := range 50 {
		come(fmt.Sprintf("more%d", i), func(*box) {})
	}
	if n := len(d.boxes); n != 1 {
		t.Errorf("%d are remembered", n)
	}
}

// A mark that its user deleted is made again, although its user was forgotten meanwhile.
func TestAMarkIsMadeAgainOfAUserWhoWasForgotten(t *testing.T) {
	t.Parallel()
	f := newOffice(t)
	f.memory.most = 1
	mark := mail.MarkFor([]byte("key"), "journal")
	for epoch := int64(1); epoch < 4; epoch++ {
		d := f.open(anna(), epoch, owner.Limit{})
		if err := d.Mark(t.Context(), "Gmail", mark); err != nil {
			t.Fatal(err)
		}
		f.deliver(d, "Gmail", 1, 500)
		_ = d.Close()
		for _, name := range []string{"ben", "cleo"} {
			if err := f.Make(t.Context(), user(name+"@firma.test")); err != nil {
				t.Fatal(err)
			}
		}
		if f.boxes[anna()] != nil {
			t.Fatal("she is remembered")
		}
		if epoch == 1 {
			f.Adm("mailbox", "delete", "-u", anna().String(), "Gmail/"+mark)
		}
		if there := slices.Contains(f.folders(anna()), "Gmail/"+mark); epoch == 3 && !there {
			t.Error("it was not made again")
		}
	}
}
