package source

import (
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// What is asked before it is known whether the answer is needed: the folders,
// pipelined with LOGIN, and the bodies of a few new messages, right after their
// listing (speculatively). Each saves a round trip.

// capsOfUse are the capabilities that change what we ask, in the order in
// which they are remembered.
var capsOfUse = []imap.Cap{imap.CapListStatus, imap.CapNamespace, "OBJECTID", imap.CapSpecialUse, "X-GM-EXT-1"}

// capNoPipelining is our own word among those that are remembered: nothing may be
// sent before LOGIN was answered.
const capNoPipelining imap.Cap = "X-LOGIN-ALONE"

// capStateless is our own word too, with the day on which it holds: folders are not
// asked for their state.
const capStateless = "X-STATELESS="

func statelessOn(day time.Time) imap.Cap {
	return imap.Cap(capStateless + day.UTC().Format(time.DateOnly))
}

// Capabilities implements protocol.
func (s *imapSession) Capabilities() string {
	s.mu.Lock()
	c := s.conn
	s.mu.Unlock()
	var words []string
	for _, w := range capsOfUse {
		if c.caps.Has(w) {
			words = append(words, string(w))
		}
	}
	if s.quirks.noPipelining.Load() {
		words = append(words, string(capNoPipelining))
	}
	if c.way != "" {
		words = append(words, string(c.way))
	}
	if s.quirks.stateless.Load() {
		words = append(words, string(statelessOn(time.Now())))
	}
	words = append(words, s.quirks.suspects.all()...)
	if ns := s.quirks.namespaces.Load(); ns != nil {
		if w := ns.word(); len(w) <= maxNamespaceWord {
			words = append(words, w)
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// parseCapabilities reads what Capabilities returned in an earlier session.
func parseCapabilities(remembered string) imap.CapSet {
	caps := imap.CapSet{}
	for w := range strings.FieldsSeq(remembered) {
		if c := imap.Cap(w); c == capNoPipelining || strings.HasPrefix(w, capStateless) ||
			c == memoryProved || c == memoryShown ||
			strings.HasPrefix(w, capBYE) || strings.HasPrefix(w, capNamespaces) || slices.Contains(capsOfUse, c) {
			caps[c] = struct{}{}
		}
	}
	return caps
}

// softwareCapabilities is what servers of a kind offer once one has signed in,
// by the words that they greet with. It is asked before the first visit only.
func softwareCapabilities(greeting string) imap.CapSet {
	// "Dovecot ready.", "Dovecot (Debian) ready.": all three since 2.1, of 2012.
	if strings.HasPrefix(greeting, "Dovecot ") && strings.HasSuffix(greeting, "ready.") {
		return imap.CapSet{imap.CapListStatus: {}, imap.CapNamespace: {}, imap.CapSpecialUse: {}}
	}
	return nil
}

// pipelined holds NAMESPACE and LIST, sent right after LOGIN. Replies are read as
// they arrive, so they never block a later command.
type pipelined struct {
	uses      bool               // The special uses were asked for.
	namespace *namespaceQuestion // Nil: not asked.
	done      chan struct{}      // Closed when the list is whole, or nothing more can come.
	listed    []*imap.ListData
	err       error
	taken     bool // Its answers were used.
}

// sendPipelined sends NAMESPACE and LIST without waiting for LOGIN's answer.
func (c *imapConn) sendPipelined(known imap.CapSet) *pipelined {
	f := &pipelined{uses: known.Has(imap.CapSpecialUse), done: make(chan struct{})}
	if known.Has(imap.CapNamespace) {
		f.namespace = c.askNamespaces()
	}
	c.askedState = true
	list := c.client.List("", "*", listOptions(known))
	go func() {
		defer close(f.done)
		f.listed, f.err = list.Collect()
	}()
	return f
}

// takePipelined returns those replies, once. listed is nil if LIST was not pipelined
// or lacks what we need, asked if NAMESPACE was not. refused says that the server
// does not accept the extended LIST.
func (c *imapConn) takePipelined() (asked *namespaceQuestion, listed []*imap.ListData, refused bool, err error) {
	f := c.pipelined
	if !f.pending() {
		return nil, nil, false, nil
	}
	<-f.done
	if f.err != nil && refusal(f.err) == nil {
		return nil, nil, false, c.failed("listing folders", f.err)
	}
	f.taken = true
	if asked = f.namespace; asked != nil && c.caps.Has(imap.CapNamespace) {
		if _, err := asked.command.Wait(); refusal(err) != nil { // Folders would change their names from visit to visit.
			asked = nil
			c.quirks.noPipelining.Store(true)
		}
	}
	switch {
	case f.err != nil:
		if c.caps.Has(imap.CapListStatus) {
			c.quirks.noPipelining.Store(true)
		}
		return asked, nil, true, nil
	case !f.uses && c.caps.Has(imap.CapSpecialUse):
		return asked, nil, false, nil
	}
	return asked, f.listed, false, nil
}

func (f *pipelined) pending() bool { return f != nil && !f.taken }

// lost reports whether the connection ended because the server cannot handle
// pipelined commands, not through an ordinary disconnect. The library must have
// ended, too.
func (f *pipelined) lost(c *imapConn) bool {
	if !f.pending() {
		return false
	}
	<-f.done
	if f.err == nil || refusal(f.err) != nil {
		return false
	}
	why, bye := c.link.Failure(), c.wire.LastSaid().Kind == wire.BYE
	return bye || errors.Is(why, os.ErrDeadlineExceeded) || fault.CodeOf(why) == fault.ProtocolError
}

// lostPipelined is the error of a LOGIN with pipelined commands that was neither
// accepted nor refused.
type lostPipelined struct{ err error }

func (e *lostPipelined) Error() string { return e.err.Error() }

// mayRetry reports whether a LOGIN without pipelined commands may succeed: the
// server did not time out, and gave no other reason.
func (e *lostPipelined) mayRetry() bool {
	switch fault.CodeOf(e.err) {
	case fault.ProtocolError:
		return true
	case fault.ServerUnavailable:
		return !errors.Is(e.err, os.ErrDeadlineExceeded)
	}
	return false
}

const (
	// speculativeMessages is for how many new messages, at most, the bodies are asked
	// for before the listing was answered.
	speculativeMessages = 50
	// maxReadPast is how many octets of bodies that turned out not to be wanted
	// are read; beyond that a new connection is cheaper.
	maxReadPast = 1 << 20
)

// speculativeRequest is the bodies of one folder that were asked for before its
// listing was answered. They are read by the next Fetch: until then the library
// holds the first, and everything after it waits in the network.
type speculativeRequest struct {
	request        // Of the stage speculative; want is nil until one is known.
	folder  string // As the server names it.
	lo, hi  uint32 // UIDs.
}

// askSpeculatively asks for the bodies of what is probably new, by the status of
// the folders. Where one message is in several folders, the engine wants one copy.
func (c *imapConn) askSpeculatively(queries []mail.Query) (asked []*speculativeRequest) {
	if globalItem(c.caps) == wire.ItemGmailID {
		return nil
	}
	total := uint32(0)
	for _, q := range queries {
		st := q.Folder.Status
		if q.From == 0 || q.Failing || c.quirks.suspects.holds(q.Folder.Wire) || !st.Known ||
			st.UIDValidity == 0 || st.UIDNext <= q.From || st.UIDNext-q.From > speculativeMessages-total {
			continue
		}
		total += st.UIDNext - q.From
		e := &speculativeRequest{
			request: request{batch: &batch{stage: speculative}}, folder: q.Folder.Wire, lo: q.From,
			hi: st.UIDNext - 1,
		}
		var set imap.UIDSet
		set.AddRange(imap.UID(e.lo), imap.UID(e.hi))
		e.opened, e.bodies = c.askBodies(e.folder, set, false)
		asked = append(asked, e)
	}
	return asked
}

// keep leaves bodies that were asked for to the next Fetch.
func (s *imapSession) keep(c *imapConn, asked []*speculativeRequest) {
	s.mu.Lock()
	kept := !s.closed && s.conn == c
	if kept {
		s.speculative = asked
	}
	s.mu.Unlock()
	if !kept {
		c.drop(asked)
	}
}

// expected returns the bodies that were asked for speculatively; they stay with the
// session.
func (s *imapSession) expected() []*speculativeRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.speculative
}

// drop gives up bodies that were asked for, with the connection.
func (c *imapConn) drop(asked []*speculativeRequest) {
	if len(asked) == 0 {
		return
	}
	c.link.Close()
	for _, q := range asked {
		q.bodies.Close()
	}
}

// readPast reads bodies that nobody wants. It returns false when that was too
// much, or went wrong: then the connection has ended.
func (c *imapConn) readPast(asked []*speculativeRequest) bool {
	past := int64(0)
	for i, q := range asked {
		if err := q.readPast(&past); err != nil {
			c.drop(asked[i:])
			return false
		}
	}
	return true
}

// errReadPast says that more bodies were sent than are worth skipping.
var errReadPast = fault.New(fault.ServerUnavailable, "fetching", words.Say("More was asked for than is needed."))

// readPast reads the answers to a request and adds the octets of its bodies to
// past, up to maxReadPast. After an error the connection must be closed before
// the command is.
func (q request) readPast(past *int64) error {
	for msg := q.bodies.Next(); msg != nil; msg = q.bodies.Next() {
		for data := msg.Next(); data != nil; data = msg.Next() {
			if d, ok := data.(imapclient.FetchItemDataBodySection); ok && d.Literal != nil {
				if *past += d.Literal.Size(); *past > maxReadPast {
					return errReadPast
				}
			}
		}
	}
	if err := q.bodies.Close(); err != nil && refusal(err) == nil {
		return err
	}
	return nil
}

// Words among what is remembered of a server from one session to the next.
const (
	// memoryProved: an account signed in by SCRAM. A refusal is one of the password.
	memoryProved = "X-SIGN-IN-PROVED"
	// memoryShown: it was refused by SCRAM and accepted with the password itself, as
	// where the server keeps passwords in another form than SCRAM needs.
	memoryShown = "X-SIGN-IN-SHOWN"
)
