package source

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	// pop3Patience is for each phase that is not a transfer.
	pop3Patience = 2 * time.Minute
	// maxInitial is the longest AUTH line with an initial response (RFC 5034
	// section 4: it must not exceed the command line's 255 octets).
	maxInitial = 255
	// maxChallenges of one AUTH are answered.
	maxChallenges = 4
	maxCapas      = 200
)

// pop3Capas is what CAPA returned (RFC 2449): names in upper case, with their
// arguments. Nil: the server has no CAPA.
type pop3Capas map[string][]string

func (c pop3Capas) has(name string) bool {
	_, ok := c[name]
	return ok
}

func (c pop3Capas) sasl(mechanism string) bool {
	for _, m := range c["SASL"] {
		if strings.EqualFold(m, mechanism) {
			return true
		}
	}
	return false
}

// loginDelay is the least time between logins that the server asks for.
func (c pop3Capas) loginDelay() time.Duration {
	if args := c["LOGIN-DELAY"]; len(args) > 0 {
		if n, err := strconv.ParseUint(args[0], 10, 20); err == nil {
			return time.Duration(n) * time.Second
		}
	}
	return 0
}

// pop3Login is one login under way.
type pop3Login struct {
	*wire.POP3
	cred        remote.Credential
	security    remote.Security
	mayPipeline bool // What a visit asks first may go along with the login.
	memory      pop3Memory

	capas      pop3Capas       // What the login goes by: as remembered, until the server lists them.
	asked      bool            // The server listed them on this connection.
	recalled   bool            // The login began before that.
	pipelining bool            // Commands are pipelined with the login.
	listing    func() *listing // Makes an empty one.
	listed     *listing        // What those brought, with count.
	count      uint32
}

// run takes a link from the greeting to the login, and further where commands
// are pipelined. The link stays open whatever comes.
func (p *pop3Login) run(ctx context.Context, c *Client, l *wire.Link) error {
	_, err := wire.Timed(l.Observe, remote.StepGreeting, func() (struct{}, words.Detail, error) {
		defer l.WithinGreeting(ctx)()
		w, err := wire.NewPOP3(l)
		p.POP3 = w
		return struct{}{}, nil, greetingFault(w, err)
	})
	if err != nil {
		return err
	}
	// What starts with a challenge cannot be pipelined, and is chosen by what is offered now.
	if p.recalled = p.mayPipeline && p.memory.ready() && p.way(p.memory.capas).whole(); p.recalled {
		p.capas = p.memory.capas
	}
	p.Unknown(!p.recalled)
	if err := p.secureConnection(ctx); err != nil {
		return err
	}
	late := (p.memory.noPipelinedLogin || p.memory.noPipelining) && p.memory.capas.equal(p.capas)
	p.pipelining = p.mayPipeline && p.capas.has("PIPELINING") && !late && p.way(p.capas).whole() &&
		!p.capas.losesPipelined() && !p.capas.has("UTF8")
	_, err = wire.Timed(l.Observe, remote.StepLogin, func() (struct{}, words.Detail, error) {
		defer l.Within(ctx, pop3Patience)()
		return struct{}{}, nil, p.signIn()
	})
	if err != nil {
		return err
	}
	l.SignedIn()
	if p.pipelining {
		return p.listen(ctx)
	}
	return nil
}

// greetingFault says what is wrong with a greeting. Nothing of it is shown
// that is not POP3's.
func greetingFault(w *wire.POP3, err error) error {
	var no *wire.POP3Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &no):
		return wire.POP3Reply(no.Text).Judge(wire.Greeting, "greeting", remote.Credential{})
	case fault.CodeOf(err) == fault.ProtocolError && w.SpeaksIMAP():
		return &fault.Error{
			Code: fault.ProtocolError, Op: "greeting", Err: err,
			Detail: words.Detail{words.Say("This port speaks IMAP, not POP3.")},
		}
	case fault.CodeOf(err) == fault.ProtocolError:
		return &fault.Error{
			Code: fault.ProtocolError, Op: "greeting", Err: err,
			Detail: words.Detail{words.Say("This port does not speak POP3.")},
		}
	}
	return err
}

// secureConnection asks what the server can do, where that is not remembered,
// and, with starttls, begins TLS; what was said before it is forgotten.
func (p *pop3Login) secureConnection(ctx context.Context) error {
	done := p.Within(ctx, pop3Patience)
	defer func() { done() }()
	if !p.recalled {
		if err := p.askCapas(); err != nil {
			return err
		}
	}
	if p.security != remote.STARTTLS {
		return nil
	}
	unsupported := fault.New(fault.STARTTLSUnsupported, "securing the connection",
		words.Say("The server does not offer to encrypt the connection on this port (STLS)."))
	if !p.recalled && p.capas != nil && !p.capas.has("STLS") {
		return unsupported
	}
	if _, err := p.Ask(wire.POP3Command{Verb: wire.PopSTLS}); err != nil {
		var no *wire.POP3Refusal
		if errors.As(err, &no) {
			return unsupported
		}
		return err
	}
	done()
	if err := p.Upgrade(ctx); err != nil {
		done = func() {}
		return err
	}
	done = p.Within(ctx, pop3Patience)
	if p.recalled {
		return nil
	}
	return p.askCapas()
}

