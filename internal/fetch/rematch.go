package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/memory"
)

// rowsAtOnce bounds one journal write of what was rematched or found.
const rowsAtOnce = 500

// contentIndex is the search, among messages that seem new, for those that were
// delivered before under an identity that is gone: after a change of
// UIDVALIDITY, in a folder that was renamed, at a provider that moved its
// mailboxes, by another protocol. Every known message is used once, so that
// two equal messages remain two.
//
// It knows messages by their whole content: the same body under the same
// Message-ID, Date, From and Subject, which also holds after a move between
// servers that rewrites transport headers. Of each it has a few octets only;
// which of the journal's it is, is looked up once for a whole window: see resolveRematches.
type contentIndex struct {
	texts []textSum // In order.
	used  map[textSum]int
}

type textSum [12]byte

func sumOfText(f mail.Fingerprint) (t textSum) {
	sum := sha256.Sum256(append(f.Header[:], f.Body[:]...))
	copy(t[:], sum[:])
	return t
}

func compareSums(a, b textSum) int { return bytes.Compare(a[:], b[:]) }

// knownCost is what a known message takes in a matching, while its slice grows.
const knownCost = 30

// take uses up one known message of this content, if there is one.
func (m *contentIndex) take(f mail.Fingerprint) bool {
	t := sumOfText(f)
	at, ok := slices.BinarySearchFunc(m.texts, t, compareSums)
	if at += m.used[t]; !ok || at >= len(m.texts) || m.texts[at] != t {
		return false
	}
	m.used[t]++
	return true
}

type headerKey struct {
	size   int64
	header [16]byte
}

// rematch settles what headers alone show to have been delivered before, before any
// body is downloaded. What is left in these folders is compared by content when it is
// staged.
func (v *visit) rematch(ctx context.Context) error {
	var plans []*plan
	for _, p := range v.plans {
		if p.mayRematch && p.verdicts.count(VerdictFetch) > 0 {
			plans = append(plans, p)
		}
	}
	if len(plans) == 0 {
		return nil
	}
	if any, err := v.anyStale(ctx); err != nil || !any {
		return err
	}
	if err := v.byHeaders(ctx, plans); err != nil {
		return err
	}
	m := &contentIndex{used: map[textSum]int{}}
	err := v.eachStale(ctx, func(k Known) error {
		if len(m.texts)%rowsAtOnce == 0 {
			if err := taken(ctx, rowsAtOnce*knownCost); err != nil {
				return err
			}
		}
		m.texts = append(m.texts, sumOfText(k.Fingerprint))
		return nil
	})
	if err == nil && len(m.texts) > 0 {
		slices.SortFunc(m.texts, compareSums)
		v.contents = m
	}
	return err
}

// eachStale calls each for the known messages whose identity is gone: of an earlier
// epoch, of another protocol, of a folder that is no longer there, or missing
// from a complete listing.
func (v *visit) eachStale(ctx context.Context, each func(k Known) error) error {
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
	return v.Journal.Remembered(ctx, v.lease, func(k Known) error {
		f := living[k.FolderID]
		if f == nil || v.byUID() != (k.ID.UID != 0) {
			return each(k)
		}
		epoch := f.Epoch
		p := plans[k.FolderID]
		if p != nil {
			epoch = p.folder.Epoch
		}
		if k.FolderEpoch != epoch || p != nil && p.listed != nil && !p.listed.has(k.ID) && !succeeds(k.ID, p.listed) {
			return each(k)
		}
		return nil
	})
}

var errEnough = errors.New("enough was read")

func (v *visit) anyStale(ctx context.Context) (bool, error) {
	err := v.eachStale(ctx, func(Known) error { return errEnough })
	if errors.Is(err, errEnough) {
		return true, nil
	}
	return false, err
}

// readWhole returns the names under which delivered messages were distinguished by their
// content: see mail.Query.
func (v *visit) readWhole(ctx context.Context) (map[string]bool, error) {
	names := map[string]bool{}
	err := v.Journal.Remembered(ctx, v.lease, func(k Known) error {
		before, is := k.ID.NamedByContent()
		if !is || before == "" || names[before] {
			return nil
		}
		names[before] = true
		return taken(ctx, int64(len(before)+knownCost))
	})
	return names, err
}

