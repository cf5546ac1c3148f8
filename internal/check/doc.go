// Package check compares what is remembered with what is there: journals, spools
// and mailboxes, and tells of any message what became of it. It changes nothing.
package check
