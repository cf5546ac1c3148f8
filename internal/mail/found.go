package mail

// Found is a delivered message as it lies at its destination now, wherever its
// user put it.
type Found struct {
	// Where it lies, in the destination's own words: nobody else reads them, but people.
	Where string
	// What the destination knows without reading it: the time to the second, and the size
	// with line ends as CRLF; -1 where it does not.
	Received    int64
	VirtualSize int64
}
