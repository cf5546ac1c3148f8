package fetch

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/text/encoding/htmlindex"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
)

const (
	// mostDescribed is of how many messages that are withheld a visit reads the headers.
	mostDescribed = 500
	// mostTold is how many octets of a sender or a subject are kept.
	mostTold = 200
	// describePatience ends the reading of headers: a connection that it costs is made anew.
	describePatience = 30 * time.Second
)

// describe reads of messages that are withheld who sent them, what about and when, so
// that their owner knows which they are. It comes after all that is fetched; what it
// cannot read is listed without, and is no failure.
func (v *visit) describe(ctx context.Context) {
	todo := v.undescribed
	v.undescribed = nil
	session, ok := v.session.(HeaderSession)
	if !ok || len(todo) == 0 {
		return
	}
	var wants []mail.Want
	places := map[Ref]int{}
	plans := map[string]*plan{}
	for _, c := range todo {
		if n := len(wants); n == 0 || wants[n-1].Folder.Wire != c.plan.remote.Wire {
			wants = append(wants, mail.Want{Folder: c.plan.remote, Validity: c.plan.folder.UIDValidity})
			plans[c.plan.remote.Wire] = c.plan
		}
		w := &wants[len(wants)-1]
		w.Items = append(w.Items, c.item)
		places[Ref{c.plan.folder.ID, c.plan.folder.Epoch, c.item.ID}] = c.at
	}
	ctx, cancel := context.WithTimeout(ctx, describePatience)
	defer cancel()
	err := session.Headers(ctx, wants, func(f mail.Folder, it mail.Item, header []byte) error {
		p := plans[f.Wire]
		if p == nil {
			return nil
		}
		if at, ok := places[Ref{p.folder.ID, p.folder.Epoch, it.ID}]; ok {
			about := mail.ParseEnvelope(header, decoding)
			about.Sender, about.Subject = fault.Clean(about.Sender, mostTold), fault.Clean(about.Subject, mostTold)
			v.withheld[at].About = about
		}
		return nil
	})
	if err != nil {
		v.log.InfoContext(ctx, "reading headers of what is too large", "error", err)
	}
}

// decoding reads a charset by the names that mail and the web give it.
func decoding(charset string, r io.Reader) (io.Reader, error) {
	enc, err := htmlindex.Get(charset)
	if err != nil {
		return nil, fmt.Errorf("decoding a word in %s: %w", charset, err)
	}
	return enc.NewDecoder().Reader(r), nil
}
