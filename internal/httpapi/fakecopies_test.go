package httpapi_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	annasCopy = "0c7f4f7a-3c1e-4b53-9a67-5d1f0b8a2e90"
	bobsCopy  = "1d8e5e8b-4d2f-4c64-8b78-6e2f1c9b3fa1"
	copyCode  = "K7QM-3XWP-9TBD-HZ4F"
)

// copies are what a world knows of copies.
type copies struct {
	all      []transfer.Copy
	drafts   []transfer.Draft
	patches  []transfer.Patch
	filter   transfer.Filter // Of the last list.
	whose    owner.Owner     // Of the last list of an administrator.
	messages []transfer.Message
	lost     error // With what reading the messages ends.
	plan     transfer.Plan
}

func newCopies(t testing.TB, now time.Time) copies {
	of := func(o, id string) transfer.Copy {
		c := transfer.Copy{
			ID: transfer.ID(id), Owner: anOwner(t, o),
			Source: remote.Mailbox{
				Email: "old@gmail.com", Provider: "google", Protocol: remote.IMAP,
				Server:   remote.Server{Host: "imap.gmail.com", Port: 993, Security: remote.TLS},
				Username: "old@gmail.com", Auth: remote.Password,
			},
			Options: transfer.Options{
				Existing: transfer.ExistingIgnore, Labels: transfer.LabelsFirst, Order: transfer.OldestFirst,
				Verify: transfer.VerifySample, Language: "pl", Folders: route.FolderRules{Exclude: []string{`\Junk`}},
			},
			CreatedAt: now, StartedAt: now, Edits: 3,
		}
		c.Status = transfer.Status{
			State: transfer.Running, Phase: transfer.Copying,
			Progress: transfer.Progress{
				Folder: "Versendet", Progress: route.Progress{MessagesDone: 10, MessagesTotal: 40, BytesDone: 1000},
				Left: 90 * time.Second,
			},
			Totals: transfer.Totals{Folders: 2, Messages: 10, Bytes: 1000, Skipped: 1},
		}
		return c
	}
	return copies{
		all: []transfer.Copy{of(anna, annasCopy), of(bartek, bobsCopy)},
		messages: []transfer.Message{
			{
				Folder: "Versendet", Target: "Sent", ID: mail.ID{UID: 7}, TargetUID: 12, Size: 2048, Received: now,
				Digest: [32]byte{0xab}, State: transfer.MessageCopied,
			},
			{
				Folder: "=1+1", Target: "-x", ID: mail.ID{UIDL: "@a\tb"}, Size: 70 << 20, State: transfer.MessageSkipped,
				Diagnosis: &account.Diagnosis{Code: fault.MessageFailed, Detail: words.Plain(`NO "too", large`)},
				About:     mail.Envelope{Sender: "\tAnna", Subject: "=HYPERLINK(\"x\")\r\nBcc: y", Date: now},
			},
		},
		plan: transfer.Plan{
			Folders: []transfer.PlannedFolder{
				{FolderState: transfer.FolderState{Source: "INBOX", Target: "INBOX", Selected: true}, Exists: true},
				{FolderState: transfer.FolderState{
					Source: "Versendet", Target: "Sent", SpecialUse: `\Sent`, Selected: true, Messages: 4,
					Renamed: transfer.RenamedBySpecialUse,
				}},
			},
			Messages: 4, Limit: 25 << 20, LimitSource: transfer.LimitByCapability, TooLargeCount: 1,
			TooLarge: []transfer.TooLarge{{Folder: "INBOX", Size: 70 << 20, Received: now}},
			Clashes:  []transfer.Clash{{Folders: []string{"a", "A"}, Target: "a"}}, Writable: true, Days: 2,
			Room: transfer.Room{Known: true, Fits: true, Used: owner.Use{Bytes: 5}},
		},
	}
}

// copier is a transfer.Service of a world's copies.
type copier struct{ *world }

var _ transfer.Service = copier{}

