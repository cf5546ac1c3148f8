package source

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
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

// pop3Capas is what CAPA told (RFC 2449): names in upper case, with their
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
	*pop3Wire
	cred     account.Credential
	security account.Security
	hurry    bool // What a visit asks first may go along with the login.
	memory   pop3Memory

	capas    pop3Capas       // What the login goes by: as remembered, until they are told.
	told     bool            // The server told them on this connection.
	recalled bool            // The login began before that.
	ahead    bool            // Questions are sent ahead of the login's answer.
	listing  func() *listing // Makes an empty one.
	early    *listing        // What these brought, with count.
	count    uint32
}

// run takes a link from the greeting to the login, and further where questions
// are sent ahead. The link stays open whatever comes.
func (p *pop3Login) run(ctx context.Context, c *Client, l *link) error {
	_, err := timed(l, account.StepGreeting, func() (struct{}, string, error) {
		defer l.greeting(ctx)()
		w, err := newPOP3Wire(l, &c.refused)
		p.pop3Wire = w
		return struct{}{}, "", greetingFault(w, err)
	})
	if err != nil {
		return err
	}
	if p.recalled = p.hurry && p.memory.ready(); p.recalled {
		p.capas = p.memory.capas
	}
	if err := p.secureConnection(ctx); err != nil {
		return err
	}
	late := p.memory.late && p.memory.capas.equal(p.capas)
	p.ahead = p.hurry && p.capas.has("PIPELINING") && !late
	_, err = timed(l, account.StepLogin, func() (struct{}, string, error) {
		defer l.within(ctx, pop3Patience)()
		return struct{}{}, "", p.signIn()
	})
	if err != nil {
		return err
	}
	l.signedIn()
	if p.ahead {
		return p.listen(ctx)
	}
	return nil
}

// greetingFault says what is wrong with a greeting. Nothing of it is shown
// that is not POP3's.
func greetingFault(w *pop3Wire, err error) error {
	var no *pop3Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &no):
		return popReply(no.text).judge(greeting, "greeting", account.Credential{})
	case fault.CodeOf(err) == fault.ProtocolError && w.imap:
		return &fault.Error{Code: fault.ProtocolError, Op: "greeting", Detail: "This port speaks IMAP, not POP3.", Err: err}
	case fault.CodeOf(err) == fault.ProtocolError:
		return &fault.Error{Code: fault.ProtocolError, Op: "greeting", Detail: "This port does not speak POP3.", Err: err}
	}
	return err
}

// secureConnection asks what the server can do, where that is not remembered,
// and, with starttls, begins TLS; what was said before it is forgotten.
func (p *pop3Login) secureConnection(ctx context.Context) error {
	done := p.within(ctx, pop3Patience)
	defer func() { done() }()
	if !p.recalled {
		if err := p.askCapas(); err != nil {
			return err
		}
	}
	if p.security != account.STARTTLS {
		return nil
	}
	unsupported := fault.New(fault.STARTTLSUnsupported, "securing the connection", "The server does not offer to encrypt the connection on this port (STLS).")
	if !p.recalled && p.capas != nil && !p.capas.has("STLS") {
		return unsupported
	}
	if _, err := p.ask(pop3Command{verb: popSTLS}); err != nil {
		var no *pop3Refusal
		if errors.As(err, &no) {
			return unsupported
		}
		return err
	}
	done()
	if err := p.upgrade(ctx); err != nil {
		done = func() {}
		return err
	}
	done = p.within(ctx, pop3Patience)
	if p.recalled {
		return nil
	}
	return p.askCapas()
}

func (p *pop3Login) askCapas() error {
	if err := p.send(pop3Command{verb: popCAPA}); err != nil {
		return err
	}
	return p.readCapas()
}

// readCapas reads the answer to CAPA.
func (p *pop3Login) readCapas() error {
	_, err := p.status()
	var no *pop3Refusal
	switch {
	case errors.As(err, &no):
		p.capas, p.told = nil, true // RFC 2449 is optional.
		return nil
	case err != nil:
		return err
	}
	capas := pop3Capas{}
	err = p.lines(func(line []byte, ok bool) (used bool, err error) {
		f := strings.Fields(strings.ToUpper(string(line)))
		if ok && len(f) > 0 && len(capas) < maxCapas {
			capas[f[0]] = f[1:]
		}
		return false, nil // A few lines: nothing that takes time.
	})
	if err == nil {
		p.capas, p.told = capas, true
	}
	return err
}

// plain says that AUTH PLAIN is the way to sign in by a password: where there is
// nothing else, or for letters that USER and PASS have no word on.
func (p *pop3Login) plain(capas pop3Capas) bool {
	return capas.sasl("PLAIN") && (!capas.has("USER") || !ascii(p.cred.Username+p.cred.Secret.Reveal()))
}

// signIn sends the credential, never in the clear unless the account's own
// security is none.
func (p *pop3Login) signIn() error {
	if p.security != account.None && !p.private() {
		return fault.New(fault.Internal, "signing in", "The connection is not encrypted.")
	}
	user, secret := p.cred.Username, p.cred.Secret.Reveal()
	if strings.ContainsAny(user+secret, "\r\n\x00") || user == "" || secret == "" {
		return fault.New(fault.AuthFailed, "signing in", "The user name or the password is empty or has a line break in it.")
	}
	p.attempt.presents()
	var err error
	switch {
	case p.cred.Auth == account.OAuth2:
		err = p.authenticate("XOAUTH2", "user="+user+"\x01auth=Bearer "+secret+"\x01\x01")
	case p.plain(p.capas):
		err = p.authenticate("PLAIN", "\x00"+user+"\x00"+secret)
	default:
		err = p.say(true, pop3Command{verb: popUSER, arg: user}, pop3Command{verb: popPASS, arg: secret, secret: true})
	}
	var no *pop3Refusal
	if !errors.As(err, &no) {
		return err
	}
	f := popReply(no.text).judge(signingIn, "signing in", p.cred)
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
// after the server's first challenge. A further challenge is the reason for a
// refusal (XOAUTH2), and is answered with nothing, so that the refusal follows;
// of what was sent ahead the first line has answered it already.
func (p *pop3Login) authenticate(mechanism, response string) error {
	initial := base64.StdEncoding.EncodeToString([]byte(response))
	c := pop3Command{verb: popAUTH, arg: mechanism}
	sent := len(c.line())+1+len(initial)+2 <= maxInitial
	if sent {
		c.arg, c.secret = mechanism+" "+initial, true
	}
	err := p.say(sent, c)
	if sent && p.ahead && errors.Is(err, errChallenge) && !p.reason {
		return errTooEarly // It wants what it was sent, and has a question in its place.
	}
	for range maxChallenges {
		if !errors.Is(err, errChallenge) {
			return err
		}
		switch {
		case !sent:
			sent = true
			err = p.answer(initial)
			if err == nil && p.ahead {
				err = p.send(visitQuestions...)
			}
		case !p.ahead:
			err = p.answer("")
		}
		if err != nil && !errors.Is(err, errChallenge) {
			return err
		}
		_, err = p.status()
	}
	if errors.Is(err, errChallenge) {
		return p.abort(fault.New(fault.ProtocolError, "signing in", "The server does not come to an end of signing in."))
	}
	return err
}
