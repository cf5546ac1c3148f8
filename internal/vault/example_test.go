package vault_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/vault"
)

// What was sealed for an account opens for that one alone: a row that is copied to somebody
// else's account is worth nothing.
func ExampleVault_Unseal() {
	dir, err := os.MkdirTemp("", "vault")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	v, err := vault.Open(dir) // Makes the keys where there are none.
	if err != nil {
		fmt.Println(err)
		return
	}
	anna, _ := owner.Parse("anna@firma.test")
	jan, _ := owner.Parse("jan@firma.test")
	hers := remote.SecretRef{Owner: anna, Subject: "5a2f3c7e-0d1b-4c8e-9f60-1a2b3c4d5e6f", Field: remote.SignsIn}
	his := hers
	his.Owner = jan
	sealed, err := v.Seal(hers, remote.NewSecret("correct horse"))
	fmt.Println(err, bytes.Contains(sealed, []byte("horse")))

	opened, err := v.Unseal(hers, sealed)
	fmt.Println(opened.Reveal(), err)
	_, err = v.Unseal(his, sealed)
	fmt.Println(errors.Is(err, vault.ErrUnreadable))
	// Output:
	// <nil> false
	// correct horse <nil>
	// true
}
