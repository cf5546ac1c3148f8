package fetch_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/remote"
)

// alarms is an account at a POP3 server without UIDL, whose messages have one header
// and size. They are named by a letter.
type alarms struct {
	*world
	server *poisoned
	own    bool // The header has fields of its own, which all of them share.
}

func newAlarms(t *testing.T, own bool) *alarms {
	s := startPoisoned(t, remote.POP3, "", 0, nil)
	s.noUIDL = true
	return &alarms{poisonedWorld(t, remote.POP3, s), s, own}
}

func (a *alarms) text(letter rune) string {
	fields := ""
	if a.own {
		fields = "Message-ID: <1@x>\r\nDate: Sat, 28 Nov 2026 10:00:00 +0000\r\n"
	}
	return fmt.Sprintf("Subject: alarm\r\n%s\r\ntext %c\r\n", fields, letter)
}

// visitWith visits a maildrop of these messages. well says that nothing was amiss.
func (a *alarms) visitWith(t *testing.T, drop string, deny func(verb, letter string) (string, bool)) (well bool) {
	t.Helper()
	a.server.mu.Lock()
	a.server.bodies, a.server.deny = nil, nil
	for _, letter := range drop {
		a.server.bodies = append(a.server.bodies, a.text(letter))
	}
	if deny != nil {
		a.server.deny = func(verb, body string) (string, bool) { return deny(verb, letterOf(body)) }
	}
	a.server.mu.Unlock()
	a.route.From.Capabilities = a.journal.offers
	r := a.visit(t.Context())
	a.now = a.now.Add(25 * time.Hour) // What was put off is due.
	return r.Err == nil && r.Partial == nil
}

func letterOf(body string) string { return body[len(body)-3 : len(body)-2] }

// came returns the letters that were delivered, and checks that no two have the name
// of one file: the second would not have come.
func (a *alarms) came(t *testing.T) string {
	t.Helper()
	var got []string
	for _, m := range a.box.folders["Gmail"] {
		got = append(got, letterOf(m))
	}
	for token, n := range a.box.names {
		if n > 1 {
			t.Errorf("%d messages have the name %s", n, token)
		}
	}
	slices.Sort(got)
	return strings.Join(got, "")
}

// once refuses one question about a message, one time.
func once(verb, letter, answer string) func(string, string) (string, bool) {
	left := 1
	return func(v, l string) (string, bool) {
		if v != verb || l != letter || left == 0 {
			return "", false
		}
		left--
		return answer, true
	}
}

// One refused question of those that distinguish messages costs no message and
// doubles none: the one it was about comes at the next visit. The control is that the
// visit with the refusal says that something was amiss.
func TestARefusedLookAtAMessageNeitherLosesNorDoublesIt(t *testing.T) {
	for _, tc := range []struct {
		name, before string // The maildrops until then,
		drop, letter string // … the one in which a message is refused,
		then, want   string
	}{
		{name: "a new one in place of those before", before: "A AB", drop: "C", letter: "C", then: "C", want: "ABC"},
		{name: "the second of two", before: "A", drop: "AB", letter: "B", then: "AB", want: "AB"},
		{name: "the first of two", before: "A", drop: "AB", letter: "A", then: "AB", want: "AB"},
		{name: "one of three, then the first goes", before: "A AB", drop: "BCD", letter: "C", then: "CD", want: "ABCD"},
		{name: "in another order", before: "A AB C", drop: "DCE", letter: "C", then: "ECD", want: "ABCDE"},
		{name: "equal ones", before: "AA AAB", drop: "AAB", letter: "A", then: "AAB", want: "AAB"},
	} {
		for _, answer := range []string{"-ERR [SYS/TEMP] later\r\n", "-ERR cannot read\r\n"} {
			for _, verb := range []string{"RETR", "TOP"} {
				for _, own := range []bool{true, false} {
					t.Run(fmt.Sprintf("%s, %s %q, own fields %v", tc.name, verb, answer, own), func(t *testing.T) {
						t.Parallel()
						a := newAlarms(t, own)
						for drop := range strings.FieldsSeq(tc.before) {
							if !a.visitWith(t, drop, nil) {
								t.Fatalf("%s was not fetched", drop)
							}
						}
						if a.visitWith(t, tc.drop, once(verb, tc.letter, answer)) {
							t.Error("nothing is said of what was refused")
						}
						for range 2 {
							if !a.visitWith(t, tc.then, nil) {
								t.Errorf("%s was not fetched", tc.then)
							}
						}
						if got := a.came(t); got != tc.want {
							t.Errorf("%s came, want %s", got, tc.want)
						}
					})
				}
			}
		}
	}
}

