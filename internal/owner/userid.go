package owner

import (
	"encoding/json"
	"strconv"
	"strings"
)

// UserID distinguishes the users who have one address one after the other, as the
// issuer of their tokens names them. The zero UserID is nobody's.
type UserID struct {
	text   string
	number bool
}

// AnyUser stands in a token, instead of a user's id, for whoever has the address:
// it is no user's own.
const AnyUser = "*"

// TextID is an id that is a text: another text is another user.
func TextID(text string) UserID { return UserID{text: text} }

// maxNumberID is how many octets an id takes that was a number.
const maxNumberID = 255

// NumberID is an id that is a number in JSON, however it is spelt: 1, 1.0 and 1e0
// are one user's, and 9007199254740993 is not 9007199254740992's. ok is false for
// what is no such number, or too long to write out.
func NumberID(spelt string) (id UserID, ok bool) {
	text, ok := numberText(spelt)
	return UserID{text: text, number: true}, ok
}

// String returns the id as it is kept.
func (i UserID) String() string { return i.text }

// IsZero reports whether there is no id.
func (i UserID) IsZero() bool { return i.text == "" }

// Is reports whether it is the id that was kept. Versions before this one kept
// numbers as they were spelt.
func (i UserID) Is(kept string) bool {
	if i.text == kept || !i.number {
		return i.text == kept
	}
	text, ok := numberText(kept)
	return ok && text == i.text
}

// numberText returns the one spelling of a number's value, without an exponent
// and without zeros that say nothing. No number is rounded.
func numberText(spelt string) (text string, ok bool) {
	sign, rest := "", spelt
	if s, found := strings.CutPrefix(spelt, "-"); found {
		sign, rest = "-", s
	}
	if rest == "" || rest[0] < '0' || rest[0] > '9' || rest != strings.TrimSpace(rest) || !json.Valid([]byte(spelt)) {
		return "", false
	}
	mantissa, power := rest, ""
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		mantissa, power = rest[:i], rest[i+1:]
	}
	whole, part, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+part, "0")
	if digits == "" {
		return "0", true
	}
	point := len(digits) - len(part) // Where it stands: digits before it, less than 0 for zeros after it.
	if power != "" {
		n, err := strconv.Atoi(power)
		if err != nil || n > 2*len(spelt)+maxNumberID || n < -2*len(spelt)-maxNumberID {
			return "", false // Written out it is longer than any that is kept.
		}
		point += n
	}
	digits = strings.TrimRight(digits, "0")
	switch {
	case point >= len(digits):
		text = sign + digits + strings.Repeat("0", point-len(digits))
	case point > 0:
		text = sign + digits[:point] + "." + digits[point:]
	default:
		text = sign + "0." + strings.Repeat("0", -point) + digits
	}
	return text, len(text) <= maxNumberID
}
