package source

import (
	"errors"
	"strings"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

// login signs in and learns what the server can do. With pipelining, what the
// server supports by known and the present capabilities is asked along with it.
func (c *imapConn) login(cred remote.Credential, known imap.CapSet, pipelining bool, version string) error {
	if err := checkCredential(cred); err != nil {
		return err
	}
	c.cred = cred
	c.wire.SignsIn(cred)
	caps := c.client.Caps()
	if caps == nil {
		return c.failed("asking for capabilities", errors.New("the server did not list its capabilities"))
	}
	if known.Has(memoryShown) {
		c.way = memoryShown
	}
	proven := known.Has(memoryProved)
	if caps.Has(imap.CapListStatus) {
		known = caps
	}
	var afterLogin func()
	introduced := false
	if pipelining && known.Has(imap.CapListStatus) {
		afterLogin = func() {
			if introduced = caps.Has(imap.CapID); introduced {
				c.introduce(version)
			}
			c.pipelined = c.sendPipelined(known)
		}
	}
	if err := c.authenticate(caps, cred, proven, afterLogin); err != nil {
		said := c.wire.LastSaid()
		if refused := refusal(err); refused != nil {
			return wire.IMAPReply(refused).Judge(wire.SigningIn, "signing in", cred)
		} else if said.Kind == wire.BYE {
			err = said.Judge(wire.SigningIn, "signing in", cred)
		} else {
			err = c.failed("signing in", err)
		}
		if c.pipelined != nil {
			err = &lostPipelined{err}
		}
		return err
	}
	if errors.Is(c.link.Failure(), wire.ErrGaveUp) { // It said yes to what was never sent.
		return c.failed("signing in", errors.New("the login was answered before it was sent"))
	}
	c.link.SignedIn()
	if c.caps = c.client.Caps(); c.caps.Has(wire.CapUnknown) {
		told, err := c.client.Capability().Wait()
		switch {
		case refusal(err) != nil:
			told = caps // We are signed in: the folders will show whether there is mail to be read.
		case err != nil || told == nil:
			return c.failed("asking for capabilities", err)
		}
		c.caps = told
	}
	if !introduced && c.caps.Has(imap.CapID) {
		c.introduce(version)
	}
	return nil
}

// globalItem returns the item by which the server names a message over all
// folders, or "".
func globalItem(caps imap.CapSet) string {
	switch {
	case caps.Has("X-GM-EXT-1"):
		return wire.ItemGmailID
	case caps.Has("OBJECTID"):
		return wire.ItemEmailID
	}
	return ""
}

// authenticate chooses the way to sign in. afterLogin, unless it is nil, is called
// when a LOGIN in one line was sent, and before its answer is awaited. After an
// AUTHENTICATE nothing is pipelined: its answers may be challenges, by XOAUTH2 even
// to an error, and Cyrus 3.6 runs the command twice when more is there already.
//
// proven says that the account has signed in by SCRAM before. Where it has not, a
// refusal may be of SCRAM alone, and the password itself is tried once, under TLS.
func (c *imapConn) authenticate(caps imap.CapSet, cred remote.Credential, proven bool, afterLogin func()) error {
	offered := func(m string) bool { return caps.Has(imap.Cap("AUTH=" + m)) }
	switch {
	case cred.Auth == remote.OAuth2 && offered(wire.SASLXOAUTH2):
		return c.exchange(wire.SASLXOAUTH2, cred)
	case cred.Auth == remote.OAuth2:
		return fault.New(fault.AuthFailed, "signing in", words.Say("The server does not offer signing in by OAuth 2.0."))
	}
	encrypted := c.link.Encrypted()
	mechanism := wire.ProvingMechanism(offered, encrypted, c.way == memoryShown)
	if mechanism == "" {
		return c.show(caps, cred, afterLogin)
	}
	err := c.exchange(mechanism, cred)
	switch {
	case !wire.IsSCRAM(mechanism):
		return err
	case err == nil:
		c.way = memoryProved
		return nil
	case proven || !encrypted || !refusesPassword(err, cred) ||
		caps.Has(imap.CapLoginDisabled) && !offered(wire.SASLPlain):
		return err
	case !c.link.PresentsAgain():
		return err
	}
	if err = c.show(caps, cred, afterLogin); err == nil {
		c.way = memoryShown
	}
	return err
}

// refusesPassword reports whether a login was refused as one of a wrong password is.
func refusesPassword(err error, cred remote.Credential) bool {
	no := refusal(err)
	return no != nil && no.Type == imap.StatusResponseTypeNo && wire.IMAPReply(no).Judge(wire.SigningIn, "signing in",
		cred).Code == fault.AuthFailed
}

// show signs in with the password itself; as it is not for everybody's eyes,
// only where nothing better is offered.
func (c *imapConn) show(caps imap.CapSet, cred remote.Credential, afterLogin func()) error {
	offered := func(m string) bool { return caps.Has(imap.Cap("AUTH=" + m)) }
	disabled, secret := caps.Has(imap.CapLoginDisabled), cred.Secret.Reveal()
	switch {
	case afterLogin != nil && !disabled && wire.IsPlain(cred.Username+secret):
		c.link.Presents()
		signedIn := c.client.Login(cred.Username, secret)
		afterLogin()
		return signedIn.Wait()
	case offered(wire.SASLPlain) && (disabled || caps.Has(imap.CapSASLIR) || !wire.IsASCII(cred.Username+secret)):
		return c.exchange(wire.SASLPlain, cred)
	case !disabled:
		c.link.Presents()
		return c.client.Login(cred.Username, secret).Wait()
	case offered(wire.SASLLogin):
		return c.exchange(wire.SASLLogin, cred)
	case offered(wire.SASLCRAM):
		return c.exchange(wire.SASLCRAM, cred)
	case offered(wire.SASLXOAUTH2):
		return fault.New(fault.OAuthReauthorizationRequired, "signing in",
			words.Say("The server takes no passwords, only OAuth 2.0."))
	}
	var mechanisms []string
	for w := range caps {
		if m, ok := strings.CutPrefix(string(w), "AUTH="); ok {
			mechanisms = append(mechanisms, m)
		}
	}
	return wire.NoMechanism(mechanisms, c.link.Encrypted())
}

// exchange signs in by a mechanism of SASL.
func (c *imapConn) exchange(mechanism string, cred remote.Credential) error {
	s := c.link.SASL(mechanism, cred)
	if err := c.client.Authenticate(s); err != nil {
		return err
	}
	return s.Proved()
}

// introduceFirst tells the server who we are before the login, where its
// provider wants to know by then; what it answers is no matter.
func (c *imapConn) introduceFirst(o Options, who *wire.Signer) error {
	if o.IDFirst == nil || !o.IDFirst(who.Mailbox()) {
		return nil
	}
	if _, err := c.introduce(o.Version).Wait(); err != nil && refusal(err) == nil {
		return c.failed("introducing ourselves", err)
	}
	return nil
}

// introduce tells the server the program's name and version (RFC 2971), and nothing
// else. Nobody need wait for its answer.
func (c *imapConn) introduce(version string) *imapclient.IDCommand {
	return c.client.ID(&imap.IDData{Name: wire.Software, Version: version})
}

// checkCredential refuses what cannot be sent in one line.
func checkCredential(cred remote.Credential) error {
	secret := cred.Secret.Reveal()
	for _, s := range []string{cred.Username, secret} {
		if strings.ContainsAny(s, "\x00\r\n") || len(s) > maxCredentialLen {
			return fault.New(fault.AuthFailed, "signing in",
				words.Say("The user name or password is too long or holds a line break."))
		}
	}
	if cred.Username == "" || secret == "" {
		return fault.New(fault.AuthFailed, "signing in", words.Say("The user name or password is empty."))
	}
	return nil
}
