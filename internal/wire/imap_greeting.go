package wire

import (
	"bytes"
	"context"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	maxGreeting  = 64 << 10 // Octets of the greeting's line.
	maxPlaintext = 100      // Lines read before TLS for one answer.
)

// greetIMAP reads the greeting and returns the capabilities in it, if any, and
// its words.
func greetIMAP(ctx context.Context, l *Link) (caps, said string, err error) {
	done := l.WithinGreeting(ctx)
	line, err := l.ReadLine(maxGreeting)
	done()
	if err != nil {
		return "", "", err
	}
	l.note("S", string(line[:min(len(line), 400)]))
	line = bytes.TrimRight(line, "\r\n")
	if rest, ok := bytes.CutPrefix(line, []byte("* ")); ok {
		word, rest, _ := bytes.Cut(rest, []byte(" "))
		code, args, text := responseText(rest)
		text = l.secrets.Redact(text)
		switch {
		case is(word, "OK") && code == "CAPABILITY":
			return string(args), text, nil
		case is(word, "OK"):
			return "", text, nil
		case is(word, "BYE"):
			bye := Reply{Kind: BYE, Code: code, Args: string(args), Text: text}
			return "", "", l.Abort(bye.Judge(Greeting, "reading the greeting", remote.Credential{}))
		case is(word, "PREAUTH"):
			return "", "", l.Abort(fault.New(fault.ProtocolError, "reading the greeting",
				words.Say("The server claims that we are signed in already, which nobody asked of it.")))
		}
	}
	detail := words.Say("What answers on this port is not an IMAP server.")
	if bytes.HasPrefix(line, []byte("+OK")) || bytes.HasPrefix(line, []byte("-ERR")) {
		detail = words.Say("This port speaks POP3, not IMAP: choose POP3, or IMAP's own port.")
	}
	return "", "", l.Abort(fault.New(fault.ProtocolError, "reading the greeting", detail))
}

// startTLS encrypts the connection, or fails: there is no other way on.
func startTLS(ctx context.Context, l *Link, caps string) error {
	err := func() error {
		if caps == "" {
			told, err := plainCommand(l, "p1", verbCapability)
			if err != nil {
				return err
			}
			caps = told
		}
		offered := false
		for word := range strings.FieldsSeq(caps) {
			offered = offered || strings.EqualFold(word, verbSTARTTLS)
		}
		if !offered {
			return fault.New(fault.STARTTLSUnsupported, "securing the connection",
				words.Say("The server does not offer STARTTLS."))
		}
		_, err := plainCommand(l, "p2", verbSTARTTLS)
		return err
	}()
	if err != nil {
		if l.observe != nil {
			l.observe(remote.Step{Name: remote.StepTLS, Detail: fault.Of(err).Detail})
		}
		return l.Abort(err)
	}
	return l.Upgrade(ctx)
}

// plainCommand sends a command before TLS and reads to its completion. Of
// everything that is said meanwhile only capabilities are looked at.
func plainCommand(l *Link, tag, verb string) (caps string, err error) {
	queue := &imapQueue{}
	guard := &imapGuard{w: l, allowed: l.limits.Allow.imap, queue: queue, refused: l.refused}
	if l.transcript != nil {
		guard.log = l.note
	}
	if _, err := guard.Write([]byte(tag + " " + verb + "\r\n")); err != nil {
		return "", err
	}
	for range maxPlaintext {
		line, err := l.ReadLine(maxGreeting)
		if err != nil {
			return "", err
		}
		l.note("S", string(line[:min(len(line), 400)]))
		who, rest, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
		word, rest, _ := bytes.Cut(rest, []byte(" "))
		code, args, text := responseText(rest)
		text = l.secrets.Redact(text)
		switch {
		case string(who) == "*" && is(word, verbCapability):
			caps = string(rest)
		case string(who) == "*" && is(word, BYE):
			said := Reply{Kind: BYE, Code: code, Args: string(args), Text: text}
			return "", said.Judge(Greeting, "securing the connection", remote.Credential{})
		case string(who) == "*":
		case string(who) == tag && is(word, "OK"):
			if code == verbCapability && caps == "" {
				caps = string(args)
			}
			_, err := queue.finish(tag)
			return caps, err
		case string(who) == tag && (is(word, "NO") || is(word, "BAD")):
			return "", fault.New(fault.STARTTLSUnsupported, "securing the connection",
				words.Say("The server refuses %s.", verb), ServerSays(text, remote.Credential{}))
		default:
			return "", fault.New(fault.ProtocolError, "securing the connection",
				words.Say("The server's answer to %s is no IMAP.", verb))
		}
	}
	return "", fault.New(fault.ProtocolError, "securing the connection",
		words.Say("The server kept sending other lines and never answered."))
}

// Welcome reads an IMAP server's greeting and, by STARTTLS, secures the connection.
// It returns the capabilities in the greeting, and its words, if they count.
func Welcome(ctx context.Context, l *Link) (caps, said string, err error) {
	caps, err = Timed(l.observe, remote.StepGreeting, func() (caps string, detail words.Detail, err error) {
		caps, said, err = greetIMAP(ctx, l)
		return caps, nil, err
	})
	if err != nil {
		return "", "", err
	}
	if l.server.Security == remote.STARTTLS {
		if err := startTLS(ctx, l, caps); err != nil {
			return "", "", err
		}
		caps, said = "", "" // What was said before counts for nothing.
	}
	if l.server.Security != remote.None && !l.Encrypted() {
		return "", "", l.Abort(fault.New(fault.Internal, "signing in", words.Say("The connection is not encrypted.")))
	}
	return caps, said, nil
}

// AskCapabilities asks what the server can do before anybody has signed in.
func AskCapabilities(l *Link) (caps string, err error) { return plainCommand(l, "p3", verbCapability) }
