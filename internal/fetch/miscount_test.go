package fetch_test

import (
	"context"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// miscounting is a server that counts more messages than it lists.
type miscounting struct {
	*remoteStub
	unread int  // Of those that it lists, so many cannot be read.
	mute   bool // It lists none.
}

func (s *miscounting) Open(context.Context, remote.Mailbox, remote.Credential) (fetch.Session, error) {
	return s, nil
}

func (s *miscounting) List(
	ctx context.Context, qs []mail.Query, yield func(mail.Listing, error) error,
) error {
	return s.remoteStub.List(ctx, qs, func(l mail.Listing, err error) error {
		l.Folder.Status.Messages += 2
		l.Complete, l.Unread = false, s.unread
		if s.mute {
			l.Items = nil
		}
		return yield(l, err)
	})
}

// TestD4_ACountThatLiesIsNoTrouble: what is listed is fetched, once, and no folder
// is reported as one that could not be read. The control: messages that are listed and
// cannot be read are reported.
func TestD4_ACountThatLiesIsNoTrouble(t *testing.T) {
	w := newWorld(t, "INBOX")
	s := &miscounting{remoteStub: w.remote}
	w.engine.Source = s
	f := w.remote.folders[0]
	f.add(letters(10, "in")...)
	visit := func(want int64, told bool) {
		t.Helper()
		before := w.engine.Miscounted()
		r := w.visit(t.Context())
		if r.Err != nil || r.Messages != want || (r.Partial != nil) != told {
			t.Fatalf("%d messages came, want %d, told %v: %+v", r.Messages, want, told, r)
		}
		if counted := w.engine.Miscounted() > before; counted == told {
			t.Errorf("counted %v, told %v", counted, told)
		}
	}
	visit(10, false)
	visit(0, false)
	f.add(letters(1, "new")...)
	visit(1, false)
	s.unread = 1
	visit(0, true)
	w.complete(t)
}

// TestAServerThatCountsMessagesAndListsNoneIsNotWell: nothing at all of what is there is
// no matter of counting.
func TestAServerThatCountsMessagesAndListsNoneIsNotWell(t *testing.T) {
	w := newWorld(t, "INBOX")
	s := &miscounting{remoteStub: w.remote, mute: true}
	w.engine.Source = s
	w.remote.folders[0].add(letters(3, "in")...)
	if r := w.visit(t.Context()); fault.CodeOf(r.Err) != fault.FolderFailed {
		t.Errorf("three messages are counted and none is listed: %+v", r)
	}
	s.mute = false
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 3 { // The control.
		t.Errorf("they are listed: %+v", r)
	}
	w.complete(t)
}
