package fetch

import (
	"bytes"
	"context"
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// HeaderSession is a Session that can read headers alone. Sessions that cannot
// have whole messages downloaded to be recognised.
type HeaderSession interface {
	// Headers reads at least the Message-ID, Date, From and Subject fields of
	// the wanted messages. What does not come is left out.
	Headers(ctx context.Context, wants []mail.Want, take func(f mail.Folder, it mail.Item, header []byte) error) error
}

// adoptAtOnce bounds one journal write of adoptions.
const adoptAtOnce = 500

// matching is the search, among messages that seem new, for those that were
// delivered before under an identity that is gone: after a change of
// UIDVALIDITY, in a folder that was renamed, at a provider that moved its
// mailboxes, by another protocol. Every known message is used once, so that
// two equal messages remain two.
type matching struct {
	byHeader map[headerKey][]Known
	byDigest map[[32]byte][]Known
	byText   map[textKey][]Known
	used     map[Ref]bool
}

type headerKey struct {
	size   int64
	header [16]byte
}

type textKey struct{ header, body [16]byte }

func newMatching(orphans []Known) *matching {
	m := &matching{byHeader: map[headerKey][]Known{}, byDigest: map[[32]byte][]Known{}, byText: map[textKey][]Known{}, used: map[Ref]bool{}}
	for _, k := range orphans {
		f := k.Fingerprint
		m.byHeader[headerKey{f.Size, f.Header}] = append(m.byHeader[headerKey{f.Size, f.Header}], k)
		m.byDigest[f.Digest] = append(m.byDigest[f.Digest], k)
		m.byText[textKey{f.Header, f.Body}] = append(m.byText[textKey{f.Header, f.Body}], k)
	}
	return m
}

// take uses up one of the candidates.
func (m *matching) take(ks []Known) (Ref, bool) {
	for _, k := range ks {
		if !m.used[k.Ref] {
			m.used[k.Ref] = true
			return k.Ref, true
		}
	}
	return Ref{}, false
}

// byContent finds a message by its whole content: the same octets, or the same
// body under the same Message-ID, Date, From and Subject, as after a move
// between servers that rewrites transport headers.
func (m *matching) byContent(f mail.Fingerprint) (Ref, bool) {
	if r, ok := m.take(m.byDigest[f.Digest]); ok {
		return r, true
	}
	return m.take(m.byText[textKey{f.Header, f.Body}])
}

// recognise adopts what can be told by headers alone, before anything is
// downloaded. What is left of the unfamiliar folders is compared by content
// when it is staged.
func (v *visit) recognise(ctx context.Context) error {
	unfamiliar := false
	for _, p := range v.plans {
		unfamiliar = unfamiliar || p.unfamiliar && len(p.todo) > 0
	}
	if !unfamiliar {
		return nil
	}
	known, err := v.Journal.Remembered(ctx, v.lease)
	if err != nil || len(known) == 0 {
		return err
	}
	orphans := v.orphans(known)
	if len(orphans) == 0 {
		return nil
	}
	v.matching = newMatching(orphans)
	session, ok := v.session.(HeaderSession)
	if !ok {
		return nil
	}
	v.Step("recognise.headers")
	found, err := v.headers(ctx, session)
	if err != nil {
		return err
	}
	return v.adopt(ctx, found)
}

// orphans are the known messages whose identity is gone: of an earlier epoch,
// of another protocol, of a folder that is no longer there, or missing from a
// complete listing.
func (v *visit) orphans(known []Known) []Known {
	living := map[int64]*Folder{}
	for i := range v.folders {
		if f := &v.folders[i]; v.present[f.Wire] {
			living[f.ID] = f
		}
	}
	plans := map[int64]*plan{}
	for _, p := range v.plans {
		plans[p.folder.ID] = p
	}
	var out []Known
	for _, k := range known {
		f := living[k.FolderID]
		if f == nil || v.byUID() != (k.ID.UID != 0) {
			out = append(out, k)
			continue
		}
		epoch := f.Epoch
		p := plans[k.FolderID]
		if p != nil {
			epoch = p.folder.Epoch
		}
		if k.FolderEpoch != epoch || p != nil && p.listed != nil && !p.listed[k.ID] {
			out = append(out, k)
		}
	}
	return out
}

// candidate is a message that seems new, with its header's key.
type candidate struct {
	plan *plan
	id   mail.ID
	key  headerKey
}

// headers reads the headers of those messages whose size a known message has,
// and pairs them where as many seem new as are known: then it does not matter
// which is which. A message without a Message-ID is told by its content only.
func (v *visit) headers(ctx context.Context, session HeaderSession) ([]Adoption, error) {
	sizes := map[int64]bool{}
	for k := range v.matching.byHeader {
		sizes[k.size] = true
	}
	byWire := map[string]*plan{}
	var wants []mail.Want
	for _, p := range v.plans {
		byWire[p.folder.Wire] = p
		if !p.unfamiliar {
			continue
		}
		w := mail.Want{Folder: p.remote, Validity: p.folder.UIDValidity}
		for _, it := range p.todo {
			if sizes[it.Size] {
				w.Items = append(w.Items, it)
			}
		}
		if len(w.Items) > 0 {
			wants = append(wants, w)
		}
	}
	if len(wants) == 0 {
		return nil, nil
	}
	found := map[headerKey][]candidate{}
	scanner := mail.NewScanner()
	err := session.Headers(ctx, wants, func(f mail.Folder, it mail.Item, header []byte) error {
		p := byWire[f.Wire]
		if p == nil || !bytes.Contains(bytes.ToLower(header), []byte("message-id:")) {
			return nil
		}
		scanner.Reset()
		if _, err := scanner.Write(header); err != nil {
			return err
		}
		key := headerKey{it.Size, scanner.Sum().Header}
		found[key] = append(found[key], candidate{p, it.ID, key})
		return nil
	})
	if err != nil {
		return nil, err
	}
	var out []Adoption
	for key, cs := range found {
		if len(cs) != len(v.matching.byHeader[key]) {
			continue
		}
		for _, c := range cs {
			if r, ok := v.matching.take(v.matching.byHeader[key]); ok {
				out = append(out, Adoption{From: r, To: Ref{c.plan.folder.ID, c.plan.folder.Epoch, c.id}})
			}
		}
	}
	return out, nil
}

// adopt writes what was recognised and takes it off the plans.
func (v *visit) adopt(ctx context.Context, found []Adoption) error {
	if len(found) == 0 {
		return nil
	}
	adopted := make(map[Ref]bool, len(found))
	folders := v.revalidated()
	for rest := found; len(rest) > 0; {
		part := rest[:min(len(rest), adoptAtOnce)]
		rest = rest[len(part):]
		v.Step("recognise.adopt")
		if err := v.Journal.Commit(ctx, v.lease, Entry{Folders: folders, Adopt: part, Progress: v.progress}); err != nil {
			return err
		}
		folders = nil
		for _, a := range part {
			adopted[a.To] = true
		}
	}
	for _, p := range v.plans {
		var left []mail.Item
		for _, it := range p.todo {
			if !adopted[Ref{p.folder.ID, p.folder.Epoch, it.ID}] {
				left = append(left, it)
			}
		}
		p.changed = p.changed || len(left) < len(p.todo)
		p.todo = left
	}
	v.log.InfoContext(ctx, "recognised messages under new names", "messages", len(found), "took", v.Now().Sub(v.began).Round(time.Millisecond))
	return nil
}