// candidate is a message that seems new.
type candidate struct {
	plan *plan
	at   int // Its place in the listing.
	item mail.Item
}

// byHeaders goes through what seems new in groups, so that neither it nor what is
// known has to be in memory. All messages of one size are in one group, for pairs
// are made only where as many seem new as are known; a size that fills more than
// a window is left to be told by content.
func (v *visit) byHeaders(ctx context.Context, plans []*plan) error {
	bounds, err := v.sizeGroups(ctx, plans)
	if err != nil {
		return err
	}
	v.Step("rematch.headers")
	for _, b := range bounds {
		var group []candidate
		for _, p := range plans {
			_, err := v.eachNew(p, p.listing.Len(), func(at int, it mail.Item) bool {
				// One that had to be read to be named is known by its whole content alone.
				if _, read := it.ID.NamedByContent(); b.has(it.Size) && !read && !v.isOld(p, &it) {
					group = append(group, candidate{p, at, it})
				}
				return true
			})
			if err != nil {
				return err
			}
		}
		if group, err = v.withoutTwins(ctx, group); err != nil {
			return err
		}
		if err := v.rematchGroup(ctx, group); err != nil {
			return err
		}
	}
	return nil
}

// sizeRange is the sizes from one up to another, which is not in it.
type sizeRange struct{ from, to int64 }

func (r sizeRange) has(size int64) bool { return r.from <= size && size < r.to }

