package fetch_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/schedule"
	"github.com/mailbrook/mailbrook/internal/words"
)

// remoteFolder is a folder of the remote in memory.
type remoteFolder struct {
	name     string
	use      string
	shared   bool
	validity uint32
	next     uint32
	uids     []uint32
	bodies   map[uint32]string
}

func (f *remoteFolder) add(bodies ...string) {
	for _, b := range bodies {
		f.uids = append(f.uids, f.next)
		f.bodies[f.next] = b
		f.next++
	}
}

// remoteStub is a Source and its one Session in memory, with faults to order.
type remoteStub struct {
	keywords   map[uint32]mail.Keywords // By UID.
	folders    []*remoteFolder
	noStatus   bool
	noNext     bool              // It reports no UIDNEXT.
	noSpaces   bool              // It does not say which folders are others'.
	breakAfter int               // Messages after which a fetch breaks; 0 never.
	missing    map[string]string // Bodies that cannot be read, and why.
	noHeader   map[uint32]bool   // Headers that do not come.
	madeUp     bool              // Headers that are asked for alone are not the messages' own.
	sizes      map[uint32]int64  // Sizes that are listed wrongly.
	badFolder  string
	ends       bool              // The connection ends over it.
	globals    map[string]string // Names over all folders, by body.
	opened     int
	listed     []string
	fetched    int
	headers    int
	left       int
	onTake     func()
	offers     string // What it says it can do.
}

func newRemote(names ...string) *remoteStub {
	r := &remoteStub{missing: map[string]string{}}
	for _, n := range names {
		r.folders = append(r.folders, &remoteFolder{name: n, validity: 7, next: 1, bodies: map[uint32]string{}})
	}
	return r
}

func (r *remoteStub) Open(context.Context, remote.Mailbox, remote.Credential) (fetch.Session, error) {
	r.opened++
	return r, nil
}

func (r *remoteStub) Capabilities() string { return r.offers }

func (r *remoteStub) status(f *remoteFolder) mail.Status {
	st := mail.Status{Known: true, Messages: uint32(len(f.uids)), UIDNext: f.next, UIDValidity: f.validity}
	if r.noNext {
		st.UIDNext = 0
	}
	return st
}

func (r *remoteStub) Folders(context.Context) (fs []mail.Folder, _ error) {
	for _, f := range r.folders {
		m := mail.Folder{Wire: f.name, SpecialUse: f.use, Selectable: true, Shared: f.shared &&
			!r.noSpaces, Guessed: r.noSpaces}
		if f.name != "INBOX" {
			m.Path = strings.Split(f.name, "/")
		}
		if !r.noStatus {
			m.Status = r.status(f)
		}
		fs = append(fs, m)
	}
	return fs, nil
}

func (r *remoteStub) find(wire string) *remoteFolder {
	return r.folders[slices.IndexFunc(r.folders, func(f *remoteFolder) bool { return f.name == wire })]
}

func (r *remoteStub) List(_ context.Context, qs []mail.Query, yield func(mail.Listing, error) error) error {
	for _, q := range qs {
		f := r.find(q.Folder.Wire)
		r.listed = append(r.listed, fmt.Sprintf("%s from %d", f.name, q.From))
		l := mail.Listing{Folder: q.Folder, Complete: true}
		l.Folder.Status = r.status(f)
		for i, u := range f.uids {
			if u >= q.From {
				size := int64(len(f.bodies[u]))
				if other, ok := r.sizes[u]; ok {
					size = other
				}
				l.Items = append(l.Items, mail.Item{
					ID: mail.ID{UID: u}, Global: r.globals[f.bodies[u]], Number: uint32(i + 1),
					Size: size, Received: time.Unix(1e9, 0).In(mail.Zone(7200)), Keywords: r.keywords[u],
				})
			}
		}
		var err error
		if f.name == r.badFolder {
			l, err = mail.Listing{}, &fault.Error{
				Code: fault.FolderFailed, Op: "listing", Ended: r.ends,
				Detail: words.Detail{words.Say("it says NO")},
			}
		}
		if err := yield(l, err); err != nil {
			return err
		}
	}
	return nil
}

