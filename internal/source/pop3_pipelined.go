package source

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// A visit by POP3 is short and consists of waiting, so a server that supports
// PIPELINING (RFC 2449 section 6.6) is sent everything that a visit starts with
// at once, after TLS and the greeting:
//
//	CAPA, USER, PASS, STAT, LIST, UIDL
//
// Section 6.6 names USER and PASS as what can be sent together, has the server
// process each command in turn, and says of the capability that it holds in both
// states. That it is offered is known from an earlier session: pop3Memory. CAPA
// is asked all the same, at each visit and before the login, for it costs
// nothing there, and it is only before the login that a server lists USER
// and SASL; so what is remembered is never older than one visit. Without a
// memory CAPA is asked alone, and the rest is pipelined after it.
//
// Servers whose login is a process of its own may lose at the login what
// follows it (Courier's, as CAPA's IMPLEMENTATION says). Then the session
// continues with one command at a time, over a second connection where it has to, and
// that is remembered for good. Nor is anything pipelined where UTF8 is
// offered (RFC 6856): it is no command to be pipelined (section 2).

// visitQuestions follow the login, in this order.
var visitQuestions = append([]wire.POP3Command{{Verb: wire.PopSTAT}}, listQuestions...)

// pop3Memory is what is remembered of a server from one session to the next.
type pop3Memory struct {
	capas            pop3Capas // As CAPA listed them; nil: not known, or there is no CAPA.
	noPipelinedLogin bool      // Commands pipelined with a login are lost.
	noPipelining     bool      // Pipelined commands are lost, whatever comes before them.
	// signIn is memoryProved or memoryShown: how the account has signed in where
	// SCRAM was offered; "": not known.
	signIn string
}

// The words of a memory beside the names of capabilities.
const (
	memoryCapa             = "CAPA"     // There is CAPA.
	memoryNoCapa           = "NO-CAPA"  // There is none.
	memorySASL             = "SASL-"    // Then a mechanism.
	memoryNoPipelinedLogin = "NO-EARLY" // Commands pipelined with the login are lost.
	memoryNoPipelining     = "NO-AHEAD" // All pipelined commands are lost.
)

// rememberedCapas and rememberedMechanisms are what a later login goes by.
var (
	rememberedCapas      = []string{"PIPELINING", "TOP", "UIDL", "USER", "UTF8"}
	rememberedMechanisms = wire.SASLMechanisms
)

// losesPipelined reports whether a server says of itself that it is one of those
// that lose what is pipelined with a login.
func (c pop3Capas) losesPipelined() bool {
	return slices.ContainsFunc(c["IMPLEMENTATION"], func(word string) bool { return strings.HasPrefix(word, "COURIER") })
}

// rememberPOP3 reads what String wrote. What it does not know it leaves out.
func rememberPOP3(text string) (m pop3Memory) {
	for _, word := range strings.Fields(text) {
		mechanism, sasl := strings.CutPrefix(word, memorySASL)
		switch {
		case word == memoryCapa && m.capas == nil:
			m.capas = pop3Capas{}
		case word == memoryNoPipelinedLogin:
			m.noPipelinedLogin = true
		case word == memoryNoPipelining:
			m.noPipelining = true
		case word == memoryProved, word == memoryShown:
			m.signIn = word
		case m.capas == nil:
		case sasl && mechanism == "":
			m.capas["SASL"] = nil
		case sasl && slices.Contains(rememberedMechanisms, mechanism):
			m.capas["SASL"] = append(m.capas["SASL"], mechanism)
		case slices.Contains(rememberedCapas, word):
			m.capas[word] = nil
		}
	}
	return m
}

