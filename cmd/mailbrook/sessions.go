package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/words"
)

type sessionsCmd struct {
	End sessionsEndCmd `cmd:"" help:"Sign browsers out, in all processes at once."`
}

type sessionsEndCmd struct {
	User string `help:"Only this user's."`
	All  bool   `help:"Everybody's."`
}

// Run ends sessions of the web pages, and takes back the links that were not
// followed yet.
func (c sessionsEndCmd) Run(ctx context.Context, t terminal, load loader) error {
	var owner owner.Owner // Zero: everybody.
	if (c.User == "") != c.All {
		return usageError{errors.New("say either --user or --all")}
	}
	if !c.All {
		var err error
		if owner, err = parseUser(c.User); err != nil {
			return err
		}
	}
	return quietly(ctx, t, load, func(a *app) error {
		n, err := a.store.Sessions().EndAll(ctx, owner)
		if err != nil {
			return err
		}
		fmt.Fprintf(t.out, "ended %s\n", words.Count(n, "session"))
		return nil
	})
}
