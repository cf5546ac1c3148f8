package logins_test

import (
	"fmt"

	"github.com/mailbrook/mailbrook/internal/logins"
)

// A mailbox is counted under every name that some server may take it by: who writes it in
// other words gets no further guesses.
func ExampleNames() {
	for _, login := range []string{"anna@firma.test", "Anna@FIRMA.test", "firma.test\\anna", "anna+x@firma.test"} {
		fmt.Println(login, logins.Names(login))
	}
	// Output:
	// anna@firma.test [anna]
	// Anna@FIRMA.test [anna]
	// firma.test\anna [anna firmatest]
	// anna+x@firma.test [anna x]
}
