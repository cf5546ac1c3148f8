package account_test

import (
	"errors"
	"fmt"

	"github.com/mailbrook/mailbrook/internal/account"
)

// All that is wrong with a request is said at once, each by the name of its field.
func ExampleInvalidError() {
	bad := &account.InvalidError{}
	bad.Add("email", "invalid", "must be a full mailbox address, such as anna@example.org")
	bad.Add("server.port", "out_of_range", "must be between %d and %d", 1, 65535)
	var invalid *account.InvalidError
	if errors.As(fmt.Errorf("adding an account: %w", bad.OrNil()), &invalid) {
		for _, f := range invalid.Fields {
			fmt.Println(f.Field, f.Code, f.Detail)
		}
	}
	fmt.Println((&account.InvalidError{}).OrNil())
	// Output:
	// email invalid must be a full mailbox address, such as anna@example.org
	// server.port out_of_range must be between 1 and 65535
	// <nil>
}

// No two accounts deliver into one folder, nor one into a folder of the other's.
func ExampleFoldersClash() {
	fmt.Println(account.FoldersClash("Gmail", "gmail"))
	fmt.Println(account.FoldersClash("Work", "Work/Old"))
	fmt.Println(account.FoldersClash("Work", "Workshop"))
	// Output:
	// true
	// true
	// false
}
