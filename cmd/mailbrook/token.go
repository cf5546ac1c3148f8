package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mailbrook/mailbrook/internal/vault"
)

type tokenCmd struct {
	User  string        `help:"Whose token it is: a mailbox address of this provider." required:""`
	Admin bool          `help:"With the scope of an administrator."`
	TTL   time.Duration `name:"ttl" help:"How long it is valid." default:"1h"`
}

func (c tokenCmd) Run(_ context.Context, t terminal, load loader) error {
	owner, err := parseUser(c.User)
	if err != nil {
		return err
	}
	if c.TTL <= 0 {
		return usageError{errors.New("--ttl must be longer than nothing")}
	}
	cfg, err := load()
	if err != nil {
		return err
	}
	v, err := vault.Open(cfg.DataDir)
	if err != nil {
		return err
	}
	token, err := signingKeys(cfg, v).Sign(owner, c.Admin, c.TTL)
	if err != nil {
		return usageError{err}
	}
	fmt.Fprintln(t.out, token)
	return nil
}
