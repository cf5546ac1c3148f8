// Package wire is one bounded connection to an external mail server, and what may
// pass over it by IMAP and by POP3.
//
// # The model
//
// A [Connector] dials; what it returns is a [Link]: a connection whose every wait
// ends, whose every line and octet is counted, and whose first error stays. Above a
// link stands the protocol, [IMAP] or [POP3], and above that a library, which knows
// nothing of all this:
//
//	package source        go-imap/v2, go-pop3, and what is asked of them
//	IMAP, POP3            guard (what we send) and filter (what comes)
//	Link                  bounds, patience, TLS, transcript, the first error
//	package outbound      resolves, checks addresses, dials
//
// The guard reads everything that is about to be sent and passes on whole commands
// only, each by its own grammar. What is not on its list is not sent, and after the
// first refusal nothing at all: a library that goes mad ends its connection and
// changes nothing. [Connector.Refused] counts; anything but 0 is a defect of ours.
//
// The filter (IMAP) reads every answer within limits and writes it again in the
// plainest form, or leaves it out, with what it is about: no flag, folder name,
// nesting or answer of a server reaches a part of the library that cannot take it.
// Bodies pass untouched, and never shorter or longer than they were announced: at an
// early end the rest is filled up, and [IMAP.Padded] says so. By POP3 the library
// is given status lines alone; lists and bodies are read here ([POP3.Lines],
// [POP3.Body]), as it takes LF "." LF for the end of a message.
//
// Folder names travel between filter, library and guard as aliases, plain ASCII for
// whatever octets the server uses: [AliasOf], [FromAlias]. [ReadableName] makes of
// such octets what people read.
//
// To a destination mail is delivered over a [Writer]: its guard knows the commands that put
// mail there, and no command that changes or takes away what is there. Nothing that reads can be
// given one.
//
// # Time
//
// [Patience] is granted by the command, by the connection and by the session, and is
// earned again by what was asked for and comes. Silence, drops of an octet a second
// and words that nobody asked for all use it up: see docs/decisions/0021-progress.md.
//
// # What a server says
//
// A refusal of either protocol, in whatever [Phase], becomes a [Reply], and
// [Reply.Judge] makes of it a *fault.Error by one table of response codes and words
// in several languages. Secrets are cut out of whatever is quoted.
//
// # Signing in
//
// Each connection that will sign in is admitted by a [Gate] before anything is
// dialled, and once more when it is known how the login ended. [Link.SASL] makes mechanisms.
//
// The package reads no mail and knows nothing of accounts' journals, folders to be
// fetched or schedules. It logs no secret and no mail. What a session asks, in which
// order, and what is believed of the answers is package source's.
package wire
