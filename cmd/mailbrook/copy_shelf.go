package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/imapbox"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// imapShelf is a mailbox at a server that was copied into, read by EXAMINE and PEEK.
type imapShelf struct {
	reader *imapbox.Reader
	dir    string // For long listings.
}

var _ transfer.Shelf = imapShelf{}

// Name implements transfer.Shelf.
func (s imapShelf) Name(ctx context.Context, folder string) (string, error) {
	return s.reader.Name(ctx, folder)
}

// Folders implements transfer.Shelf.
func (s imapShelf) Folders(ctx context.Context) ([]string, error) { return s.reader.Folders(ctx) }

// Look implements transfer.Shelf.
func (s imapShelf) Look(ctx context.Context, name string) (transfer.Listed, error) {
	l := newListing(s.dir)
	validity, there, err := s.reader.Look(ctx, name, func(uid uint32, size, received int64) error {
		return l.add(transfer.Lying{At: uint64(uid), Received: received, Size: size})
	})
	if err != nil || !there {
		_ = l.Close()
		return nil, err
	}
	l.validity = validity
	return l, nil
}

// Read implements transfer.Shelf.
func (s imapShelf) Read(ctx context.Context, name string, validity uint32, at []uint64,
	take func(at uint64, p mail.Fingerprint),
) error {
	uids := make([]uint32, len(at))
	for i, x := range at {
		uids[i] = uint32(x)
	}
	return s.reader.Read(ctx, name, validity, uids, func(uid uint32, p mail.Fingerprint) { take(uint64(uid), p) })
}

// Close ends it.
func (s imapShelf) Close() error { return s.reader.Close() }

// fileShelf is a Maildir that was copied into. Messages in it have names of their own, wherever they are moved to: a
// message's place is made of its token.
type fileShelf struct {
	delivery fetch.Delivery
	dir      string
	names    map[uint64]mail.Found // Of the folder that was listed last, at most mostNames.
}

var _ transfer.Shelf = (*fileShelf)(nil)

const (
	// maildirValidity stands where servers have UIDVALIDITY: a token means the same for ever.
	maildirValidity = 1
	// mostNames is of how many messages the files' names are kept in memory, so that they need not be looked for again.
	mostNames = 50_000
)

// placeOf is where a message of this token lies.
func placeOf(t mail.Token) uint64 {
	sum := sha256.Sum256([]byte(t))
	return max(1, binary.BigEndian.Uint64(sum[:8])>>1)
}

// Name implements transfer.Shelf.
func (s *fileShelf) Name(_ context.Context, folder string) (string, error) {
	return maildir.DirName(folder), nil
}

// Folders implements transfer.Shelf. What has been moved has its token: it need not be searched for.
func (s *fileShelf) Folders(context.Context) ([]string, error) { return nil, nil }

// each goes through the messages of a directory, of which some may come twice.
func (s *fileShelf) each(ctx context.Context, name string, each func(at uint64, f mail.Found)) error {
	return s.delivery.Tokens(ctx, func(t mail.Token, f mail.Found) {
		if dir, _, _ := strings.Cut(f.Where, "/"); dir == name {
			each(placeOf(t), f)
		}
	})
}

// Look implements transfer.Shelf.
func (s *fileShelf) Look(ctx context.Context, name string) (transfer.Listed, error) {
	l := newListing(s.dir)
	l.validity = maildirValidity
	s.names = map[uint64]mail.Found{}
	var failed error
	err := s.each(ctx, name, func(at uint64, f mail.Found) {
		if failed == nil {
			failed = l.add(transfer.Lying{At: at, Received: f.Received, Size: f.VirtualSize})
		}
		if len(s.names) < mostNames {
			s.names[at] = f
		}
	})
	if err = errors.Join(err, failed); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// Read implements transfer.Shelf. A file that has another name by now is looked for once more.
func (s *fileShelf) Read(ctx context.Context, name string, _ uint32, at []uint64,
	take func(at uint64, p mail.Fingerprint),
) error {
	left := map[uint64]bool{}
	for _, x := range at {
		if f, known := s.names[x]; !known || !s.read(ctx, x, f, take) {
			left[x] = true
		}
	}
	if len(left) == 0 {
		return ctx.Err()
	}
	now := map[uint64]mail.Found{}
	err := s.each(ctx, name, func(x uint64, f mail.Found) {
		if left[x] {
			now[x] = f
		}
	})
	for _, x := range at {
		if f, there := now[x]; there && err == nil && !s.read(ctx, x, f, take) {
			_, err = s.delivery.Fingerprint(ctx, f)
		}
	}
	return err
}

func (s *fileShelf) read(ctx context.Context, at uint64, f mail.Found, take func(uint64, mail.Fingerprint)) bool {
	p, err := s.delivery.Fingerprint(ctx, f)
	if err == nil {
		take(at, p)
	}
	return err == nil
}

// Close ends it.
func (s *fileShelf) Close() error { return s.delivery.Close() }

// tokened is a journal whose messages are known at the target by their tokens.
type tokened struct {
	transfer.Ledger
	token func(folder int64, s transfer.Sought) mail.Token
}

// Next implements transfer.Ledger.
func (t tokened) Next(ctx context.Context) (transfer.SoughtFolder, bool, error) {
	f, more, err := t.Ledger.Next(ctx)
	f.Told = f.Messages
	return f, more, err
}

// Page implements transfer.Ledger.
func (t tokened) Page(ctx context.Context, folder, from int64, n int) ([]transfer.Sought, error) {
	page, err := t.Ledger.Page(ctx, folder, from, n)
	for i := range page {
		page[i].At, page[i].Validity = placeOf(t.token(folder, page[i])), maildirValidity
	}
	return page, err
}

// Note implements transfer.Ledger.
func (t tokened) Note(ctx context.Context, folder int64, found []transfer.Verdict) error {
	for i := range found { // A token is no UID that anybody could be shown.
		found[i].At, found[i].Validity = 0, 0
	}
	return t.Ledger.Note(ctx, folder, found)
}
