package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// A webmail that shares a secret signs a token for its user; the verifier says who that is,
// and refuses a token of an hour that is over.
func ExampleVerifier_Verify() {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	keys := httpapi.Keys{
		Secret: []byte("a secret of at least 32 octets, shared"), Issuer: "webmail", Audience: "mailbrook",
		Now: func() time.Time { return now },
	}
	v, err := httpapi.NewVerifier(keys)
	if err != nil {
		fmt.Println(err)
		return
	}
	anna, _ := owner.Parse("anna@firma.test")
	token, err := keys.Sign(anna, false, time.Hour)
	if err != nil {
		fmt.Println(err)
		return
	}
	who, err := v.Verify(context.Background(), token)
	fmt.Println(who.Owner, who.Admin, err)

	now = now.Add(2 * time.Hour)
	_, err = v.Verify(context.Background(), token)
	fmt.Println(errors.Is(err, httpapi.ErrToken))
	// Output:
	// anna@firma.test false <nil>
	// true
}
