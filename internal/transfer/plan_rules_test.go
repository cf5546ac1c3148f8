package transfer

import (
	"fmt"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
)

func TestEffort(t *testing.T) {
	t.Parallel()
	const mb, gb = 1 << 20, 1 << 30
	for _, c := range []struct {
		name string
		e    Effort
		time time.Duration
		days int
	}{
		{name: "nothing"},
		{"one message", Effort{Messages: 1, Bytes: 1}, time.Second, 0},
		{"many small ones", Effort{Messages: 200_000, Bytes: gb}, 1000 * time.Second, 0},
		{"large ones", Effort{Messages: 100, Bytes: 8 * gb}, 1024 * time.Second, 0},
		{"a limit of its own", Effort{Messages: 100, Bytes: gb, BytesPerSec: mb}, 1024 * time.Second, 0},
		{"the source's days", Effort{Messages: 1, Bytes: 6 * gb, SourcePerDay: 2500 * mb}, 768 * time.Second, 3},
		{
			"the target's are more",
			Effort{Bytes: 6 * gb, SourcePerDay: 2500 * mb, TargetPerDay: 500 * mb},
			768 * time.Second, 13,
		},
		{"no sizes are known", Effort{Messages: 400, SourcePerDay: mb}, 2 * time.Second, 0},
		{"five million", Effort{Messages: 5_000_000, Bytes: 500 * gb, SourcePerDay: 2500 * mb}, 64000 * time.Second, 205},
	} {
		if least, days := c.e.Time(); least != c.time || days != c.days {
			t.Errorf("%s: %s, %d days; want %s, %d", c.name, least, days, c.time, c.days)
		}
	}
}

func TestRoomFor(t *testing.T) {
	t.Parallel()
	limit := func(bytes, messages int64) (l owner.Limit) {
		if bytes > 0 {
			l.Bytes = &bytes
		}
		if messages > 0 {
			l.Messages = &messages
		}
		return l
	}
	for _, c := range []struct {
		limit owner.Limit
		fits  bool
	}{
		{limit(0, 0), true},
		{limit(110, 0), true},
		{limit(109, 0), false},
		{limit(0, 12), true},
		{limit(0, 11), false},
		{limit(110, 11), false},
	} {
		if r := RoomFor(owner.Use{Bytes: 10, Messages: 2}, c.limit, 10, 100); r.Fits != c.fits || !r.Known {
			t.Errorf("%+v", r)
		}
	}
}

// Two mailboxes are one only if messages say so: what servers choose by the clock is not enough.
func TestSameFolder(t *testing.T) {
	t.Parallel()
	probe := func(validity uint32, messages ...Lying) Probe {
		p := Probe{Status: mail.Status{UIDValidity: validity}, Messages: map[uint32]Lying{}}
		for _, l := range messages {
			p.Messages[uint32(l.At)] = l
		}
		return p
	}
	a, b, c := Lying{1, 100, 10}, Lying{2, 200, 20}, Lying{3, 300, 30}
	for name, x := range map[string]struct {
		a, b Probe
		same bool
	}{
		"one":                         {probe(7, a, b), probe(7, a, b), true},
		"mail came between":           {probe(7, a, b, c), probe(7, a, b), true},
		"another validity":            {probe(8, a, b), probe(7, a, b), false},
		"made in one second":          {probe(7, a, b), probe(7, a, Lying{2, 200, 21}), false},
		"made in one second, fewer":   {probe(7, a), probe(7, a, b), false},
		"made in one second, empty":   {probe(7), probe(7), false},
		"the target is empty":         {probe(7, a), probe(7), false},
		"nobody tells the validities": {probe(0, a), probe(0, a), false},
	} {
		if SameFolder(x.a, x.b) != x.same {
			t.Errorf("%s: taken for the other", name)
		}
	}
}

func TestRefusingAndRights(t *testing.T) {
	t.Parallel()
	all := []string{`\answered`, `\draft`, `\flagged`, `\seen`}
	for _, c := range []struct {
		kept []string
		is   string
	}{
		{nil, "[] []"},
		{append([]string{`\*`}, all...), "[] []"},
		{all, "[] [$Forwarded Praca]"},
		{append([]string{"praca"}, all...), "[] [$Forwarded]"},
		{[]string{`\seen`}, `[\Answered \Flagged \Draft] [$Forwarded Praca]`},
		{[]string{}, `[\Seen \Answered \Flagged \Draft] [$Forwarded Praca]`},
	} {
		flags, keywords := Refusing(c.kept, []string{"$Forwarded", "Praca"})
		if got := fmt.Sprint(flags, keywords); got != c.is {
			t.Errorf("%q: %s, want %s", c.kept, got, c.is)
		}
	}
	for rights, may := range map[string]bool{"": true, "lrs": false, "lrswipkxtecda": true, "i": true} {
		if MayWrite(rights) != may {
			t.Errorf("%q", rights)
		}
	}
}
