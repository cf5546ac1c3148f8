package imapbox

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// seen is what the server said last of what a mailbox holds and may hold.
type seen struct {
	at      time.Time // When; zero: never.
	used    use       // As far as its quota counts; what that does not is folders' sum, where that is known.
	most    owner.Limit
	counted counts         // By its quota.
	folders map[string]use // By the server's names; nil: nobody asked for it.

	hierarchy hierarchy // Of those names.
}

// roomierThan reports whether there is more room than there was.
func (s seen) roomierThan(was seen) bool {
	wider := func(is, was *int64) bool { return was != nil && (is == nil || *is > *was) }
	return s.counted.bytes && was.counted.bytes && s.used.bytes < was.used.bytes ||
		s.counted.messages && was.counted.messages && s.used.messages < was.used.messages ||
		wider(s.most.Bytes, was.most.Bytes) || wider(s.most.Messages, was.most.Messages)
}

// measure asks the server what a mailbox holds, and also what its folders do where further says so
// or its quota counts something not at all.
func (s *Store) measure(c *conn, b *box, further func(seen) bool) error {
	now := seen{at: s.o.Now(), hierarchy: c.hierarchy}
	if c.caps["QUOTA"] { // Without, nothing is limited.
		if err := s.askQuota(c, b, &now); err != nil {
			return err
		}
	}
	var err error
	if further(now) {
		if now.folders, err = c.sizes(b.sized); err != nil {
			return err
		}
		var sum use
		for _, u := range now.folders {
			sum = sum.plus(u)
		}
		if !now.counted.bytes {
			now.used.bytes = sum.bytes
		}
		if !now.counted.messages {
			now.used.messages = sum.messages
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen, b.measured, b.gone = now, true, nil
	return nil
}

// askQuota asks for the quota of the inbox, and with it where the inbox stands, as a visit wants to know
// both.
func (s *Store) askQuota(c *conn, b *box, now *seen) error {
	inbox, err := c.Send(askInbox)
	if err != nil {
		return err
	}
	root, err := c.Send(`GETQUOTAROOT "INBOX"`)
	if err != nil {
		return err
	}
	_, err = s.awaitInbox(c, b, inbox)
	if no := (*wire.Refused)(nil); err != nil && !refusedAs(err, &no) {
		return err
	}
	now.used, now.most, now.counted, err = c.awaitQuota(root)
	return err
}

// look returns what is known of a user's mailbox, and asks the server where that is older than a minute.
// whole says that the folders are wanted.
func (s *Store) look(ctx context.Context, o owner.Owner, whole bool) (seen, error) {
	if err := ctx.Err(); err != nil {
		return seen{}, err
	}
	b := s.take(o)
	defer s.give(b)
	lacks := func(x seen) bool { return whole || !x.counted.bytes || !x.counted.messages }
	b.mu.Lock()
	is, gone, goneAt := b.seen.copied(), b.gone, b.goneAt
	b.mu.Unlock()
	switch {
	case gone != nil && s.o.Now().Sub(goneAt) < fresh:
		return seen{}, gone
	case !is.at.IsZero() && s.o.Now().Sub(is.at) < fresh && (is.folders != nil || !lacks(is)):
		return is, nil
	}
	err := s.use(ctx, "measuring the mailbox", o, b, func(c *conn) error { return s.measure(c, b, lacks) })
	b.mu.Lock()
	defer b.mu.Unlock()
	if errors.Is(err, owner.ErrNoMailbox) {
		b.gone, b.goneAt = err, s.o.Now()
	}
	return b.seen.copied(), err
}

// copied returns what nobody else writes to.
func (s seen) copied() seen {
	if s.folders != nil {
		folders := make(map[string]use, len(s.folders))
		for name, u := range s.folders {
			folders[name] = u
		}
		s.folders = folders
	}
	return s
}

// Usage returns what the user's mailbox holds, all folders together, as the server's quota counts and
// else by what its folders hold. It may be a minute old. For a user whom the
// server does not know the error is owner.ErrNoMailbox.
func (s *Store) Usage(ctx context.Context, o owner.Owner) (bytes, messages int64, err error) {
	is, err := s.look(ctx, o, false)
	return is.used.bytes, is.used.messages, err
}

// Shares returns what Usage does and, of it, what lies in each of these folders and
// below; what lies in one below another is the lower one's. They never add up to
// more than all.
func (s *Store) Shares(ctx context.Context, o owner.Owner, folders []string) (
	all owner.Use, of []owner.Use, err error,
) {
	of = make([]owner.Use, len(folders))
	is, err := s.look(ctx, o, len(folders) > 0)
	if err != nil {
		return all, of, err
	}
	all = is.used.shown()
	var sum owner.Use
	for name, u := range is.folders {
		if at := s.shareOf(is.hierarchy, name, folders); at >= 0 {
			of[at].Bytes, of[at].Messages = of[at].Bytes+u.bytes, of[at].Messages+u.messages
			sum.Bytes, sum.Messages = sum.Bytes+u.bytes, sum.Messages+u.messages
		}
	}
	// A quota may count otherwise, or lag behind.
	all.Bytes, all.Messages = max(all.Bytes, sum.Bytes), max(all.Messages, sum.Messages)
	return all, of, nil
}

// shareOf is in which of the folders, or below which, a folder of the server is: the lowest; -1: none.
func (s *Store) shareOf(h hierarchy, name string, folders []string) int {
	found, length := -1, 0
	for i, folder := range folders {
		top := h.name(s.o.Root, folder)
		if (name == top || strings.HasPrefix(name, top+h.between())) && len(top) > length {
			found, length = i, len(top)
		}
	}
	return found
}

// OwnLimit returns the limits that the server has for the user's mailbox. It may be a minute old. A user
// without a mailbox has none.
func (s *Store) OwnLimit(ctx context.Context, o owner.Owner, _ owner.Limit) (owner.Limit, error) {
	is, err := s.look(ctx, o, false)
	if errors.Is(err, owner.ErrNoMailbox) {
		return owner.Limit{}, nil
	}
	return is.most, err
}

// Exists reports whether the server lets us into the user's mailbox. It may be a minute old.
func (s *Store) Exists(ctx context.Context, o owner.Owner) (bool, error) {
	_, err := s.look(ctx, o, false)
	if errors.Is(err, owner.ErrNoMailbox) {
		return false, nil
	}
	return err == nil, err
}

// Make makes no mailbox: the server does, or whoever administers it. It reports whether one is there.
func (s *Store) Make(ctx context.Context, o owner.Owner) error {
	b := s.take(o)
	defer s.give(b)
	return s.use(ctx, "opening the mailbox", o, b, func(*conn) error { return nil })
}
