package remote_test

import (
	"fmt"

	"github.com/mailbrook/mailbrook/internal/remote"
)

// A secret shows itself to whoever asks for it by name, and to no formatter.
func ExampleSecret() {
	form := struct {
		User     string
		Password remote.Secret
	}{"anna@gmail.com", remote.NewSecret("correct horse")}
	fmt.Printf("%v\n%+v\n", form, form)
	fmt.Println(len(form.Password.Reveal()))
	// Output:
	// {anna@gmail.com [redacted]}
	// {User:anna@gmail.com Password:[redacted]}
	// 13
}
