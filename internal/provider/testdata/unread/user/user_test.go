package user

import "example.test/provider"

func check(p provider.P) int { return p.Tested }
