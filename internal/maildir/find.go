package maildir

import (
	"context"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// Find tells, after a crash, what became of messages that were staged and not
// confirmed. In the spool and not delivered is the same, as is gone from it and
// delivered, whatever the user did with it since: nothing is searched for.
//
// There are two exceptions. Without noted, no rename of the last batch was begun, so that
// what is gone was taken away with the spool. In a copy of a mailbox (restored, or put in
// the place of another), what is gone may have come into the other one, and what is there
// may be cut short. In both cases what lies in the mailbox is delivered and the rest is Lost:
// that may bring back what the user has deleted since. A copy stays one until NoteSpool.
//
// What Find calls Delivered is durable.
func (d *Delivery) Find(ctx context.Context, ps []mail.Placement, noted bool) ([]mail.Fate, error) {
	const op = "finding out what was delivered"
	for _, p := range ps {
		if err := checkPlacement(op, p); err != nil {
			return nil, err
		}
	}
	copied, err := d.Copied(ctx)
	if err != nil {
		return nil, err
	}
	if copied {
		d.store.log.WarnContext(ctx, "the mailbox is not the one it was: was it restored or moved?",
			"mailbox", d.root.Path, "under_way", len(ps))
	}
	if len(ps) == 0 {
		return nil, nil
	}
	here := map[mail.Token]bool{}
	if copied || !noted {
		if here, err = d.search(ctx, ps); err != nil {
			return nil, err
		}
	}
	fates, keep := make([]mail.Fate, len(ps)), map[string]bool{}
	var delivered []mail.Placement
	for i, p := range ps {
		in, err := d.inSpool(ctx, p, copied)
		if err != nil {
			return nil, err
		}
		switch {
		case copied && here[p.Token]: // Whether the copy of its spool has it, too, or not.
			fates[i] = mail.Delivered
		case in:
			fates[i], keep[p.Spool] = mail.Pending, true
		case here[p.Token], noted && !copied:
			fates[i] = mail.Delivered
		default:
			fates[i] = mail.Lost
		}
		if fates[i] == mail.Delivered {
			delivered = append(delivered, p)
		}
	}
	if copied {
		// Nothing that is delivered or cut short is left to be published.
		if err := d.Sweep(ctx, keep); err != nil {
			return nil, err
		}
	}
	if len(delivered) > 0 {
		// The rename may not be durable yet, nor counted in the quota file.
		_, err = d.Publish(ctx, delivered)
	}
	return fates, err
}

// Placed returns nothing: a message is found by its token.
func (d *Delivery) Placed() []mail.Placed { return nil }

// search looks through the whole mailbox for messages, wherever their user put them.
func (d *Delivery) search(ctx context.Context, ps []mail.Placement) (map[mail.Token]bool, error) {
	d.store.step("find.search")
	here := make(map[mail.Token]bool, len(ps))
	for _, p := range ps {
		here[p.Token] = false
	}
	err := d.Tokens(ctx, func(t mail.Token, _ mail.Found) {
		if _, wanted := here[t]; wanted {
			here[t] = true
		}
	})
	return here, err
}

// inSpool reports whether a message's spool file is there, and whole if it is a copy.
func (d *Delivery) inSpool(ctx context.Context, p mail.Placement, copied bool) (bool, error) {
	if copied {
		return d.Intact(ctx, p)
	}
	return d.Has(p.Spool)
}
