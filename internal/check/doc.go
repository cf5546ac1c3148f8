// Package check compares what is remembered with what is there: journals, spools
// and mailboxes, and explains what became of any one message. It changes nothing.
package check
