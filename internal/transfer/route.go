package transfer

import (
	"github.com/mailbrook/mailbrook/internal/route"
)

// Route is the way of a copy's mail. They have one id.
func (c Copy) Route() route.Route {
	most := c.Options.MaxBytes
	if most == 0 || most > route.MostMessageBytes {
		most = route.MostMessageBytes
	}
	return route.Route{
		ID: c.ID, Kind: route.Once, Owner: c.Owner, From: c.Source, To: c.Target, Folders: c.Options.Folders,
		Names: c.Options.Names, Start: route.StartAll, MaxMessageBytes: most, CreatedAt: c.CreatedAt, Journal: c.Journal,
		Dates:       route.Dates{From: c.Options.Since, Before: c.Options.Before},
		OldestFirst: c.Options.Order != NewestFirst,
	}
}
