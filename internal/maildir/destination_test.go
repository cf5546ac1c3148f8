package maildir

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/disk"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/mailtest/destination"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// place is a Maildir as the suite of destinations sees it.
type place struct {
	t        testing.TB
	dir      string
	together bool
}

func (p place) home() string { return filepath.Join(p.dir, "anna@firma.test") }

func (p place) Open(ctx context.Context, process destination.Process) (fetch.Delivery, error) {
	s, err := New(Options{Template: "maildir:" + p.dir + "/{user}", Host: "test", Step: process.Step, SyncTogether: 2})
	if err != nil {
		return nil, err
	}
	s.disk = &faulty{Disk: disk.Kernel(), failed: map[int]bool{}, together: p.together, call: process.Call}
	l := owner.Limit{}
	if process.Limit > 0 {
		l = limit(process.Limit, -1)
	}
	if err := s.Make(ctx, anna(p.t)); err != nil {
		return nil, err
	}
	return s.Open(ctx, anna(p.t), journal, process.Epoch, l)
}

func (p place) Messages() (all []destination.Message, err error) {
	if _, err := os.Stat(p.home()); os.IsNotExist(err) {
		return nil, nil
	}
	for _, d := range mailtest.ReadMaildir(p.t, p.home()) {
		text, err := os.ReadFile(d.Path)
		if err != nil {
			return nil, err
		}
		m := destination.Message{Folder: d.Folder, Body: string(text), Received: d.Time, Where: d.Path}
		for letter, flag := range map[string]mail.Flags{
			"D": mail.Draft, "F": mail.Flagged, "R": mail.Answered, "S": mail.Seen,
		} {
			if strings.Contains(d.Flags, letter) {
				m.Flags |= flag
			}
		}
		text, err = os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(d.Path)), keywordsFile))
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		m.Keywords = keywordsOf(filepath.Base(d.Path), parseKeywords(string(text)))
		all = append(all, m)
	}
	return all, nil
}

// keywordsOf is what the letters of a file's name stand for.
func keywordsOf(name string, names []string) mail.Keywords {
	var words []string
	_, letters, _ := strings.Cut(name, ":2,")
	for _, l := range letters {
		switch n := int(l - 'a'); {
		case l < 'a' || l > 'z':
		case n < len(names):
			words = append(words, names[n])
		default:
			words = append(words, fmt.Sprintf("unknown-%d", n))
		}
	}
	k, _ := mail.KeywordsOf(words)
	return k
}

func (p place) Move(m destination.Message, folder string) error {
	to := filepath.Join(p.home(), dirName(folder))
	for _, sub := range subdirs {
		if err := os.MkdirAll(filepath.Join(to, sub), 0o700); err != nil {
			return err
		}
	}
	return os.Rename(m.Where, filepath.Join(to, "cur", filepath.Base(m.Where)))
}

func (p place) Delete(m destination.Message) error { return os.Remove(m.Where) }

func (p place) Remove() error { return os.Rename(p.home(), p.home()+".away") }

// PutBack makes way for the mailbox by removing what was made in its place.
func (p place) PutBack() error {
	if err := os.RemoveAll(p.home()); err != nil {
		return err
	}
	return os.Rename(p.home()+".away", p.home())
}

// A Maildir keeps the promises of a destination, whether files are synced one by one or together.
func TestDestination(t *testing.T) {
	t.Parallel()
	for _, together := range []bool{false, true} {
		t.Run(map[bool]string{false: "fsync", true: "syncfs"}[together], func(t *testing.T) {
			destination.Test(t, func(tb testing.TB) destination.Place {
				dir, err := os.MkdirTemp(mailtest.InMemory(t), "place-")
				must(tb, err)
				return place{tb, dir, together}
			})
		})
	}
}