func (r *remoteStub) Fetch(ctx context.Context, ws []mail.Want, take func(mail.Folder, mail.Item, io.Reader) error,
	miss func(mail.Folder, mail.Item, *fault.Error),
) error {
	n := 0
	for _, w := range ws {
		f := r.find(w.Folder.Wire)
		for _, it := range w.Items {
			if err := ctx.Err(); err != nil {
				return err
			}
			if n++; r.breakAfter > 0 && n > r.breakAfter {
				return fault.New(fault.ServerUnavailable, "fetching", words.Say("the connection broke"))
			}
			body := f.bodies[it.ID.UID]
			if why, ok := r.missing[body]; ok {
				miss(w.Folder, it, fault.New(fault.MessageFailed, "fetching", words.Plain(why)...))
				continue
			}
			r.fetched++
			if err := take(w.Folder, it, strings.NewReader(body)); err != nil {
				return err
			}
			if r.onTake != nil {
				r.onTake()
			}
		}
	}
	return nil
}

func (r *remoteStub) Headers(_ context.Context, ws []mail.Want, take func(mail.Folder, mail.Item, []byte) error) error {
	for _, w := range ws {
		f := r.find(w.Folder.Wire)
		for _, it := range w.Items {
			r.headers++
			if r.noHeader[it.ID.UID] {
				continue
			}
			head, _, _ := strings.Cut(f.bodies[it.ID.UID], "\r\n\r\n")
			if r.madeUp {
				head = "Subject: made up\r\n" + head
			}
			if err := take(w.Folder, it, []byte(head+"\r\n\r\n")); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *remoteStub) Leave(context.Context) error { r.left++; return nil }
func (r *remoteStub) Close() error                { return nil }

// box is a Mailbox in memory with spool and folders.
type box struct {
	mu         sync.Mutex
	spool      map[string]string
	folders    map[string][]string // Bodies by folder.
	names      map[mail.Token]int  // Deliveries by token.
	room       int64               // Octets left; negative: no limit.
	sealErr    error
	refuses    map[string]error          // Bodies that are not taken, and why.
	note       *int64                    // Beside the spool.
	files      map[mail.Token]mail.Found // As delivered and not deleted.
	looked     int                       // How often the mailbox was looked through.
	marked     []string                  // Marks that were asked for.
	validities map[owner.Owner]uint32    // Of users' inboxes here.
}

func newBox() *box {
	return &box{
		spool: map[string]string{}, folders: map[string][]string{}, names: map[mail.Token]int{},
		files: map[mail.Token]mail.Found{}, room: -1,
	}
}

type delivery struct {
	*box
	epoch int64
}

func (b *box) Open(_ context.Context, _ route.Route, epoch int64, _ owner.Limit) (fetch.Delivery, error) {
	return &delivery{b, epoch}, nil
}

func (d *delivery) Reserve(_ context.Context, _, bytes int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.room >= 0 && bytes > d.room {
		return fault.New(fault.LocalOverQuota, "reserving", words.Say("full"))
	}
	if d.room >= 0 {
		d.room -= bytes
	}
	return nil
}

func (d *delivery) Release(_, bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.room >= 0 {
		d.room += bytes
	}
}

func (d *delivery) Stage(_ context.Context, t mail.Token, body io.Reader, received time.Time,
	limit int64,
) (mail.Staged, error) {
	b, err := io.ReadAll(body)
	if err != nil {
		return mail.Staged{}, err
	}
	if int64(len(b)) > limit {
		return mail.Staged{}, &fault.Error{
			Code: fault.MessageFailed, Op: "staging", TooLarge: true,
			Detail: words.Detail{words.Say("too large")},
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	name := fmt.Sprintf("%s.e%d", t, d.epoch)
	if _, ok := d.spool[name]; ok {
		return mail.Staged{}, errors.New("staged twice")
	}
	d.spool[name] = string(b)
	scanner := mail.NewScanner()
	if _, err := scanner.Write(b); err != nil {
		return mail.Staged{}, err
	}
	return mail.Staged{Spool: name, Fingerprint: scanner.Sum(), FileSize: int64(len(b)), Received: received}, nil
}

func (d *delivery) Seal(_ context.Context, ps []mail.Placement) ([]mail.Sealed, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	sealed := mail.SealedAsStaged(ps)
	for i, p := range ps {
		if why := d.refuses[d.spool[p.Spool]]; why != nil {
			delete(d.spool, p.Spool)
			sealed[i] = mail.Sealed{Refused: why}
		}
	}
	return sealed, d.sealErr
}

func (d *delivery) Finish(context.Context) {}

func (d *delivery) Discard(ss []mail.Staged) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range ss {
		delete(d.spool, s.Spool)
	}
}

func (*delivery) Placed() []mail.Placed { return nil }

func (d *delivery) Publish(_ context.Context, ps []mail.Placement) ([]mail.Token, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range ps {
		if body, ok := d.spool[p.Spool]; ok {
			delete(d.spool, p.Spool)
			d.folders[p.Folder] = append(d.folders[p.Folder], body)
			d.names[p.Token]++
			d.files[p.Token] = mail.Found{Where: body, Received: p.Received.Unix(), VirtualSize: int64(len(body))}
		}
	}
	return tokens(ps), nil
}

// Find implements fetch.Target as a Maildir does.
func (d *delivery) Find(_ context.Context, ps []mail.Placement, noted bool) ([]mail.Fate, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fates := make([]mail.Fate, len(ps))
	for i, p := range ps {
		_, staged := d.spool[p.Spool]
		_, there := d.files[p.Token]
		switch {
		case staged:
		case noted, there:
			fates[i] = mail.Delivered
		default:
			fates[i] = mail.Lost
		}
	}
	return fates, nil
}

func (b *box) InboxValidity(_ context.Context, o owner.Owner) (uint32, error) {
	return b.validities[o], nil
}

func (b *box) Make(context.Context, owner.Owner) error { return nil }

func (b *box) InboxMessage(context.Context, owner.Owner, uint32, uint32) (mail.Fingerprint, bool, error) {
	return mail.Fingerprint{}, false, nil
}

func (d *delivery) Mark(_ context.Context, folder, mark string) error {
	d.marked = append(d.marked, folder+"/"+mark)
	return nil
}

func (d *delivery) EnsureFolders(_ context.Context, fs []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range fs {
		d.folders[f] = append(d.folders[f], []string{}...)
	}
	return nil
}

func (d *delivery) Sweep(_ context.Context, keep map[string]bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	maps.DeleteFunc(d.spool, func(name, _ string) bool {
		return !keep[name] && !strings.HasSuffix(name, fmt.Sprintf(".e%d", d.epoch))
	})
	return nil
}

func (d *delivery) Generation(context.Context) (int64, bool, error) {
	if d.note == nil {
		return 0, false, nil
	}
	return *d.note, true, nil
}

func (d *delivery) SetGeneration(_ context.Context, n int64) error {
	d.note = &n
	return nil
}

func (d *delivery) Present(context.Context) error { return nil }

func (d *delivery) NoteSpool(context.Context) error { return nil }

func (d *delivery) Tokens(_ context.Context, each func(mail.Token, mail.Found)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looked++
	for t, f := range d.files {
		each(t, f)
	}
	return nil
}

func (d *delivery) Fingerprint(_ context.Context, f mail.Found) (mail.Fingerprint, error) {
	s := mail.NewScanner()
	if _, err := s.Write([]byte(f.Where)); err != nil {
		return mail.Fingerprint{}, err
	}
	return s.Sum(), nil
}

func (d *delivery) Close() error { return nil }

// row is one settled message.
type row = fetch.Ref

// journal is a Journal in memory; each Commit is atomic. lose makes the n-th
// commit fail after (or before) it took effect, as a lost connection would.
type journal struct {
	mu       sync.Mutex
	epoch    int64
	folders  []fetch.Folder
	rows     map[row]mail.Fingerprint
	globals  map[string]bool
	batches  map[fetch.BatchKey][]fetch.Member
	intended map[fetch.BatchKey]bool
	skips    map[row]fetch.Skipped
	passed   map[int64]map[mail.ID]bool
	staged   int64 // Batches ever staged.
	commits  int
	offers   string // What the server was said to offer.
	loseAt   int
	loseDone bool                               // The lost commit took effect.
	owners   map[string]owner.Owner             // By journal: other users.
	brought  map[owner.Owner][]mail.Fingerprint // What was fetched for them.
}

func newJournal() *journal {
	return &journal{
		rows: map[row]mail.Fingerprint{}, globals: map[string]bool{},
		batches: map[fetch.BatchKey][]fetch.Member{}, intended: map[fetch.BatchKey]bool{}, skips: map[row]fetch.Skipped{},
		passed: map[int64]map[mail.ID]bool{},
	}
}

func (j *journal) OwnerOf(_ context.Context, journal string) (owner.Owner, bool, error) {
	o, ok := j.owners[journal]
	return o, ok, nil
}

func (j *journal) Suspects(context.Context, uint32, []string) ([]owner.Owner, error) {
	return nil, nil
}

func (j *journal) Brought(_ context.Context, o owner.Owner, yield func(int64, time.Time, [32]byte)) error {
	for _, f := range j.brought[o] {
		yield(f.Size, time.Unix(1e9, 0), f.Digest)
	}
	return nil
}

func (j *journal) Folders(context.Context, fetch.Lease) ([]fetch.Folder, error) {
	return slices.Clone(j.folders), nil
}

func (j *journal) AddFolders(_ context.Context, _ fetch.Lease, fs []fetch.Folder) (out []fetch.Folder, _ error) {
	for _, f := range fs {
		f.ID = int64(len(j.folders) + 1)
		j.folders = append(j.folders, f)
		out = append(out, f)
	}
	return out, nil
}

func (j *journal) Generation(context.Context, fetch.Lease) (int64, error) { return j.staged, nil }

func (j *journal) Open(context.Context, fetch.Lease) (bs []fetch.Batch, _ error) {
	for k := range j.intended {
		bs = append(bs, fetch.Batch{Key: k})
	}
	for k, m := range j.batches {
		bs = append(bs, fetch.Batch{Key: k, Members: m})
	}
	return bs, nil
}

func (j *journal) Settled(_ context.Context, _ fetch.Lease, f fetch.Folder, from uint32, each func(mail.ID,
	int64) error,
) error {
	rows := slices.DeleteFunc(slices.Collect(maps.Keys(j.rows)), func(r row) bool {
		return r.FolderID != f.ID || r.FolderEpoch != f.Epoch || r.ID.UID < from
	})
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.ID.UID, b.ID.UID), strings.Compare(a.ID.UIDL, b.ID.UIDL), a.ID.Ordinal-b.ID.Ordinal)
	})
	for _, r := range rows {
		if err := each(r.ID, j.rows[r].Size); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) marks(folder, epoch int64, id mail.ID) (hs [][16]byte) {
	for r, f := range j.rows {
		if r.FolderID == folder && r.FolderEpoch == epoch && r.ID.UID == id.UID && r.ID.UIDL == id.UIDL &&
			f.Digest != [32]byte{} {
			hs = append(hs, f.Header)
		}
	}
	return hs
}