func (c copier) find(o owner.Owner, id transfer.ID, err error) (transfer.Copy, error) {
	for _, x := range c.copies.all {
		if x.Owner == o && x.ID == id {
			return x, err
		}
	}
	return transfer.Copy{}, transfer.ErrNotFound
}

func (c copier) Plan(_ context.Context, _ owner.Owner, d transfer.Draft) (transfer.Plan, error) {
	done, err := c.enter()
	defer done()
	c.copies.drafts = append(c.copies.drafts, d)
	return c.copies.plan, err
}

func (c copier) Start(_ context.Context, o owner.Owner, d transfer.Draft) (transfer.Copy, string, error) {
	done, err := c.enter()
	defer done()
	c.copies.drafts = append(c.copies.drafts, d)
	if err != nil {
		return transfer.Copy{}, "", err
	}
	c.did(o, "start")
	return c.copies.all[0], copyCode, nil
}

func (c copier) Copies(_ context.Context, o owner.Owner, f transfer.Filter) (transfer.Page, error) {
	done, err := c.enter()
	defer done()
	c.copies.filter = f
	var page transfer.Page
	for _, x := range c.copies.all {
		if x.Owner == o {
			page.Copies = append(page.Copies, x)
		}
	}
	page.Next = "abc"
	return page, err
}

func (c copier) Copy(_ context.Context, o owner.Owner, id transfer.ID) (transfer.Copy, error) {
	done, err := c.enter()
	defer done()
	if isOfActs(err) {
		err = nil
	}
	return c.find(o, id, err)
}

// isOfActs reports whether an error is one by which an act fails, and reading does not.
func isOfActs(err error) bool {
	return err != nil && !strings.Contains(err.Error(), inner)
}

func (c copier) Folders(_ context.Context, o owner.Owner, id transfer.ID) ([]transfer.FolderState, error) {
	done, err := c.enter()
	defer done()
	_, err = c.find(o, id, err)
	return []transfer.FolderState{
		{Source: "Versendet", Target: "Sent", SpecialUse: `\Sent`, Selected: true, Renamed: transfer.RenamedBySpecialUse},
	}, err
}

func (c copier) Messages(_ context.Context, o owner.Owner, id transfer.ID, state transfer.MessageState, limit int,
	cursor string,
) (transfer.MessagePage, error) {
	done, err := c.enter()
	defer done()
	_, err = c.find(o, id, err)
	c.did(o, fmt.Sprintf("messages %s %d %q", state, limit, cursor))
	return transfer.MessagePage{Messages: c.copies.messages, Total: 2, Next: "abc"}, err
}

func (c copier) EachMessage(_ context.Context, o owner.Owner, id transfer.ID, states []transfer.MessageState,
	yield func(transfer.Message) error,
) error {
	done, err := c.enter()
	if _, err = c.find(o, id, err); err != nil {
		done()
		return err
	}
	all, lost := slices.Clone(c.copies.messages), c.copies.lost
	done()
	for _, m := range all {
		if len(states) > 0 && !slices.Contains(states, m.State) {
			continue
		}
		if err := yield(m); err != nil {
			return err
		}
	}
	return lost
}

func (c copier) Report(_ context.Context, o owner.Owner, id transfer.ID) (transfer.Report, error) {
	done, err := c.enter()
	defer done()
	x, err := c.find(o, id, err)
	return transfer.Report{
		Copy: x, Grade: transfer.Good, VerifiedAt: c.now, How: transfer.VerifySample,
		Lists:    map[transfer.MessageState]int64{transfer.MessageCopied: 9, transfer.MessageSkipped: 1},
		Reasons:  []transfer.ReasonCount{{Code: transfer.WhyRefused, Messages: 1}},
		Keywords: []transfer.KeywordCount{{Keyword: "$Forwarded", Messages: 2}}, Duration: 90 * time.Second,
		NotIncluded: transfer.NotIncluded(),
	}, err
}

