// Package transfer is a copy of a whole mailbox: from a mailbox at one server into a mailbox at another, or into the
// owner's own, every message once. It is what a person asks for, plans, watches, pauses and reads the report of.
//
// A copy has a route, as an account has; the engine (package fetch) carries its mail, the schedule leases it, and the
// journal remembers each message. What is here are its settings and their rules, its states, its plan, how its folders
// are named at the target, how it is verified, and the report. The package performs no I/O: what it needs it declares
// as interfaces. It knows nothing of SQL, HTTP or mail protocols. See docs/decisions/0056-copies.md.
package transfer
