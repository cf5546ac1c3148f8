// Package user is planted: it reads some of them.
package user

import "example.test/provider"

func decide(p provider.P) bool { return p.Read > p.Inner.Read }
