package client_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/mailbrook/mailbrook/api/client"
)

// A change says what is to change and nothing else; what goes wrong has a code to go by.
func ExampleClientWithResponses() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println(r.Method, r.URL.Path, r.Header.Get("Authorization"), string(body))
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"code":"not_found","status":404,"title":"There is no such account","detail":""}`)
	}))
	defer server.Close()

	signedIn := client.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+"eyJ…")
		return nil
	})
	c, err := client.NewClientWithResponses(server.URL, signedIn)
	if err != nil {
		fmt.Println(err)
		return
	}
	id, name := "5a2f3c7e-0d1b-4c8e-9f60-1a2b3c4d5e6f", "Work"
	answer, err := c.UpdateAccountWithApplicationMergePatchPlusJSONBodyWithResponse(context.Background(), id, nil,
		client.AccountPatch{Name: &name})
	if err != nil {
		fmt.Println(err)
		return
	}
	if p := answer.ApplicationproblemJSON404; p != nil {
		fmt.Println(answer.StatusCode(), p.Code)
	}
	// Output:
	// PATCH /v1/accounts/5a2f3c7e-0d1b-4c8e-9f60-1a2b3c4d5e6f Bearer eyJ… {"name":"Work"}
	// 404 not_found
}
