// Package provider is planted: it fills in fields that nothing reads.
package provider

// P has fields.
type P struct {
	Read, Filled, Nowhere, Tested int
	Inner                         struct{ Filled int }
}

type entry struct{ Read, Filled int }

func (e entry) provider() P { return P{Read: e.Read, Filled: e.Filled} }