func (c copier) act(o owner.Owner, id transfer.ID, what string) (transfer.Copy, error) {
	done, err := c.enter()
	defer done()
	x, err := c.find(o, id, err)
	if err == nil {
		c.did(o, what+" "+string(id))
	}
	return x, err
}

func (c copier) Pause(_ context.Context, o owner.Owner, id transfer.ID) (transfer.Copy, error) {
	return c.act(o, id, "pause")
}

func (c copier) Resume(_ context.Context, o owner.Owner, id transfer.ID) (transfer.Copy, error) {
	return c.act(o, id, "resume")
}

func (c copier) Cancel(_ context.Context, o owner.Owner, id transfer.ID) (transfer.Copy, error) {
	return c.act(o, id, "cancel")
}

func (c copier) Sync(_ context.Context, o owner.Owner, id transfer.ID) (transfer.Copy, error) {
	return c.act(o, id, "sync")
}

func (c copier) Verify(_ context.Context, o owner.Owner, id transfer.ID, how transfer.Verify) (transfer.Copy, error) {
	return c.act(o, id, string("verify "+how))
}

func (c copier) Retry(_ context.Context, o owner.Owner, id transfer.ID) (transfer.Copy, error) {
	return c.act(o, id, "retry")
}

func (c copier) Update(_ context.Context, o owner.Owner, id transfer.ID, p transfer.Patch) (transfer.Copy, error) {
	done, err := c.enter()
	defer done()
	c.copies.patches = append(c.copies.patches, p)
	x, err := c.find(o, id, err)
	if err == nil {
		err = p.Match.Check(x.Version())
	}
	if err == nil {
		c.did(o, "update "+string(id))
	}
	return x, err
}

func (c copier) Delete(_ context.Context, o owner.Owner, id transfer.ID, m account.Match) error {
	done, err := c.enter()
	defer done()
	x, err := c.find(o, id, err)
	if err == nil {
		err = m.Check(x.Version())
	}
	if err == nil {
		c.did(o, "delete "+string(id))
	}
	return err
}

func (c copier) StatusByCode(_ context.Context, source, code string) (transfer.PublicStatus, error) {
	done, err := c.enter()
	defer done()
	if err == nil && (source != "old@gmail.com" || code != copyCode) {
		err = transfer.ErrNotFound
	}
	return transfer.PublicStatus{
		State: transfer.Waiting, Phase: transfer.Copying, Reason: transfer.TargetFull, Until: c.now, Messages: 10,
		MessagesTotal: 40, CreatedAt: c.now, StartedAt: c.now,
	}, err
}

func (c copier) All(_ context.Context, o owner.Owner, f transfer.Filter) (transfer.Page, error) {
	done, err := c.enter()
	defer done()
	c.copies.filter, c.copies.whose = f, o
	return transfer.Page{Copies: c.copies.all}, err
}

func (copier) MostPerUser() int { return 1 }

func (copier) May() transfer.May { return transfer.MayAny }

// copyLooks is a watch of a world's copies.
type copyLooks struct {
	*world
	seen map[owner.Owner]string // What each user was shown last.
}

func (l *copyLooks) Changes(_ context.Context, users, again []owner.Owner) (map[owner.Owner][]transfer.Copy, error) {
	done, err := l.enter()
	defer done()
	if err != nil {
		return nil, err
	}
	news, seen := map[owner.Owner][]transfer.Copy{}, map[owner.Owner]string{}
	for _, o := range users {
		var all []transfer.Copy
		for _, c := range l.copies.all {
			if c.Owner == o {
				all = append(all, c)
				seen[o] += fmt.Sprintf("%+v\n", c)
			}
		}
		before, asked := l.seen[o]
		if !asked || before != seen[o] || slices.Contains(again, o) {
			news[o] = all
		}
	}
	for _, o := range users {
		seen[o] = cmp.Or(seen[o], "")
	}
	l.seen = maps.Clone(seen)
	return news, nil
}
