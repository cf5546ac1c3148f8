package provider_test

import (
	"context"
	"fmt"

	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// An address is enough: the table knows the servers, and nobody is asked.
func ExampleCatalog_Suggest() {
	c, err := provider.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	s := c.Suggest(context.Background(), "anna.nowak@gmail.com")
	imap := s.Servers[remote.IMAP]
	fmt.Println(s.Source, s.Provider, imap.Host, imap.Port, imap.Security)
	p := c.ByID(s.Provider)
	fmt.Println("an app password is needed:", p.NeedsAppPassword())
	// Output:
	// preset google imap.gmail.com 993 tls
	// an app password is needed: true
}

// A slip in the domain is asked about before anybody types a password.
func ExampleCatalog_DidYouMean() {
	c, err := provider.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%q %q\n", c.DidYouMean("anna@gmial.com"), c.DidYouMean("anna@gmail.com"))
	// Output:
	// "gmail.com" ""
}
