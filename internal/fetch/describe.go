package fetch

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/text/encoding/htmlindex"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	// mostTooLarge is of how many messages that are too large a visit reads the headers,
	// many by one command, and mostRefused of how many that the server refuses to send,
	// each by its own, so that one whose header it refuses too costs no other's.
	mostTooLarge = 500
	mostRefused  = 100
	// mostAbout is how many octets of a sender or a subject are kept.
	mostAbout = 200
	// describePatience ends the reading of headers.
	describePatience = 30 * time.Second
)

// undescribed are messages that a visit lists as skipped, while it is not known who
// sent them, what about and when.
type undescribed struct {
	tooLarge, refused []unknown
}

// unknown is one of them, as it was listed.
type unknown struct {
	plan *plan
	item mail.Item
	row  Skipped
}

// note keeps in mind that a message is listed as skipped, where its header may tell
// whose it is. One over which connections end costs another, and is left alone; so is
// one that is tried again soon.
func (u *undescribed) note(p *plan, it mail.Item, s Skipped, why *fault.Error) {
	switch old, listed := p.waiting[it.ID]; {
	case !old.About.Date.IsZero() || old.About.Sender+old.About.Subject != "":
	case why.TooLarge:
		if len(u.tooLarge) < mostTooLarge {
			u.tooLarge = append(u.tooLarge, unknown{p, it, s})
		}
	case why.Ended || listed && s.LastAt.Sub(s.FirstAt) < hastyTries:
	case len(u.refused) < mostRefused:
		u.refused = append(u.refused, unknown{p, it, s})
	}
}

// describeSkipped reads of messages that were skipped who sent them, what about and when, so
// that their owner knows which they are. It is the last question to the server: what
// it refuses here, or if it ends the connection, is no failure and keeps nothing away.
// A visit that skips nothing new asks nothing.
func (v *visit) describeSkipped(ctx context.Context) error {
	todo := slices.Concat(v.undescribed.tooLarge, v.undescribed.refused)
	v.undescribed = undescribed{}
	if len(todo) == 0 {
		return nil
	}
	var wants []mail.Want
	rows, plans := map[Ref]Skipped{}, map[string]*plan{}
	for _, u := range todo {
		folder, refused := u.plan.remote, !u.row.Held
		if n := len(wants); n == 0 || wants[n-1].Folder.Wire != folder.Wire || wants[n-1].Again != refused {
			wants = append(wants, mail.Want{Folder: folder, Validity: u.plan.folder.UIDValidity, Again: refused})
			plans[folder.Wire] = u.plan
		}
		w := &wants[len(wants)-1]
		w.Items = append(w.Items, u.item)
		rows[u.row.ref()] = u.row
	}
	var told []Skipped
	patient, cancel := context.WithTimeout(ctx, describePatience)
	defer cancel()
	err := v.session.Headers(patient, wants, func(f mail.Folder, it mail.Item, header []byte) error {
		p := plans[f.Wire]
		if p == nil {
			return nil
		}
		if s, ok := rows[Ref{p.folder.ID, p.folder.Epoch, it.ID}]; ok {
			s.About = mail.ParseEnvelope(header, decoding)
			s.About.Sender, s.About.Subject = words.Clean(s.About.Sender, mostAbout), words.Clean(s.About.Subject, mostAbout)
			s.Requested = false // What its owner asked for meanwhile stands.
			told = append(told, s)
		}
		return nil
	})
	if err != nil {
		v.log.InfoContext(ctx, "reading headers of what is skipped", "error", err)
	}
	if len(told) == 0 {
		return nil
	}
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	v.Step("describe.commit")
	return v.Journal.Commit(ctx, v.lease, Entry{Skip: told, Progress: v.progress})
}

// decoding reads a charset by the names that mail and the web give it.
func decoding(charset string, r io.Reader) (io.Reader, error) {
	enc, err := htmlindex.Get(charset)
	if err != nil {
		return nil, fmt.Errorf("decoding a word in %s: %w", charset, err)
	}
	return enc.NewDecoder().Reader(r), nil
}