// sizeGroups divides the sizes of what seems new so that no more than a window's
// messages are in each part.
func (v *visit) sizeGroups(ctx context.Context, plans []*plan) (out []sizeRange, err error) {
	const all = int64(1) << 62
	n := 0
	for _, p := range plans {
		n += p.verdicts.count(VerdictFetch)
	}
	if n <= v.Window {
		return []sizeRange{{0, all}}, nil
	}
	cost := int64(8 * n)
	if err := taken(ctx, cost); err != nil {
		return nil, err
	}
	defer memory.Of(ctx).Give(cost)
	sizes := make([]int64, 0, n)
	for _, p := range plans {
		_, err := v.eachNew(p, p.listing.Len(), func(_ int, it mail.Item) bool {
			sizes = append(sizes, it.Size)
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(sizes)
	for i := 0; i < len(sizes); {
		// As many whole sizes as fit.
		end := min(i+v.Window, len(sizes))
		for end < len(sizes) && end > i && sizes[end] == sizes[end-1] {
			end--
		}
		if end == i { // One size alone is too many.
			for end < len(sizes) && sizes[end] == sizes[i] {
				end++
			}
		} else {
			out = append(out, sizeRange{sizes[i], sizes[end-1] + 1})
		}
		i = end
	}
	return out, nil
}

// withoutTwins leaves one of the messages that are one by the server's word, and
// none of those that are delivered: see pairTwins.
func (v *visit) withoutTwins(ctx context.Context, group []candidate) ([]candidate, error) {
	var globals []string
	for _, c := range group {
		if c.item.Labelled() {
			globals = append(globals, c.item.Global)
		}
	}
	if len(globals) == 0 {
		return group, nil
	}
	seen, err := v.Journal.Delivered(ctx, v.lease, globals)
	return slices.DeleteFunc(group, func(c candidate) bool {
		twin := c.item.Labelled() && seen[c.item.Global]
		if c.item.Labelled() && seen != nil {
			seen[c.item.Global] = true
		}
		return twin
	}), err
}

// rematchGroup reads the headers of those messages whose size a known message
// has, and rematches them where as many seem new as are known: then it does not
// matter which is which. A message without a Message-ID is known by its content
// only.
func (v *visit) rematchGroup(ctx context.Context, group []candidate) error {
	sizes := map[int64]bool{} // True: known.
	for _, c := range group {
		sizes[c.item.Size] = false
	}
	err := v.eachStale(ctx, func(k Known) error {
		if _, ok := sizes[k.Fingerprint.Size]; ok {
			sizes[k.Fingerprint.Size] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	found, err := v.headers(ctx, slices.DeleteFunc(group, func(c candidate) bool { return !sizes[c.item.Size] }))
	if err != nil || len(found) == 0 {
		return err
	}
	known := map[headerKey][]Ref{} // One more than are found is enough to tell.
	err = v.eachStale(ctx, func(k Known) error {
		key := headerKey{k.Fingerprint.Size, k.Fingerprint.Header}
		if n := len(found[key]); n > 0 && len(known[key]) <= n {
			known[key] = append(known[key], k.Ref)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var rematched []Rematch
	var of []candidate
	for key, cs := range found {
		if len(cs) != len(known[key]) {
			continue
		}
		for i, c := range cs {
			to := Ref{c.plan.folder.ID, c.plan.folder.Epoch, c.item.ID}
			rematched = append(rematched, Rematch{From: known[key][i], To: to})
			of = append(of, c)
		}
	}
	return v.writeRematches(ctx, rematched, of)
}

// headers reads the headers of candidates and returns these by header and size.
func (v *visit) headers(ctx context.Context, group []candidate) (map[headerKey][]candidate, error) {
	found := map[headerKey][]candidate{}
	where := map[Ref]candidate{}
	byWire := map[string]*plan{}
	var wants []mail.Want
	for _, c := range group {
		if n := len(wants); n == 0 || wants[n-1].Folder.Wire != c.plan.remote.Wire {
			wants = append(wants, mail.Want{Folder: c.plan.remote, Validity: c.plan.folder.UIDValidity})
			byWire[c.plan.remote.Wire] = c.plan
		}
		w := &wants[len(wants)-1]
		w.Items = append(w.Items, c.item)
		where[Ref{c.plan.folder.ID, c.plan.folder.Epoch, c.item.ID}] = c
	}
	if len(wants) == 0 {
		return nil, nil
	}
	scanner := mail.NewScanner()
	err := v.session.Headers(ctx, wants, func(f mail.Folder, it mail.Item, header []byte) error {
		p := byWire[f.Wire]
		if p == nil || !bytes.Contains(bytes.ToLower(header), []byte("message-id:")) {
			return nil
		}
		scanner.Reset()
		if _, err := scanner.Write(header); err != nil {
			return err
		}
		if c, ok := where[Ref{p.folder.ID, p.folder.Epoch, it.ID}]; ok {
			key := headerKey{it.Size, scanner.Sum().Header}
			found[key] = append(found[key], c)
		}
		return nil
	})
	return found, err
}

// writeRematches writes what was rematched, and judges it so.
func (v *visit) writeRematches(ctx context.Context, found []Rematch, of []candidate) error {
	if len(found) == 0 {
		return nil
	}
	folders := v.revalidated()
	for rest := found; len(rest) > 0; {
		part := rest[:min(len(rest), rowsAtOnce)]
		rest = rest[len(part):]
		v.Step("rematch.commit")
		if err := v.Journal.Commit(ctx, v.lease, Entry{Folders: folders, Rematch: part, Progress: v.progress}); err != nil {
			return err
		}
		folders = nil
	}
	for _, c := range of {
		c.plan.judge(c.at, VerdictRematched)
	}
	v.log.InfoContext(ctx, "rematched messages that have new names", "messages", len(found), "took", v.Now().Sub(
		v.began).Round(time.Millisecond))
	return nil
}

// contentMatch is a message whose content was delivered before, and of which it is not
// known yet as which.
type contentMatch struct {
	plan *plan
	at   int
	id   mail.ID
	mark mail.Fingerprint
}

// resolveRematches finds out as which messages of the journal these were delivered.
// One for which there is none after all is fetched by the next visit.
func (v *visit) resolveRematches(ctx context.Context, found []contentMatch) (out []Rematch, err error) {
	if len(found) == 0 {
		return nil, nil
	}
	type text struct{ header, body [16]byte }
	waiting := map[text][]contentMatch{}
	for _, t := range found {
		k := text{t.mark.Header, t.mark.Body}
		waiting[k] = append(waiting[k], t)
	}
	err = v.eachStale(ctx, func(k Known) error {
		of := text{k.Fingerprint.Header, k.Fingerprint.Body}
		if ts := waiting[of]; len(ts) > 0 {
			out = append(out, Rematch{From: k.Ref, To: Ref{ts[0].plan.folder.ID, ts[0].plan.folder.Epoch, ts[0].id}})
			waiting[of] = ts[1:]
		}
		return nil
	})
	for _, ts := range waiting {
		for _, t := range ts {
			t.plan.judge(t.at, VerdictFetch)
		}
	}
	return out, err
}
