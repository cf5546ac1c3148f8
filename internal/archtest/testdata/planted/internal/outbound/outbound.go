// Package outbound may dial.
package outbound

import "net"

// Dial dials.
func Dial() { _, _ = net.Dial("tcp", "") }
