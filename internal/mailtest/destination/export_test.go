package destination

import "testing"

// Findings is what each trial finds wrong.
func Findings(tb testing.TB, made func(tb testing.TB) Place) map[string][]string {
	found := map[string][]string{}
	for _, tr := range trials {
		found[tr.name] = tr.run(&suite{tb: tb, made: made, by: 1})
	}
	return found
}
