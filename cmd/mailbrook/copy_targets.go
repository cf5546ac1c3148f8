package main

import (
	"context"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/imapbox"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/route"
)

// targetBoxes is the mailbox at a server that a route names. What is known of it lasts as long as the lease: a route
// has one writer, and after a crash the server is asked.
func (a *app) targetBoxes(r route.Route) *imapbox.Store {
	return imapbox.New(imapbox.Options{
		Connector: a.targets, Server: r.To.Server, Key: a.vault.TokenKey(), Connections: 1, TempDir: a.cfg.DataDir,
		Now: a.store.Now, Log: a.log,
		Login: func(ctx context.Context, _ owner.Owner) (imapbox.Login, error) {
			c, err := a.credentials().Credential(ctx, r.To)
			return imapbox.Login{Credential: c, Own: true}, err
		},
	})
}

// openTarget opens it for delivering.
func (a *app) openTarget(ctx context.Context, r route.Route, epoch int64) (fetch.Delivery, error) {
	boxes := a.targetBoxes(r)
	a.copying.noteTarget(r.ID, boxes)
	d, err := boxes.Open(ctx, r.Owner, r.Journal, epoch, owner.Limit{})
	if err != nil {
		return nil, err
	}
	return d, nil
}
