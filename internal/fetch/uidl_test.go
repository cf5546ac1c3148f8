package fetch_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// fickle is a POP3 server in memory that does not always tell the UIDL of each
// message. Such a message is named by its content, as package source does.
type fickle struct {
	*remoteStub
	silent  map[uint32]bool // Messages whose UIDL is not listed.
	partial bool            // The listing does not agree with the count.
	called  map[uint32]mail.ID
}

func (s *fickle) Open(context.Context, remote.Mailbox, remote.Credential) (fetch.Session, error) {
	return s, nil
}

func (s *fickle) name(n uint32) mail.ID {
	if id, ok := s.called[n]; ok {
		return id
	}
	if s.silent[n] {
		return mail.ID{UIDL: fmt.Sprintf("top DIGEST%d", n)}
	}
	return mail.ID{UIDL: fmt.Sprintf("u%d", n)}
}

func (s *fickle) List(ctx context.Context, qs []mail.Query, yield func(mail.Listing, error) error) error {
	return s.remoteStub.List(ctx, qs, func(l mail.Listing, err error) error {
		for i := range l.Items {
			l.Items[i].ID, l.Items[i].Received = s.name(l.Items[i].ID.UID), time.Time{}
		}
		l.Complete = !s.partial
		return yield(l, err)
	})
}

func (s *fickle) inside(ws []mail.Want) []mail.Want {
	ws = slices.Clone(ws)
	for i := range ws {
		ws[i].Items = slices.Clone(ws[i].Items)
		for j := range ws[i].Items {
			ws[i].Items[j].ID = mail.ID{UID: ws[i].Items[j].Number}
		}
	}
	return ws
}

func (s *fickle) outside(it mail.Item) mail.Item {
	it.ID = s.name(it.ID.UID)
	return it
}

func (s *fickle) Fetch(ctx context.Context, ws []mail.Want, take func(mail.Folder, mail.Item, io.Reader) error,
	miss func(mail.Folder, mail.Item, *fault.Error),
) error {
	return s.remoteStub.Fetch(ctx, s.inside(ws),
		func(f mail.Folder, it mail.Item, body io.Reader) error { return take(f, s.outside(it), body) },
		func(f mail.Folder, it mail.Item, why *fault.Error) { miss(f, s.outside(it), why) })
}

func (s *fickle) Headers(ctx context.Context, ws []mail.Want, take func(mail.Folder, mail.Item, []byte) error) error {
	return s.remoteStub.Headers(ctx, s.inside(ws), func(f mail.Folder, it mail.Item, h []byte) error {
		return take(f, s.outside(it), h)
	})
}

// S38, S39: what is one message by its UIDL today and by its content tomorrow.
func TestAMessageWhoseUIDLIsListedOnlyAtTimesIsDeliveredOnce(t *testing.T) {
	for _, partial := range []bool{false, true} {
		t.Run(fmt.Sprintf("incomplete=%v", partial), func(t *testing.T) {
			w := newWorld(t, "INBOX")
			s := &fickle{remoteStub: w.remote}
			w.engine.Source, w.route.From.Protocol = s, remote.POP3
			f := w.remote.folders[0]
			f.add(letters(10, "in")...)
			f.add(bodies(5, "anonymous")...)
			f.add("Subject: twin\r\n\r\nsame\r\n", "Subject: twin\r\n\r\nsame\r\n")
			visit := func(want int64, silent ...uint32) {
				t.Helper()
				s.silent = map[uint32]bool{}
				for _, n := range silent {
					s.silent[n] = true
				}
				if r := w.visit(t.Context()); r.Err != nil || r.Messages != want {
					t.Fatalf("silent about %v: %d messages came, want %d: %+v", slices.Sorted(maps.Keys(s.silent)), r.Messages, want,
						r)
				}
			}
			visit(17)
			s.partial = partial
			visit(0, 3)
			visit(0)
			visit(0, 12, 16)
			visit(0, 4, 16, 17)
			f.add(letters(1, "new")...)
			visit(1, 5, 18)
			f.add("Message-ID: <in-3@remote.test>\r\nSubject: in\r\n\r\nAnother text.\r\n")
			visit(1, 4)
			visit(0)
			w.complete(t)
		})
	}
}

// bugreports F12: at a server without UIDL messages alike in header and size have
// names made from all their octets, or from their header alone where they had these before.
func TestF12_WhatIsNamedByItsContentArrivesOnceHoweverItIsNamed(t *testing.T) {
	w := newWorld(t, "INBOX")
	s := &fickle{remoteStub: w.remote}
	w.engine.Source, w.route.From.Protocol = s, remote.POP3
	f := w.remote.folders[0]
	texts := map[string]string{}
	for _, l := range []string{"a", "b", "c", "d"} {
		texts[l] = "Subject: alarm\r\n\r\n" + l + "\r\n"
	}
	for i, step := range []struct {
		holds string // The messages,
		whole bool   // … and whether they are named by all of their octets.
		want  int64
	}{
		{"ab", false, 2}, // As an earlier version named them.
		{"ab", true, 0},
		{"bc", true, 1}, // One went, one came.
		{"c", true, 0},
		{"cd", true, 1},
		{"cd", false, 0}, // They are too many to be read.
		{"cdd", true, 1},
		{"cdd", true, 0},
	} {
		f.refilled()
		s.called = map[uint32]mail.ID{}
		seen := map[mail.ID]int{}
		for _, l := range strings.Split(step.holds, "") {
			id := mail.ID{UIDL: "top ALARM"}
			if step.whole {
				id.UIDL += " retr " + l
			}
			id.Ordinal, seen[id] = seen[id], seen[id]+1
			s.called[f.next] = id
			f.add(texts[l])
		}
		if r := w.visit(t.Context()); r.Err != nil || r.Partial != nil || r.Messages != step.want {
			t.Fatalf("step %d: %+v", i, r)
		}
	}
	got := strings.Join(slices.Sorted(slices.Values(w.box.folders["Gmail"])), "")
	if want := texts["a"] + texts["b"] + texts["c"] + texts["d"] + texts["d"]; got != want {
		t.Errorf("delivered %q", got)
	}
}
