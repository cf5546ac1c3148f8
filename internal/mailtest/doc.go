// Package mailtest is what tests of mail need: real servers that they start
// and stop themselves (Dovecot, Cyrus), scripted servers that say exactly
// what a dialogue file says, a proxy that cuts and stalls, a corpus of awkward
// messages with an oracle of how each must arrive, and independent readers of
// remote and local mailboxes.
//
// It shares no code with the packages it tests: it reads IMAP, Maildir++ and
// modified UTF-7 in its own ways, so that a mistake there is not made twice.
//
// A part that is missing on the machine fails the test and says what to
// install; nothing is skipped. Everything listens on loopback and free ports,
// lives in a temporary directory, is stopped by its own process id, and is
// waited for.
package mailtest
