// Package parcel shows names to others, some of which nobody uses.
package parcel

// Class is a closed list: that somebody names one of its values keeps the others.
type Class int

// The classes.
const (
	Letter Class = iota
	Packet
)

// Size and Weight are of one block, of which one is used.
const (
	Size   = 1
	Weight = 2
)

// Alone is used by nobody.
const Alone = 3

// Parcel is named by nobody and shown by Post.
type Parcel struct{ Stamp Stamp }

// Stamp is shown by Parcel.
type Stamp struct{}

// Post is used.
func Post() Parcel { return Parcel{} }

// Open is used, as a method by its name.
func (Parcel) Open() {}

// Shake is used by nobody.
func (Parcel) Shake() {}

// Listed is used by nobody and has a reason.
func Listed() {}

// Tested is used by the tests from outside.
func Tested() {}

// Inside is used by nothing but the package itself.
func Inside() { Inside() }
