package oidc

import (
	"fmt"
	"io"
	"net/http"
)

// maxAnswer bounds what the provider may answer: the libraries read all that comes.
const maxAnswer = 1 << 20

// bounded cuts answers that are too long.
type bounded struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Body = &cut{resp.Body, maxAnswer}
	}
	return resp, err
}

type cut struct {
	io.ReadCloser
	left int
}

var errTooLong = fmt.Errorf("the answer is longer than %d octets", maxAnswer)

// Read implements io.Reader.
func (c *cut) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooLong
	}
	n, err := c.ReadCloser.Read(b[:min(len(b), c.left)])
	c.left -= n
	return n, err
}
