// Package source dials by itself, in every way there is.
package source

import (
	. "crypto/tls"
	network "net"
	"net/http"

	"github.com/emersion/go-imap/v2/imapclient"
)

// VersionTLS13 is not a call.
var _ = VersionTLS13

// Listen is allowed: it dials nobody.
func Listen() { _, _ = network.Listen("tcp", "") }

// By opens connections with a dialer.
func By() { _ = network.Dialer{} }

// Straight opens a connection.
func Straight() {
	// A comment that says net.Dial is no call.
	_, _ = network.Dial("tcp", "")
}

// Web uses the web.
var Web = http.DefaultClient

// Page gets a page.
func Page() { _, _ = http.Get("") }

// Mail asks the library to dial.
func Mail() { _, _ = imapclient.DialTLS("", nil) }
