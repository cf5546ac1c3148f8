package owner_test

import (
	"fmt"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// However a user is spelled, it is one; what may be taken for another's address is none.
func ExampleParse() {
	for _, s := range []string{"Anna@Firma.test", "anna@firma.test", "Anna <anna@firma.test>", "\uFF41nna@firma.test"} {
		o, err := owner.Parse(s)
		fmt.Printf("%q %v\n", o, err == nil)
	}
	// Output:
	// "anna@firma.test" true
	// "anna@firma.test" true
	// "" false
	// "" false
}
