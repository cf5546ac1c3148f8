package diagnose_test

import (
	"fmt"
	"strings"

	"github.com/mailbrook/mailbrook/internal/diagnose"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// One code, said to a person in the person's language.
func ExampleExplain() {
	c := diagnose.Context{Host: "imap.firma.test", Email: "anna@firma.test", Protocol: remote.IMAP}
	for _, lang := range []words.Language{words.English, words.Polish} {
		title, advice := diagnose.Explain(fault.TLSCertificateInvalid, lang, c)
		first, _, _ := strings.Cut(advice, ". ")
		fmt.Printf("%s: %s.\n", title, first)
	}
	// Output:
	// The server's certificate is not valid: The connection was ended before the password was sent.
	// Certyfikat serwera jest nieprawidłowy: Połączenie przerwano przed wysłaniem hasła.
}
