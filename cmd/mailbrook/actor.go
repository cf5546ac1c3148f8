package main

import (
	"context"
	"os"
	osuser "os/user"
	"strconv"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/store"
)

// atTheTerminal is a context in which whoever runs the command acts, at this
// machine.
func atTheTerminal(ctx context.Context) context.Context {
	machine, err := os.Hostname()
	if err != nil {
		machine = ""
	}
	return audit.By(ctx, audit.Actor{Role: audit.CLI, Name: operator(), Client: machine})
}

// operator is the machine's user who runs the command, as which the command acts.
func operator() string {
	if u, err := osuser.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid " + strconv.Itoa(os.Getuid())
}

// byItself is a context in which the program acts by its own rules.
func byItself(ctx context.Context) context.Context {
	return audit.By(ctx, audit.Actor{Role: audit.System})
}

// tests writes connection tests down, by whichever way they come about.
type tests struct{ acts store.Audit }

// Begun implements account.TestLog.
func (t tests) Begun(ctx context.Context, a account.Account) error {
	return t.acts.Record(ctx, store.AboutAccount(audit.AccountTested, a))
}

// Failed implements account.TestLog.
func (t tests) Failed(ctx context.Context, a account.Account, code fault.Code) error {
	e := store.AboutAccount(audit.AccountTestFailed, a)
	e.Details["diagnosis"] = string(code)
	return t.acts.Record(ctx, e)
}