// A message whose identity is refused at every visit stays without a name, is reported
// at each, keeps none of the others away, and comes when it can be read.
func TestAMessageThatCanNeverBeDistinguishedBlocksNoOther(t *testing.T) {
	a := newAlarms(t, true)
	refuse := func(verb, letter string) (string, bool) {
		return "-ERR cannot read\r\n", verb == "RETR" && letter == "X"
	}
	a.visitWith(t, "A", nil)
	for _, drop := range []string{"AX", "AXB", "XBC", "X", "XD"} {
		if a.visitWith(t, drop, refuse) {
			t.Errorf("%s: nothing is said of what was refused", drop)
		}
	}
	if got := a.came(t); got != "ABCD" {
		t.Errorf("%s came beside it", got)
	}
	if !a.visitWith(t, "XD", nil) {
		t.Error("it was not fetched when it could be")
	}
	if got := a.came(t); got != "ABCDX" {
		t.Errorf("%s came", got)
	}
}

// Whatever goes, comes and changes its place, and whatever question is refused or ends
// the connection, each message that was there in a visit which went well came, and none
// came twice. The control is that refusals were met, and that visits went well.
func TestAlikeMessagesComeOnceEachWhateverIsRefused(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 32))
			a := newAlarms(t, seed%2 == 0)
			next, met, wells := 'C', 0, 0
			there := []rune("AB")
			owed := map[rune]bool{'A': true, 'B': true}
			if !a.visitWith(t, "A", nil) || !a.visitWith(t, "AB", nil) {
				t.Fatal("the first were not fetched")
			}
			history := "A AB"
			for range 12 {
				for range r.IntN(3) {
					if n := len(there); n > 0 {
						at := r.IntN(n)
						there = slices.Delete(there, at, at+1)
					}
				}
				for range r.IntN(3) {
					there, next = append(there, next), next+1
				}
				if r.IntN(5) < 2 {
					r.Shuffle(len(there), func(i, j int) { there[i], there[j] = there[j], there[i] })
				}
				at, count := r.IntN(14), 0 // None, at times.
				answers := []string{
					"-ERR [SYS/TEMP] later\r\n", "-ERR cannot read\r\n", "-ERR\r\n", "", "+OK\r\nSubject: al",
				}
				answer := answers[r.IntN(len(answers))]
				well := a.visitWith(t, string(there), func(string, string) (string, bool) {
					count++
					if count-1 == at {
						met++
						return answer, true
					}
					return "", false
				})
				history += fmt.Sprintf(" %s/%d %q %v", string(there), at, answer, well)
				if well {
					wells++
					for _, letter := range there {
						owed[letter] = true
					}
				}
			}
			well := a.visitWith(t, string(there), nil)
			if !well { // It may be the one that looks again at what was refused.
				well = a.visitWith(t, string(there), nil)
			}
			if !well {
				t.Error("the last visit did not go well")
			}
			for _, letter := range there {
				owed[letter] = true
			}
			if met == 0 || wells == 0 {
				t.Errorf("%d refusals were met, %d visits went well", met, wells)
			}
			got := a.came(t)
			for letter := 'A'; letter < next; letter++ {
				if n := strings.Count(got, string(letter)); n > 1 || n == 0 && owed[letter] {
					t.Errorf("%c came %d times: %s", letter, n, history)
				}
			}
		})
	}
}