func (j *journal) HeadersOf(_ context.Context, _ fetch.Lease, f fetch.Folder,
	ids []mail.ID,
) (map[mail.ID][][16]byte, error) {
	out := map[mail.ID][][16]byte{}
	for _, id := range ids {
		if hs := j.marks(f.ID, f.Epoch, id); hs != nil {
			out[id] = hs
		}
	}
	return out, nil
}

func (j *journal) Delivered(_ context.Context, _ fetch.Lease, globals []string) (map[string]bool, error) {
	out := map[string]bool{}
	for _, g := range globals {
		if j.globals[g] {
			out[g] = true
		}
	}
	return out, nil
}

func (j *journal) Remembered(_ context.Context, _ fetch.Lease, each func(fetch.Known) error) error {
	for r, f := range j.rows {
		if err := each(fetch.Known{Ref: r, Fingerprint: f}); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) BeforeStart(_ context.Context, _ fetch.Lease, f fetch.Folder, each func(mail.ID) error) error {
	for id := range j.passed[f.ID] {
		if err := each(id); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) Skipped(context.Context, fetch.Lease) ([]fetch.Skipped, error) {
	return slices.Collect(maps.Values(j.skips)), nil
}

func (j *journal) Commit(ctx context.Context, l fetch.Lease, e fetch.Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if l.Epoch != j.epoch {
		return fetch.ErrFenced
	}
	j.commits++
	j.offers = cmp.Or(e.Capabilities, j.offers)
	if j.commits == j.loseAt && !j.loseDone {
		return errors.New("connection lost before the commit")
	}
	for _, k := range e.Deliver {
		delete(j.batches, k)
	}
	for _, k := range e.Drop {
		delete(j.intended, k)
	}
	if e.Stage != nil {
		if !j.intended[e.Stage.Key] {
			return errors.New("staged without an intent")
		}
		delete(j.intended, e.Stage.Key)
		j.staged++
		j.batches[e.Stage.Key] = e.Stage.Members
		for _, m := range e.Stage.Members {
			r := row{m.FolderID, m.FolderEpoch, m.ID}
			if _, ok := j.rows[r]; ok {
				return fmt.Errorf("%v staged twice", r)
			}
			j.rows[r] = m.Fingerprint
			j.globals[m.Global] = true
		}
	}
	for _, m := range e.Found {
		j.rows[row{m.FolderID, m.FolderEpoch, m.ID}] = m.Fingerprint
		j.globals[m.Global] = true
	}
	for _, m := range e.Unsettle {
		delete(j.rows, row{m.FolderID, m.FolderEpoch, m.ID})
	}
	j.staged = max(j.staged, e.Restored)
	for _, a := range e.Alias {
		if a.Global == "" && len(j.marks(a.FolderID, a.FolderEpoch, a.ID)) == 0 || a.Global != "" &&
			!j.globals[a.Global] {
			return fmt.Errorf("%v stands for nothing that was delivered", a.Ref)
		}
		j.rows[a.Ref] = mail.Fingerprint{Size: a.Size}
	}
	for _, a := range e.Rematch {
		f, ok := j.rows[a.From]
		if _, taken := j.rows[a.To]; !ok || taken {
			return fmt.Errorf("%v cannot become %v", a.From, a.To)
		}
		delete(j.rows, a.From)
		j.rows[a.To] = f
	}
	if e.Intend != nil {
		j.intended[*e.Intend] = true
	}
	for _, f := range e.Folders {
		j.folders[f.ID-1] = f
	}
	for _, p := range e.BeforeStart {
		ids := map[mail.ID]bool{}
		if p.Each != nil {
			err := p.Each(func(id mail.ID) error {
				ids[id] = true
				return nil
			})
			if err != nil {
				return err
			}
		}
		j.passed[p.FolderID] = ids
	}
	for _, s := range e.Skip {
		r := row{s.FolderID, s.FolderEpoch, s.ID}
		s.Requested = !s.Requested && j.skips[r].Requested
		if s.About == (mail.Envelope{}) {
			s.About = j.skips[r].About
		}
		j.skips[r] = s
	}
	for _, s := range e.Unskip {
		delete(j.skips, row{s.FolderID, s.FolderEpoch, s.ID})
	}
	if j.commits == j.loseAt {
		return errors.New("connection lost after the commit")
	}
	return nil
}

func (j *journal) Limit(context.Context, owner.Owner) (owner.Limit, error) {
	return owner.Limit{}, nil
}

type noCredentials struct{}

func (noCredentials) Credential(context.Context, remote.Mailbox) (remote.Credential, error) {
	return remote.Credential{}, nil
}

// world is an engine with everything in memory.
type world struct {
	remote  *remoteStub
	box     *box
	journal *journal
	engine  *fetch.Engine
	route   route.Route
	now     time.Time

	requested bool // By the route's owner.
	failures  int  // Of the visits before.
}

func newWorld(t *testing.T, folders ...string) *world {
	t.Helper()
	return inMemory(folders...)
}

func inMemory(folders ...string) *world {
	w := &world{remote: newRemote(folders...), box: newBox(), journal: newJournal(), now: time.Unix(2e9, 0)}
	w.route = route.Route{
		ID: "a", Kind: route.Keep, Journal: "j", Folder: "Gmail", From: remote.Mailbox{Protocol: remote.IMAP},
	}
	w.engine = fetch.New(fetch.Options{
		Source: w.remote, Mailbox: w.box, Journal: w.journal, Credentials: noCredentials{}, TokenKey: []byte("k"),
		MaxMessageBytes: 1000,
		LocalName: fetch.InFolder(func(folder string, path []string, taken func(string) bool) string {
			name := strings.Join(append([]string{folder}, path...), "/")
			for taken(name) {
				name += "+"
			}
			return name
		}),
		Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler),
	})
	return w
}

func (w *world) visit(ctx context.Context) fetch.Report {
	w.journal.epoch++
	return w.engine.Visit(ctx, fetch.Lease{
		Route: w.route, Worker: "w", Epoch: w.journal.epoch, Requested: w.requested, Failures: w.failures,
	})
}

// complete checks that the local mailbox holds the remote, each message once.
func (w *world) complete(t *testing.T) {
	t.Helper()
	for _, f := range w.remote.folders {
		local := "Gmail"
		if f.name != "INBOX" {
			local += "/" + f.name
		}
		var want []string
		for _, b := range f.bodies {
			want = append(want, b)
		}
		got := slices.Clone(w.box.folders[local])
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("folder %s holds %d messages, the remote %d", local, len(got), len(want))
		}
	}
	for name, n := range w.box.names {
		if n != 1 {
			t.Errorf("%s was delivered %d times", name, n)
		}
	}
}

func bodies(n int, prefix string) (bs []string) {
	for i := range n {
		bs = append(bs, fmt.Sprintf("Subject: %s %d\r\n\r\n%s\r\n", prefix, i, bytes.Repeat([]byte("x"), i%50)))
	}
	return bs
}

// leaseOf is what an engine needs of a claim.
func leaseOf(l schedule.Lease, err error) (fetch.Lease, error) { return l.Lease, err }