func (p *pop3Login) askCapas() error {
	if err := p.Send(wire.POP3Command{Verb: wire.PopCAPA}); err != nil {
		return err
	}
	return p.readCapas()
}

// readCapas reads the answer to CAPA.
func (p *pop3Login) readCapas() error {
	_, err := p.Status()
	var no *wire.POP3Refusal
	switch {
	case errors.As(err, &no):
		p.capas, p.asked = nil, true // RFC 2449 is optional.
		return nil
	case err != nil:
		return err
	}
	capas := pop3Capas{}
	err = p.Lines(func(line []byte, ok bool) (used bool, err error) {
		f := strings.Fields(strings.ToUpper(string(line)))
		if ok && len(f) > 0 && len(capas) < maxCapas {
			capas[f[0]] = f[1:]
		}
		return false, nil // A few lines: nothing that takes time.
	})
	if err == nil {
		p.capas, p.asked = capas, true
	}
	return err
}

// popWay is a way to sign in: a mechanism of SASL, or one of POP3's own.
type popWay string

const (
	wayUser popWay = "USER" // USER and PASS.
	wayAPOP popWay = "APOP" // RFC 1939 section 7.
	wayNone popWay = ""     // None is offered that is known here.
)

// whole reports whether a way goes without a challenge, so that more can be
// pipelined with it.
func (w popWay) whole() bool { return w == wayUser || w == wire.SASLPlain || w == wire.SASLXOAUTH2 }

// way is how to sign in at a server with these capabilities: by the strongest that is
// offered, see provingMechanism, else with the password itself, see showing.
func (p *pop3Login) way(capas pop3Capas) popWay {
	if p.cred.Auth == remote.OAuth2 {
		return wire.SASLXOAUTH2
	}
	if m := wire.ProvingMechanism(capas.sasl, p.security != remote.None, p.memory.signIn == memoryShown); m != "" {
		return popWay(m)
	}
	return p.showing(capas)
}

// showing is way where nothing stronger is to be had than the password itself. It
// goes by USER and PASS; for letters on which they have no word rather by PLAIN.
//
// Dovecot lists USER always. Where mechanisms are listed and none of them takes the
// password itself, USER is useless there: what else there is goes first. APOP comes
// after all others: its MD5 protects little, and servers that have its timestamp in their
// greeting and do not support it are known.
func (p *pop3Login) showing(capas pop3Capas) popWay {
	user := capas == nil || capas.has("USER")
	switch {
	case capas.sasl(wire.SASLPlain) && (!user || !ascii(p.cred.Username+p.cred.Secret.Reveal())):
		return wire.SASLPlain
	case user && (capas.sasl(wire.SASLPlain) || !capas.has("SASL")):
		return wayUser
	case capas.sasl(wire.SASLLogin):
		return wire.SASLLogin
	case capas.sasl(wire.SASLCRAM):
		return wire.SASLCRAM
	case p.timestamp() != "":
		return wayAPOP
	case user || len(capas["SASL"]) == 0: // CAPA need not be complete.
		return wayUser
	}
	return wayNone
}

// timestamp is what the greeting holds for APOP, "" if nothing: "<…@…>".
func (p *pop3Login) timestamp() string {
	if p.POP3 == nil {
		return ""
	}
	open := strings.LastIndexByte(p.Greeted(), '<')
	if open < 0 {
		return ""
	}
	end := strings.IndexByte(p.Greeted()[open:], '>')
	if end < 0 || !strings.Contains(p.Greeted()[open:open+end], "@") {
		return ""
	}
	return p.Greeted()[open : open+end+1]
}

// signIn sends the credential, never in the clear unless the account's own
// security is none.
func (p *pop3Login) signIn() error {
	if p.security != remote.None && !p.Encrypted() {
		return fault.New(fault.Internal, "signing in", words.Say("The connection is not encrypted."))
	}
	user, secret := p.cred.Username, p.cred.Secret.Reveal()
	if strings.ContainsAny(user+secret, "\r\n\x00") || user == "" || secret == "" {
		return fault.New(fault.AuthFailed, "signing in",
			words.Say("The user name or the password is empty or has a line break in it."))
	}
	way := p.way(p.capas)
	if way == wayNone && p.capas.sasl(wire.SASLXOAUTH2) {
		return fault.New(fault.OAuthReauthorizationRequired, "signing in",
			words.Say("The server takes no passwords, only OAuth 2.0."))
	} else if way == wayNone {
		return wire.NoMechanism(slices.Clone(p.capas["SASL"]), p.Encrypted())
	}
	if err := p.speakUTF8(); err != nil {
		return err
	}
	err := p.by(way)
	if wire.IsSCRAM(string(way)) {
		err = p.unproved(err)
	}
	return p.refused(err)
}

// speakUTF8 says that headers may hold more than ASCII (RFC 6856 section 2): without it
// Courier sends a notice of its own instead of such a message. It changes
// nothing at the server; a refusal is no matter.
func (p *pop3Login) speakUTF8() error {
	if !p.capas.has("UTF8") {
		return nil
	}
	_, err := p.Ask(wire.POP3Command{Verb: wire.PopUTF8})
	if errors.As(err, new(*wire.POP3Refusal)) {
		return nil
	}
	return err
}

