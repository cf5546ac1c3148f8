// Package outbound may dial, and begins contexts.
package outbound

import (
	above "context"
	"net"
)

// Dial dials.
func Dial() { _, _ = net.Dial("tcp", "") }

var forever = above.Background()

// Wait waits for nobody knows whom.
func Wait() { <-above.TODO().Done() }

// Reasoned may.
func Reasoned() { <-above.Background().Done() }

// Handed begins one below its caller's.
func Handed(ctx above.Context) { <-above.WithoutCancel(ctx).Done() }
