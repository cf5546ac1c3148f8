package transfer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// kept is a message at a target in memory.
type kept struct {
	Lying
	print mail.Fingerprint
}

// target is a target in memory: its folders by their names.
type target struct {
	folders  map[string][]kept
	validity uint32
	read     int
	cut      int // After how many reads the connection ends; 0: never.
}

var errCut = errors.New("cut")

func (t *target) Name(_ context.Context, folder string) (string, error) { return "t." + folder, nil }

func (t *target) Folders(context.Context) ([]string, error) {
	return slices.Sorted(maps.Keys(t.folders)), nil
}

func (t *target) Look(_ context.Context, name string) (Listed, error) {
	if t.folders[name] == nil {
		return nil, nil
	}
	return listedKept{t.folders[name], t.validity}, nil
}

func (t *target) Read(_ context.Context, name string, validity uint32, at []uint64,
	take func(uint64, mail.Fingerprint),
) error {
	for _, k := range t.folders[name] {
		if validity == t.validity && slices.Contains(at, k.At) {
			if t.read++; t.cut > 0 && t.read > t.cut {
				return errCut
			}
			take(k.At, k.print)
		}
	}
	return nil
}

type listedKept struct {
	all      []kept
	validity uint32
}

func (l listedKept) Validity() uint32 { return l.validity }
func (l listedKept) Close() error     { return nil }
func (l listedKept) Each(each func(Lying)) error {
	for _, k := range l.all {
		each(k.Lying)
	}
	return nil
}

// ledger is a journal in memory.
type ledger struct {
	names []string
	rows  map[int64][]Sought
	done  int64
	notes int
}

func (l *ledger) Next(context.Context) (SoughtFolder, bool, error) {
	if int(l.done) >= len(l.names) {
		return SoughtFolder{}, false, nil
	}
	f := SoughtFolder{Number: l.done + 1, Target: l.names[l.done], Messages: int64(len(l.rows[l.done+1]))}
	for _, s := range l.rows[f.Number] {
		if s.At != 0 {
			f.Told++
		}
	}
	return f, true, nil
}

// Page returns the messages of n seconds, so that there are pages.
func (l *ledger) Page(_ context.Context, folder, from int64, _ int) (page []Sought, err error) {
	for _, s := range l.rows[folder] {
		if s.Received >= from && (len(page) == 0 || s.Received == page[0].Received) {
			page = append(page, s)
		}
	}
	return page, nil
}

func (l *ledger) Note(_ context.Context, folder int64, found []Verdict) error {
	l.notes += len(found)
	for _, x := range found {
		for i := range l.rows[folder] {
			if s := &l.rows[folder][i]; s.ID == x.ID {
				s.State, s.Read = x.State, s.Read || x.Read
				if x.At != 0 {
					s.At, s.Validity = x.At, x.Validity
				}
			}
		}
	}
	return nil
}

func (l *ledger) Done(_ context.Context, folder int64) error {
	l.done = folder
	return nil
}

func (l *ledger) Missing(context.Context, int) (gone []Gone, err error) {
	for folder, rows := range l.rows {
		for _, s := range rows {
			if s.State == MessageMissing {
				gone = append(gone, Gone{folder, s})
			}
		}
	}
	return gone, nil
}

func (l *ledger) Taken(_ context.Context, target string, validity uint32, at []uint64) (map[uint64]bool, error) {
	taken := map[uint64]bool{}
	for i, name := range l.names {
		for _, s := range l.rows[int64(i)+1] {
			if name == target && s.State == MessageCopied && s.Validity == validity && slices.Contains(at, s.At) {
				taken[s.At] = true
			}
		}
	}
	return taken, nil
}

func (l *ledger) Targets(context.Context) ([]string, error) { return l.names, nil }

// copied is a copy of n messages into one folder, each in a second of its own, and its target.
func copied(n int, told bool) (*ledger, *target) {
	l := &ledger{names: []string{"A"}, rows: map[int64][]Sought{}}
	t := &target{folders: map[string][]kept{"t.A": {}}, validity: 3}
	for i := range n {
		p := mail.Fingerprint{Size: int64(100 + i), Digest: [32]byte{byte(i), byte(i >> 8), 1}}
		p.Body, p.Header = [16]byte(p.Digest[:16]), [16]byte(p.Digest[:16])
		s := Sought{ID: mail.ID{UID: uint32(i + 1)}, Received: int64(i), Print: p}
		if told {
			s.At, s.Validity = uint64(1000+i), 3
		}
		l.rows[1] = append(l.rows[1], s)
		t.folders["t.A"] = append(t.folders["t.A"], kept{Lying{uint64(1000 + i), int64(i), p.Size}, p})
	}
	return l, t
}

func (l *ledger) states() string {
	n := map[MessageState]int{}
	for _, rows := range l.rows {
		for _, s := range rows {
			n[s.State]++
		}
	}
	text := ""
	for _, k := range slices.Sorted(maps.Keys(n)) {
		text += fmt.Sprintf("%s %d ", k, n[k])
	}
	return text
}

