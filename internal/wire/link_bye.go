package wire

import (
	"bytes"
	"errors"
	"time"
)

// How long a server is waited for that has refused: one that says BYE and does
// not come to its end, or whose refusal answers nothing.
const (
	hastyPatience = 3 * time.Second   // On one connection,
	hastySession  = 3 * hastyPatience // … and over all of a session's.
)

const byeHead = "* BYE "

// errPartOfBYE says that the line under way is a BYE and its end does not come.
var errPartOfBYE = errors.New("the rest of a BYE does not come")

// parting reports whether the line under way is a BYE.
func (l *Link) parting() bool { return l.head != nil && bytes.EqualFold(l.head, []byte(byeHead)) }

// hasten gives the server hastyPatience from its refusal on, as far as the
// session has such time left, and returns false when that has passed.
func (l *Link) hasten() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hasty.IsZero() {
		d := max(0, min(hastyPatience, l.session.hasty.rest()))
		l.session.hasty.spend(d)
		l.hasty = time.Now().Add(d)
		l.arm()
	}
	return time.Now().Before(l.hasty)
}

// doubted records that the server refused something, and does not say what.
func (l *Link) doubted() { l.hasten() }

// reassured records that the server answers all the same.
func (l *Link) reassured() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.hasty.IsZero() {
		l.session.hasty.earn(hastyPatience)
		l.hasty = time.Time{}
		l.arm()
	}
}
