package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/vault"
)

type tokenCmd struct {
	User  string        `help:"Whose token it is: a mailbox address of this provider." required:""`
	Admin bool          `help:"With the scope of an administrator."`
	TTL   time.Duration `name:"ttl" help:"How long it is valid." default:"1h"`
	// UserID may be left out: the token is for whoever has the address then.
	UserID string `name:"user-id" help:"The user's id (auth.user_id_claim); else it is for whoever has the address."`
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
	id, err := c.userID(cfg)
	if err != nil {
		return err
	}
	var v *vault.Vault
	if cfg.Auth.Secret.Reveal() == "" {
		v, err = vault.Load(cfg.DataDir)
	}
	if errors.Is(err, vault.ErrNoKey) {
		return cfg.nothingThere()
	}
	if err != nil {
		return err
	}
	token, err := signingKeys(cfg, v).SignAs(owner, id, c.Admin, c.TTL)
	if err != nil {
		return usageError{err}
	}
	fmt.Fprintln(t.out, token)
	return nil
}

// userID is what the token says in the claim that tells users of one address apart;
// "" where there is none. Without --user-id it vouches for whoever has the address.
func (c tokenCmd) userID(cfg config) (string, error) {
	switch {
	case cfg.Auth.UserIDClaim != "":
		return cmp.Or(c.UserID, owner.AnyUser), nil
	case c.UserID != "":
		return "", usageError{errors.New("--user-id: auth.user_id_claim names no claim for it")}
	}
	return "", nil
}
