// Package settings reads a program's configuration: each key from a file (TOML), from the environment or from
// the command line, the later over the earlier. It knows no key; what there is, and what is right for it, is in
// the Schema.
//
// It promises that every error names the key, where its value came from and what to do, and never shows a
// secret's value; that a key or variable that nobody reads is an error, with the one that was perhaps meant; and
// that a value must be right even where another overrides it. Secrets may be in a file of their own: KEY_file in
// the configuration file, KEY_FILE in the environment.
package settings

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Key is one key of a configuration of type C.
type Key[C any] struct {
	Name     string // As in the file, with its tables: "poll.interval".
	Kind     Kind
	Optional bool // The empty string is a value.
	Secret   bool // Its value is never shown, and may be in a file of its own.
	// Set checks a value and puts it into the configuration. Its error completes a sentence that begins with "it":
	// "must be a number".
	Set func(*C, string) error
}

// Kind is what a value looks like in the file.
type Kind int

// The kinds.
const (
	Text     Kind = iota // In quotes.
	Number               // 4; in quotes too.
	Truth                // true; in quotes too.
	List                 // ["a", "b"], "a,b", and a lone number.
	Duration             // In quotes, with a unit.
)

// Value is what was set, as text, and where: a file's name, a variable's, or CommandLine. Apart is of a secret that
// does not stand there, but in a file of its own, which From only names.
type Value struct {
	Text, From string
	Apart      bool
}

// commandLine is where a value came from that no file and no variable has.
const commandLine = "the command line"

// Values are what was set, by key. A key that is not in it has its default.
type Values map[string]Value

// Schema is what may be set.
type Schema[C any] struct {
	Keys      []Key[C]
	Prefix    string   // Begins the names of the variables: "MAILBROOK_".
	Variables []string // Those that say something although they set no key.
	Help      string   // The command that names all keys, for messages.
	Defaults  func() C
}

// Load reads the file ("": none), then the environment ("NAME=value"), then what the command line sets by key.
// It waits for who writes into a pipe until ctx ends, or a minute.
func (s Schema[C]) Load(ctx context.Context, file string, environ []string, flags map[string]string) (C, Values,
	error,
) {
	var none C
	values, err := s.fromFile(ctx, file)
	if err != nil {
		return none, nil, err
	}
	env, err := s.fromEnviron(ctx, environ)
	if err != nil {
		return none, nil, err
	}
	// What is overridden must be right all the same.
	for _, source := range []Values{values, env} {
		if _, err := s.set(source); err != nil {
			return none, nil, err
		}
	}
	maps.Copy(values, env)
	for key, value := range flags {
		if _, ok := s.key(key); !ok {
			return none, nil, s.unknownKey(key, commandLine)
		}
		values[key] = Value{Text: value, From: commandLine}
	}
	c, err := s.set(values)
	if err != nil {
		return none, nil, err
	}
	return c, values, nil
}

// set lays values over the defaults, in the order of the keys.
func (s Schema[C]) set(values Values) (C, error) {
	c := s.Defaults()
	for _, k := range s.Keys {
		if v, ok := values[k.Name]; ok {
			if err := k.apply(&c, v); err != nil {
				return c, err
			}
		}
	}
	return c, nil
}

// key finds a key by its name.
func (s Schema[C]) key(name string) (Key[C], bool) {
	i := slices.IndexFunc(s.Keys, func(k Key[C]) bool { return k.Name == name })
	if i < 0 {
		return Key[C]{}, false
	}
	return s.Keys[i], true
}

// apply sets one key.
func (k Key[C]) apply(c *C, v Value) error {
	if v.Text == "" && !k.Optional {
		return fmt.Errorf("%s (from %s) is empty: give it a value, or leave it out for the default", k.Name, v.From)
	}
	err := k.Set(c, v.Text)
	switch {
	case err == nil:
		return nil
	case k.Secret:
		return fmt.Errorf("%s (from %s) %w", k.Name, v.From, err)
	}
	return fmt.Errorf("%s (from %s) is %q: it %w", k.Name, v.From, v.Text, err)
}

// unknownKey names the key, and the one that was perhaps meant.
func (s Schema[C]) unknownKey(key, from string) error {
	best, least := "", tooFar
	for _, k := range s.Keys {
		if d := Distance(key, k.Name); d < least {
			best, least = k.Name, d
		}
		if _, last, ok := strings.Cut(k.Name, "."); ok && last == key {
			best, least = k.Name, 0
		}
	}
	if best != "" {
		return fmt.Errorf("unknown key %s (from %s): did you mean %s?", key, from, best)
	}
	return fmt.Errorf("unknown key %s (from %s): %q names those that there are", key, from, s.Help)
}

// tooFar is from how many changed letters on a word was not meant.
const tooFar = 4

// Distance is how many letters must be changed, added or dropped to make b of a.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
