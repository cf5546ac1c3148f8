package words

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// A detail is kept as a JSON array: the version of the form, and each sentence, as its format alone or in an array with
// what is filled in.
//
//	[1,"The password has expired.",["The server says: %s","no"]]
//
// A string and a number stand for themselves, an Octets is {"b":7900000}, a Host {"h":"imap.example.org"}.
const keptBegins = "[1,"

// Keep is the form in which a detail is kept in a database: "" for nil. Kept reads it.
func (d Detail) Keep() string {
	if len(d) == 0 {
		return ""
	}
	all := []any{1}
	for _, s := range d {
		if s.Format == "" {
			continue // It says nothing.
		}
		if len(s.Args) == 0 {
			all = append(all, sound(s.Format))
			continue
		}
		one := []any{sound(s.Format)}
		for _, a := range s.Args {
			one = append(one, keptArg(a))
		}
		all = append(all, one)
	}
	if len(all) == 1 {
		return ""
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(all); err != nil {
		return Plain(d.String()).Keep() // Strings and numbers are always written: it never comes to this.
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func keptArg(arg any) any {
	switch a := arg.(type) {
	case int, int32, int64, uint, uint32, uint64:
		return a
	case Octets:
		return map[string]int64{"b": int64(a)}
	case Host:
		return map[string]string{"h": sound(string(a))}
	}
	return sound(fmt.Sprint(arg))
}

// sound is a text without NUL, which no column of PostgreSQL takes, whatever it is written as.
func sound(text string) string { return strings.ReplaceAll(text, "\x00", "\uFFFD") }

// Kept reads what Keep wrote. Anything else is a text of an older version, and is shown as it is: see Earlier.
func Kept(text string) Detail {
	if d, ok := readKept(text); ok {
		return d
	}
	return Plain(text)
}

func readKept(text string) (Detail, bool) {
	var all []json.RawMessage
	if !strings.HasPrefix(text, keptBegins) || json.Unmarshal([]byte(text), &all) != nil {
		return nil, false
	}
	var d Detail
	for _, one := range all[1:] {
		s, ok := readSentence(one)
		if !ok {
			return nil, false
		}
		d = append(d, s)
	}
	return d, true
}

func readSentence(text json.RawMessage) (Sentence, bool) {
	var s Sentence
	if json.Unmarshal(text, &s.Format) == nil {
		return s, s.Format != ""
	}
	var all []json.RawMessage
	if json.Unmarshal(text, &all) != nil || len(all) < 2 || json.Unmarshal(all[0], &s.Format) != nil {
		return s, false
	}
	for _, one := range all[1:] {
		a, ok := readArg(one)
		if !ok {
			return s, false
		}
		s.Args = append(s.Args, a)
	}
	return s, s.filledIn()
}

func readArg(text json.RawMessage) (any, bool) {
	if n, err := strconv.Atoi(string(text)); err == nil {
		return n, true
	}
	var word *string
	if err := json.Unmarshal(text, &word); err == nil && word != nil {
		return *word, true
	}
	var other struct {
		Octets *Octets `json:"b"`
		Host   *Host   `json:"h"`
	}
	switch err := json.Unmarshal(text, &other); {
	case err != nil || (other.Octets == nil) == (other.Host == nil):
		return nil, false
	case other.Octets != nil:
		return *other.Octets, true
	}
	return *other.Host, true
}

// filledIn reports whether what is filled in is as much as the format takes, and of its kinds.
func (s Sentence) filledIn() bool {
	verbs, ok := verbsOf(s.Format)
	if !ok || len(verbs) != len(s.Args) {
		return false
	}
	for i, a := range s.Args {
		if _, number := a.(int); number != (verbs[i] == 'd') {
			return false
		}
	}
	return true
}

// verbsOf returns what a format takes, in the order of the arguments: 's' for texts, 'd' for numbers. It has no others;
// "%[2]s" takes the second.
func verbsOf(format string) (verbs []byte, ok bool) {
	next := 0
	for rest := format; ; next++ {
		_, after, found := strings.Cut(rest, "%")
		if !found {
			break
		}
		if rest = after; strings.HasPrefix(rest, "%") {
			rest = rest[1:]
			next--
			continue
		}
		if strings.HasPrefix(rest, "[") {
			number, after, _ := strings.Cut(rest[1:], "]")
			n, err := strconv.Atoi(number)
			if err != nil || n < 1 || n > 9 {
				return nil, false
			}
			next, rest = n-1, after
		}
		if rest == "" || rest[0] != 's' && rest[0] != 'd' {
			return nil, false
		}
		for len(verbs) <= next {
			verbs = append(verbs, 0)
		}
		if verbs[next] != 0 && verbs[next] != rest[0] {
			return nil, false
		}
		verbs[next], rest = rest[0], rest[1:]
	}
	return verbs, !bytes.Contains(verbs, []byte{0})
}