// Each way in which something at the target is not as it was copied is found, and nothing else is.
func TestVerifierFindsWhatIsNotThere(t *testing.T) {
	t.Parallel()
	at := func(t *target, i int) *kept { return &t.folders["t.A"][i] }
	remove := func(t *target, i int) { t.folders["t.A"] = slices.Delete(t.folders["t.A"], i, i+1) }
	for _, c := range []struct {
		name      string
		told      bool
		how       Verify
		do        func(l *ledger, t *target)
		is        string
		read      int
		rewritten bool
	}{
		{name: "all there, quick", how: VerifyQuick, is: "copied 300 "},
		{name: "all there, sampled", how: VerifySample, is: "copied 300 ", read: 200},
		{name: "all there, fully", told: true, how: VerifyFull, is: "copied 300 ", read: 300},
		{
			name: "one gone of which nobody had told where it was", how: VerifyQuick,
			do: func(_ *ledger, t *target) { remove(t, 5) }, is: "copied 299 missing 1 ",
		},
		{
			name: "one gone of which the target had told it", told: true, how: VerifyQuick,
			do: func(_ *ledger, t *target) { remove(t, 5) }, is: "copied 299 moved_or_deleted 1 ",
		},
		{
			name: "moved", how: VerifyQuick, do: func(_ *ledger, t *target) {
				t.folders["Elsewhere"] = []kept{*at(t, 5)}
				remove(t, 5)
			}, is: "copied 299 moved_or_deleted 1 ", read: 1,
		},
		{
			name: "gone, and its like lies in another folder of the copy, as the copy of another message", how: VerifyQuick,
			do: func(l *ledger, t *target) {
				l.names, l.rows[2] = append(l.names, "B"), []Sought{l.rows[1][5]}
				l.rows[2][0].ID.UID = 9999
				t.folders["t.B"] = []kept{*at(t, 5)}
				remove(t, 5)
			}, is: "copied 300 missing 1 ",
		},
		{
			name: "another one of the same date and size, elsewhere", how: VerifyQuick, do: func(_ *ledger, t *target) {
				other := *at(t, 5)
				other.print.Digest[20]++
				t.folders["Elsewhere"] = []kept{other}
				remove(t, 5)
			}, is: "copied 299 missing 1 ", read: 1,
		},
		{
			name: "other octets of the same size, read", how: VerifyFull, do: func(_ *ledger, t *target) {
				at(t, 5).print.Digest[20]++
				at(t, 5).print.Body[3]++
			}, is: "altered 1 copied 299 ", read: 300,
		},
		{
			name: "a size that the server misreports", how: VerifyQuick, do: func(_ *ledger, t *target) { at(t, 5).Size += 7 },
			is: "copied 300 ", read: 1,
		},
		{
			name: "a target that adds to the header", told: true, how: VerifyQuick, do: func(_ *ledger, t *target) {
				at(t, 5).Size += 70
				at(t, 5).print.Size += 70
				at(t, 5).print.Digest[20]++
			}, is: "altered 1 copied 299 ", read: 1, rewritten: true,
		},
		{
			name: "the same, without having told where it put it", how: VerifyQuick, do: func(_ *ledger, t *target) {
				at(t, 5).Size += 70
				at(t, 5).print.Digest[20]++
			}, is: "altered 1 copied 299 ", read: 1, rewritten: true,
		},
		{
			name: "places that the target said the wrong way round", told: true, how: VerifyQuick,
			do: func(l *ledger, _ *target) {
				a, b := &l.rows[1][5], &l.rows[1][6]
				a.At, b.At = b.At, a.At
			}, is: "copied 300 ", read: 4,
		},
		{
			name: "another validity", told: true, how: VerifyQuick, do: func(_ *ledger, t *target) { t.validity++ },
			is: "copied 300 ",
		},
		{
			name: "the folder is gone", how: VerifyQuick, do: func(_ *ledger, t *target) { delete(t.folders, "t.A") },
			is: "missing 300 ",
		},
		{
			name: "settled by recovery: read though not of the sample", told: true, how: VerifySample,
			do: func(l *ledger, t *target) { // Each third is not sampled of 300.
				for i := range l.rows[1] {
					if !sampled(int64(i), 300, 200) {
						l.rows[1][i].At = 0
						at(t, i).print.Digest[20]++
						at(t, i).print.Body[3]++
						break
					}
				}
			}, is: "altered 1 copied 299 ", read: 201,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, to := copied(300, c.told)
			if c.do != nil {
				c.do(l, to)
			}
			v := Verifier{Shelf: to, Ledger: l, How: c.how, Enough: func() bool { return false }}
			if more, err := v.Work(t.Context()); more || err != nil {
				t.Fatal(more, err)
			}
			if l.states() != c.is || to.read != c.read || v.Rewritten != c.rewritten {
				t.Errorf("%s, %d read, rewritten %t; want %s, %d", l.states(), to.read, v.Rewritten, c.is, c.read)
			}
			l.done, l.notes = 0, 0
			v.How = VerifyQuick
			if _, err := v.Work(t.Context()); err != nil || l.notes > 1 {
				t.Errorf("%d are noted again: %v", l.notes, err)
			}
		})
	}
}

// Whatever interrupts it, a verification continues: what was read is not read again, and all is found in the end.
func TestVerifierContinuesWhereItWasInterrupted(t *testing.T) {
	t.Parallel()
	l, to := copied(1000, true)
	to.folders["t.A"][900].print.Digest[20]++
	to.folders["t.A"][900].print.Body[3]++
	slices := 0
	for more := true; more; slices++ {
		to.cut = to.read + 97 // Of which the connection ends, or the slice.
		n := 0
		v := Verifier{Shelf: to, Ledger: l, How: VerifyFull, Enough: func() bool { n++; return n > 60 }}
		var err error
		more, err = v.Work(t.Context())
		if err != nil && !errors.Is(err, errCut) {
			t.Fatal(err)
		}
		more = more || err != nil
	}
	if l.states() != "altered 1 copied 999 " || slices < 5 || to.read > 1000+slices {
		t.Errorf("%s in %d slices, %d read", l.states(), slices, to.read)
	}
}
