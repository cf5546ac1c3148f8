package wire

import (
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Patience is how long a server may take. Zero means the default; of Command,
// Progress and Session a negative one means that there is no such limit.
//
// Each second that we wait for a server counts, on the way to it, inside a line
// and between lines alike, and uses up what it is granted; what it brings of what
// was asked for earns it time again. Anything else that it says earns nothing. So
// a command as a whole takes no longer than Command and what its answer, which is
// bounded by what was asked for, takes at the rate of Floor.
//
// The defaults, with reasons in docs/decisions/0021-progress.md: Command is half
// as much again as Idle, for servers that say that they are still at it; Progress
// is more, so that a slow command is distinguished from a slow session; Session lets 50 MiB
// come at 10 KiB/s, and stays below what a visit may take in all (see schedule).
type Patience struct {
	Greeting time.Duration // For the whole greeting: 20 s.
	Idle     time.Duration // For the next octet of what is due: 60 s.
	Floor    int64         // Octets per second of what was asked for: 1024.
	Command  time.Duration // Without what was asked for, over one connection: 90 s.
	Progress time.Duration // Without a message or a folder, over all connections of a session: 2 min.
	Session  time.Duration // In all, over all connections of a session: 90 min.
	// Ahead is for what should have come with what came before: by POP3 the answer
	// to a pipelined command, at a server that has not answered one yet, and the
	// last octet of a message's end. 5 s.
	Ahead time.Duration
}

func (p Patience) orDefault() Patience {
	orElse := func(d *time.Duration, otherwise time.Duration) {
		switch {
		case *d == 0:
			*d = otherwise
		case *d < 0:
			*d = forever
		}
	}
	p.Greeting, p.Idle, p.Ahead = max(p.Greeting, 0), max(p.Idle, 0), max(p.Ahead, 0)
	orElse(&p.Ahead, 5*time.Second)
	orElse(&p.Greeting, 20*time.Second)
	orElse(&p.Idle, time.Minute)
	orElse(&p.Command, 90*time.Second)
	orElse(&p.Progress, 2*time.Minute)
	orElse(&p.Session, 90*time.Minute)
	if p.Floor <= 0 {
		p.Floor = 1 << 10
	}
	return p
}

const (
	forever = time.Duration(math.MaxInt64)

	// answerShare is what a completed command earns: this part of Command.
	answerShare = 4
	// listedOctets is what one line of a list counts for, however long it is: about
	// what an IMAP server sends of a message. At the floor that is eight in a second.
	listedOctets = 128
)

// Why a server was given up. All of them are deadlines.
var (
	ErrTooSlow    = fmt.Errorf("below the least rate: %w", os.ErrDeadlineExceeded)                // By Command.
	ErrNoProgress = fmt.Errorf("neither a message nor a folder came: %w", os.ErrDeadlineExceeded) // By Progress.
	ErrTooLong    = fmt.Errorf("the session took too long: %w", os.ErrDeadlineExceeded)           // By Session.
)

// GivenUp reports whether a session as a whole took too long: no other
// connection makes it better.
func GivenUp(err error) bool { return errors.Is(err, ErrNoProgress) || errors.Is(err, ErrTooLong) }

// pace is time of waiting that is used up and earned again, up to a limit.
type pace struct {
	limit time.Duration

	mu   sync.Mutex
	left time.Duration
}

func newPace(limit time.Duration) *pace { return &pace{limit: limit, left: limit} }

func (p *pace) spend(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left -= d
}

func (p *pace) earn(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left += min(d, p.limit-max(p.left, 0)) // What is overdrawn is not paid back.
}

func (p *pace) rest() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left
}

// SessionPace is what a session grants its server over all connections.
type SessionPace struct{ progress, whole, hasty *pace }

// NewSessionPace returns what p grants a whole session.
func NewSessionPace(p Patience) *SessionPace {
	p = p.orDefault()
	return &SessionPace{progress: newPace(p.Progress), whole: newPace(p.Session), hasty: newPace(hastySession)}
}

func (s *SessionPace) spend(d time.Duration) {
	s.progress.spend(d)
	s.whole.spend(d)
}

// overdue says why the session has to end, or returns nil. It is asked before and
// after each read.
func (s *SessionPace) overdue(code fault.Code) *fault.Error {
	switch {
	case s.whole.rest() <= 0:
		f := fault.New(code, waiting, words.Say("The server is too slow: it was waited for %d minutes in all. The rest "+
			"is left for the next visit.", int((s.whole.limit+time.Minute-1)/time.Minute)))
		f.Limit, f.Err = true, ErrTooLong
		return f
	case s.progress.rest() <= 0:
		f := fault.New(code, waiting, words.Say("The server is too slow: in %d seconds of waiting it sent neither a "+
			"message nor what a folder holds.", int((s.progress.limit+time.Second-1)/time.Second)))
		f.Err = ErrNoProgress
		return f
	}
	return nil
}

// waiting is what was being done when a server was given up.
const waiting = "waiting for the server"

// named records that the server named a folder that was asked for.
func (l *Link) named() {
	l.reassured()
	l.command.earn(l.atFloor(listedOctets))
}

// Listed records that the server listed a message that was asked for.
func (l *Link) Listed() { l.brought(listedOctets) }

// brought records that the server brought n octets of a message or its header.
func (l *Link) brought(n int) {
	l.reassured()
	d := l.atFloor(n)
	l.command.earn(d)
	l.session.progress.earn(d)
}

// count records what was brought and was not counted, which is due before the server is
// waited for again.
func (l *Link) count() {
	if n := l.uncounted; n > 0 {
		l.uncounted = 0
		l.brought(n)
	}
}

func (l *Link) atFloor(octets int) time.Duration {
	return time.Duration(octets) * time.Second / time.Duration(l.limits.Floor)
}

// answered records that a command was completed.
func (l *Link) answered() {
	l.reassured()
	l.command.earn(l.limits.Command / answerShare)
}

// Settled records that a message came whole, or that all was said of a folder that
// was asked for.
func (l *Link) Settled() {
	l.reassured()
	l.command.earn(l.limits.Command)
	l.session.progress.earn(l.limits.Progress)
}

// overdue says why the server is not waited for any longer, or returns nil.
func (l *Link) overdue() *fault.Error {
	code := l.silence()
	if f := l.session.overdue(code); f != nil {
		return f
	}
	if l.command.rest() > 0 {
		return nil
	}
	return &fault.Error{
		Code: code, Op: waiting, Err: ErrTooSlow,
		Detail: words.Detail{words.Say("The server is too slow: what it was asked for did not come in time.")},
	}
}

// tally counts the time that we have been waiting for the server. l.mu is held.
func (l *Link) tally() {
	now := time.Now()
	if !l.since.IsZero() {
		d := now.Sub(l.since)
		l.command.spend(d)
		l.session.spend(d)
	}
	l.since = time.Time{}
	if l.reading && !l.idle || l.writing > 0 {
		l.since = now
	}
}

// Silent reports whether a server stopped sending, or nearly so, as against
// closing.
func Silent(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }
