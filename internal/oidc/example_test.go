package oidc_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/mailbrook/mailbrook/internal/oidc"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// discovery is an identity provider that says where its page is, without a network.
type discovery struct{}

func (discovery) RoundTrip(r *http.Request) (*http.Response, error) {
	const document = `{"issuer":"https://id.firma.test","authorization_endpoint":"https://id.firma.test/authorize",
		"token_endpoint":"https://id.firma.test/token","jwks_uri":"https://id.firma.test/keys",
		"id_token_signing_alg_values_supported":["RS256"]}`
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(document)), Request: r,
	}, nil
}

// A browser is sent out with a state and a nonce of this sign-in alone, and with the hash of
// a verifier that stays here.
func ExampleProvider_Begin() {
	p := oidc.New(oidc.Options{
		Issuer: "https://id.firma.test", ClientID: "mailbrook", Claim: "email",
		RedirectURL: "https://mail.firma.test/signin/callback", HTTP: &http.Client{Transport: discovery{}},
	})
	verifier := remote.NewSecret("a-verifier-that-nobody-else-knows-of-43-letters")
	address, err := p.Begin(context.Background(), oidc.Flow{State: "s-1", Nonce: "n-1", Verifier: verifier})
	if err != nil {
		fmt.Println(err)
		return
	}
	u, err := url.Parse(address)
	if err != nil {
		fmt.Println(err)
		return
	}
	q := u.Query()
	fmt.Println(u.Scheme+"://"+u.Host+u.Path, q.Get("response_type"), q.Get("redirect_uri"))
	fmt.Println(q.Get("state"), q.Get("nonce"), q.Get("code_challenge_method"), q.Get("scope"))
	fmt.Println(strings.Contains(address, verifier.Reveal()))
	// Output:
	// https://id.firma.test/authorize code https://mail.firma.test/signin/callback
	// s-1 n-1 S256 openid
	// false
}