// unproved continues after SCRAM. What was refused may be SCRAM alone, unless the account has
// signed in by it before: the password itself is tried once, under TLS.
func (p *pop3Login) unproved(err error) error {
	var no *wire.POP3Refusal
	switch {
	case err == nil:
		p.memory.signIn = memoryProved
		return nil
	case !errors.As(err, &no), p.memory.signIn == memoryProved, !p.Encrypted(), !p.capas.sasl(wire.SASLPlain):
		return err
	case wire.POP3Reply(no.Text).Judge(wire.SigningIn, "signing in", p.cred).Code != fault.AuthFailed:
		return err
	}
	way := p.showing(p.capas)
	if !way.whole() || !p.PresentsAgain() {
		return err
	}
	if err = p.by(way); err == nil {
		p.memory.signIn = memoryShown
	}
	return err
}

// by signs in one way.
func (p *pop3Login) by(way popWay) error {
	user, secret := p.cred.Username, p.cred.Secret.Reveal()
	switch way {
	case wayUser:
		name := wire.POP3Command{Verb: wire.PopUSER, Arg: user}
		pass := wire.POP3Command{Verb: wire.PopPASS, Arg: secret, Secret: true}
		if p.capas == nil && p.timestamp() != "" {
			if _, err := p.Ask(name); errors.As(err, new(*wire.POP3Refusal)) {
				return p.by(wayAPOP) // It has no USER, as nothing but this can show.
			} else if err != nil {
				return err
			}
			p.Presents()
			return p.say(true, pass)
		}
		p.Presents()
		return p.say(true, name, pass)
	case wayAPOP:
		p.Presents()
		return p.say(true, wire.POP3Command{
			Verb: wire.PopAPOP, Arg: user + " " + p.APOP(p.timestamp(), secret),
			Secret: true,
		})
	}
	p.Presents()
	return p.authenticate(string(way))
}

// refused says what a refusal means; other errors are left as they are.
func (p *pop3Login) refused(err error) error {
	var no *wire.POP3Refusal
	if !errors.As(err, &no) {
		return err
	}
	if strings.Contains(strings.ToLower(no.Text), "unsupported authentication mechanism") { // Dovecot's, to PASS.
		return wire.NoMechanism(slices.Clone(p.capas["SASL"]), p.Encrypted())
	}
	f := wire.POP3Reply(no.Text).Judge(wire.SigningIn, "signing in", p.cred)
	if f.RetryAfter == 0 && (f.Code == fault.RateLimited || f.Code == fault.MailboxInUse) {
		f.RetryAfter = p.capas.loginDelay()
	}
	return f
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// authenticate signs in by SASL (RFC 5034): in one line where it fits, else
// after the server's first challenge. A challenge after a credential that was sent
// whole is the reason for a refusal (XOAUTH2), and is answered with nothing, so that
// the refusal follows; the first line of what was pipelined has answered it already.
func (p *pop3Login) authenticate(mechanism string) error {
	s := p.SASL(mechanism, p.cred)
	_, response, err := s.Start()
	if err != nil {
		return err
	}
	initial := base64.StdEncoding.EncodeToString(response)
	c := wire.POP3Command{Verb: wire.PopAUTH, Arg: mechanism}
	sent := response != nil && len(c.Line())+1+len(initial)+2 <= maxInitial
	if sent {
		c.Arg, c.Secret = mechanism+" "+initial, true
	}
	err = p.say(sent, c)
	if sent && p.pipelining && errors.Is(err, wire.ErrChallenge) && p.Challenge() == "" {
		return errMisread // It wants what it was sent, and has a question in its place.
	}
	for range maxChallenges {
		if !errors.Is(err, wire.ErrChallenge) {
			break
		}
		switch {
		case !sent && response != nil:
			sent = true
			err = p.Answer(initial)
			if err == nil && p.pipelining {
				err = p.Send(visitQuestions...)
			}
		case popWay(mechanism).whole() && p.pipelining:
			err = nil // Answered by what was pipelined.
		case popWay(mechanism).whole():
			err = p.Answer("")
		default:
			err = p.respond(s)
		}
		if err != nil {
			return err
		}
		_, err = p.Status()
	}
	if errors.Is(err, wire.ErrChallenge) {
		return p.Abort(fault.New(fault.ProtocolError, "signing in",
			words.Say("The server does not come to an end of signing in.")))
	}
	if err == nil {
		if err = s.Proved(); err != nil {
			return p.Abort(err)
		}
	}
	return err
}

// respond answers a challenge.
func (p *pop3Login) respond(s wire.SASLClient) error {
	challenge, err := base64.StdEncoding.DecodeString(p.Challenge())
	if err != nil {
		challenge = nil // Words for people.
	}
	answer, err := s.Next(challenge)
	if err != nil {
		return p.Abort(err)
	}
	return p.Answer(base64.StdEncoding.EncodeToString(answer))
}