// String is one line of words in order, each from a short list.
func (m pop3Memory) String() string {
	words := []string{memoryNoCapa}
	if m.capas != nil {
		words[0] = memoryCapa
	}
	for _, name := range rememberedCapas {
		if m.capas.has(name) {
			words = append(words, name)
		}
	}
	known := len(words)
	for _, mechanism := range rememberedMechanisms {
		if m.capas.sasl(mechanism) && !(mechanism == wire.SASLLogin && m.capas.sasl(wire.SASLPlain)) {
			words = append(words, memorySASL+mechanism)
		}
	}
	if m.capas.has("SASL") && len(words) == known {
		words = append(words, memorySASL) // There is SASL, and nothing for us.
	}
	if m.noPipelinedLogin {
		words = append(words, memoryNoPipelinedLogin)
	}
	if m.noPipelining {
		words = append(words, memoryNoPipelining)
	}
	if m.signIn != "" {
		words = append(words, m.signIn)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// ready says that a login may go by the memory alone.
func (m pop3Memory) ready() bool {
	return m.capas.has("PIPELINING") && !m.capas.has("UTF8") && !m.noPipelinedLogin && !m.noPipelining
}

// errMisread says that a server took a pipelined command for something else.
var errMisread = fault.New(fault.ProtocolError, "signing in",
	words.Say("The server took a question for the credential."))

// start takes the session's connection from the greeting to the login, and to
// the answers to visitQuestions where pipelining lets them be sent along.
//
// A login that is refused is not tried again, with two exceptions in which the
// server never looked at the credential: it took a question for it, or it signs
// in by another way than is remembered. A connection that breaks, or falls
// silent, over what was pipelined is replaced once by one without pipelining.
func (s *pop3Session) start(ctx context.Context, pipelining bool) error {
	p := &pop3Login{
		cred: s.cred, security: s.server.Security, mayPipeline: pipelining, memory: s.memory,
		listing: func() *listing { return s.client.listing(s.file, s.link) },
	}
	err := p.run(ctx, s.client, s.link)
	s.link.LoginFailed(err)
	if p.asked {
		// Else it is another server than the one that lost them.
		same := s.memory.capas.equal(p.capas)
		s.memory.noPipelinedLogin, s.memory.noPipelining = s.memory.noPipelinedLogin && same, s.memory.noPipelining && same
		s.memory.capas = p.capas
	}
	switch lost := p.lost(err); {
	case err == nil:
		s.wire, s.capas = p.POP3, p.capas
		s.pipelined, s.count, s.counted = p.listed, p.count, p.listed != nil
		s.memory.noPipelinedLogin = s.memory.noPipelinedLogin || p.pipelining && p.listed == nil || p.capas.losesPipelined()
		s.memory.signIn = p.memory.signIn
		return nil
	case lost || p.otherWay(err):
		s.client.opts.Log.InfoContext(ctx, "signing in again, without pipelining", "host", s.server.Host,
			"reason", err)
		s.link.Abort(err)
		s.memory.noPipelinedLogin = s.memory.noPipelinedLogin || lost
		err := s.another(ctx)
		if fault.CodeOf(err) == fault.MailboxInUse { // By the connection that was given up.
			err = s.retry(ctx, s.another)
		}
		return err
	}
	s.link.Abort(err)
	return err
}

func (c pop3Capas) equal(other pop3Capas) bool {
	return pop3Memory{capas: c}.String() == pop3Memory{capas: other}.String()
}

// lost reports whether pipelined commands may have caused err.
func (p *pop3Login) lost(err error) bool {
	if err == nil || !p.pipelining || final(err) {
		return false
	}
	return errors.Is(err, errMisread) || p.Failure() != nil
}

// otherWay reports whether a login was refused that went by a memory, by a
// server that wants to be signed in to in another way by now.
func (p *pop3Login) otherWay(err error) bool {
	return err != nil && p.recalled && p.asked && p.Failure() == nil && p.way(p.memory.capas) != p.way(p.capas)
}

// say sends the commands of a login and reads the answers; its error is of the
// first that was not answered +OK. last says that nothing more is needed for
// the login.
func (p *pop3Login) say(last bool, cmds ...wire.POP3Command) error {
	if !p.pipelining {
		for _, c := range cmds {
			if _, err := p.Ask(c); err != nil {
				return err
			}
		}
		return nil
	}
	var sent []wire.POP3Command
	asks := !p.asked
	if asks {
		sent = append(sent, wire.POP3Command{Verb: wire.PopCAPA})
	}
	sent = append(sent, cmds...)
	if last {
		sent = append(sent, visitQuestions...)
	}
	if err := p.Send(sent...); err != nil {
		return err
	}
	if asks {
		if err := p.readCapas(); err != nil {
			return err
		}
		p.ExpectChallenge(cmds[0].Verb == wire.PopAUTH) // CAPA's +OK is not its end.
	}
	for range cmds {
		if _, err := p.Status(); err != nil {
			return err
		}
	}
	return nil
}

// pipelines reports whether commands are pipelined.
func (s *pop3Session) pipelines() bool { return s.capas.has("PIPELINING") && !s.memory.noPipelining }

// lostPipelined reports whether the connection ended since a pipelined command was lost,
// at a server that offers PIPELINING. From now on one command is sent at a time.
func (s *pop3Session) lostPipelined(ctx context.Context) bool {
	if s.wire == nil || !s.wire.Lost() || s.memory.noPipelining {
		return false
	}
	s.memory.noPipelining = true
	s.client.opts.Log.InfoContext(ctx, "pipelined commands are lost: one is sent at a time",
		"host", s.server.Host)
	return true
}

// listen reads the answers to visitQuestions. If they were not understood, there
// is no listing, and they can be asked again. They count together only: where one
// was lost another is missing at the end.
func (p *pop3Login) listen(ctx context.Context) error {
	text, err := p.Status()
	var no *wire.POP3Refusal
	understood := err == nil
	if err != nil && !errors.As(err, &no) {
		return err
	}
	count, counted := parseSTAT(text)
	if understood && !counted {
		return p.Abort(fault.New(fault.ProtocolError, "counting messages",
			words.Say("The server does not say how many messages there are.")))
	}
	l := p.listing()
	refused, err := l.read(ctx, p.POP3, nil)
	if err != nil {
		return err
	}
	if !understood || refused[wire.PopLIST] != nil || refused[wire.PopUIDL] != nil && p.capas.has("UIDL") {
		return nil
	}
	p.listed, p.count = l, count
	return nil
}
