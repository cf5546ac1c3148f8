// Package fetch is the engine: one visit to one external account, from the
// lease to the last committed batch, and the rules of the journal by which
// every message is delivered exactly once.
//
// It declares what it needs (Source, Mailbox, Journal, Credentials) and
// imports neither end: it knows nothing of IMAP, POP3, Maildir or SQL.
package fetch
