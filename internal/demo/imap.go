package demo

import (
	"bufio"
	"bytes"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-message/textproto"
)

const delimiter = '/'

// session is one IMAP connection. It reads, and refuses to change anything.
// imapserver calls it from one goroutine.
type session struct {
	users    []*user // Who may sign in.
	user     *user   // Who has.
	selected *folder
	tracker  *imapserver.SessionTracker
}

var _ imapserver.SessionNamespace = (*session)(nil)

var errReadOnly = &imap.Error{
	Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeNoPerm,
	Text: "This provider is " +
		"only a demonstration: nothing can be changed",
}

var errNoFolder = &imap.Error{
	Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeNonExistent,
	Text: "No such mailbox",
}

func (s *session) Close() error { return s.Unselect() }

func (s *session) Login(name, password string) error {
	if s.user = signedIn(s.users, name, password); s.user == nil {
		return imapserver.ErrAuthFailed
	}
	return nil
}

func (s *session) Namespace() (*imap.NamespaceData, error) {
	return &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Delim: delimiter}}}, nil
}

func (s *session) Select(name string, _ *imap.SelectOptions) (*imap.SelectData, error) {
	f := s.user.folder(name)
	if f == nil {
		return nil, errNoFolder
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.selected, s.tracker = f, f.tracker.NewSession()
	n := uint32(len(f.messages))
	return &imap.SelectData{
		Flags:       []imap.Flag{imap.FlagSeen, imap.FlagAnswered, imap.FlagFlagged, imap.FlagDraft},
		NumMessages: n, UIDNext: imap.UID(n + 1), UIDValidity: uidValidity,
	}, nil
}

func (s *session) Unselect() error {
	if s.tracker != nil {
		s.tracker.Close()
	}
	s.selected, s.tracker = nil, nil
	return nil
}

func (s *session) List(w *imapserver.ListWriter, ref string, patterns []string, o *imap.ListOptions) error {
	if len(patterns) == 0 {
		return w.WriteList(&imap.ListData{Attrs: []imap.MailboxAttr{imap.MailboxAttrNoSelect}, Delim: delimiter})
	}
	folders := s.user.list()
	for _, f := range folders {
		matches := func(p string) bool { return imapserver.MatchList(f.name, delimiter, ref, p) }
		if !slices.ContainsFunc(patterns, matches) || o.SelectSpecialUse && f.use == "" {
			continue
		}
		d := &imap.ListData{Mailbox: f.name, Delim: delimiter, Attrs: []imap.MailboxAttr{imap.MailboxAttrHasNoChildren}}
		if slices.ContainsFunc(folders, func(other *folder) bool { return strings.HasPrefix(other.name, f.name+"/") }) {
			d.Attrs[0] = imap.MailboxAttrHasChildren
		}
		if o.SelectSubscribed || o.ReturnSubscribed {
			d.Attrs = append(d.Attrs, imap.MailboxAttrSubscribed)
		}
		if f.use != "" {
			d.Attrs = append(d.Attrs, f.use)
		}
		if o.ReturnStatus != nil {
			d.Status = f.status(o.ReturnStatus)
		}
		if err := w.WriteList(d); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) Status(name string, o *imap.StatusOptions) (*imap.StatusData, error) {
	f := s.user.folder(name)
	if f == nil {
		return nil, errNoFolder
	}
	return f.status(o), nil
}

func (f *folder) status(o *imap.StatusOptions) *imap.StatusData {
	d := &imap.StatusData{Mailbox: f.name}
	unseen, size, none := uint32(0), int64(0), uint32(0)
	all := f.all()
	for _, m := range all {
		if !slices.Contains(m.flags, imap.FlagSeen) {
			unseen++
		}
		size += int64(len(m.data))
	}
	n := uint32(len(all))
	if o.NumMessages {
		d.NumMessages = &n
	}
	if o.NumUnseen {
		d.NumUnseen = &unseen
	}
	if o.NumRecent {
		d.NumRecent = &none
	}
	if o.NumDeleted {
		d.NumDeleted = &none
	}
	if o.Size {
		d.Size = &size
	}
	if o.UIDNext {
		d.UIDNext = imap.UID(n + 1)
	}
	if o.UIDValidity {
		d.UIDValidity = uidValidity
	}
	return d
}

func (s *session) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if s.tracker == nil {
		return nil
	}
	return s.tracker.Poll(w, allowExpunge)
}

func (s *session) Idle(w *imapserver.UpdateWriter, stop <-chan struct{}) error {
	if s.tracker == nil {
		<-stop
		return nil
	}
	return s.tracker.Idle(w, stop)
}

// each calls do for the chosen messages that this session knows. A
// message's UID is its place, and so is its sequence number.
func (s *session) each(set imap.NumSet, do func(n uint32, m *message) error) error {
	all := s.selected.all()
	top := uint32(len(all))
	for i, m := range all {
		n := uint32(i + 1)
		if s.tracker.EncodeSeqNum(n) == 0 || !contains(set, n, top) {
			continue
		}
		if err := do(n, m); err != nil {
			return err
		}
	}
	return nil
}

// contains reads "*" as the highest number there is, on either side of a range.
func contains(set imap.NumSet, n, top uint32) bool {
	in := func(start, stop uint32) bool {
		if start == 0 {
			start = top
		}
		if stop == 0 {
			stop = top
		}
		return min(start, stop) <= n && n <= max(start, stop)
	}
	switch set := set.(type) {
	case imap.SeqSet:
		return slices.ContainsFunc(set, func(r imap.SeqRange) bool { return in(r.Start, r.Stop) })
	case imap.UIDSet:
		return slices.ContainsFunc(set, func(r imap.UIDRange) bool { return in(uint32(r.Start), uint32(r.Stop)) })
	}
	return false
}

func (s *session) Fetch(w *imapserver.FetchWriter, set imap.NumSet, o *imap.FetchOptions) error {
	return s.each(set, func(n uint32, m *message) error {
		r := w.CreateMessage(n)
		r.WriteUID(imap.UID(n))
		if o.Flags {
			r.WriteFlags(m.flags)
		}
		if o.InternalDate {
			r.WriteInternalDate(m.date)
		}
		if o.RFC822Size {
			r.WriteRFC822Size(int64(len(m.data)))
		}
		if o.Envelope {
			header, err := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(m.data)))
			if err != nil {
				return err
			}
			r.WriteEnvelope(imapserver.ExtractEnvelope(header))
		}
		if o.BodyStructure != nil {
			r.WriteBodyStructure(imapserver.ExtractBodyStructure(bytes.NewReader(m.data)))
		}
		for _, sec := range o.BodySection {
			data := m.section(sec)
			body := r.WriteBodySection(sec, int64(len(data)))
			if _, err := body.Write(data); err != nil {
				return err
			}
			if err := body.Close(); err != nil {
				return err
			}
		}
		return r.Close()
	})
}

// section returns a part of the message. The whole of it is returned as it is,
// for the library would take it apart and write its header again.
func (m *message) section(s *imap.FetchItemBodySection) []byte {
	if s.Specifier != imap.PartSpecifierNone || len(s.Part) > 0 {
		return imapserver.ExtractBodySection(bytes.NewReader(m.data), s)
	}
	if s.Partial == nil {
		return m.data
	}
	size := int64(len(m.data))
	from := min(max(s.Partial.Offset, 0), size)
	return m.data[from : from+min(max(s.Partial.Size, 0), size-from)]
}

func (s *session) Search(kind imapserver.NumKind, c *imap.SearchCriteria,
	_ *imap.SearchOptions,
) (*imap.SearchData, error) {
	if len(c.Header)+len(c.Body)+len(c.Text)+len(c.Not)+len(c.Or) > 0 || c.ModSeq != nil || !c.SentSince.IsZero() ||
		!c.SentBefore.IsZero() {
		return nil, &imap.Error{Type: imap.StatusResponseTypeNo, Code: imap.ResponseCodeCannot, Text: "This provider does " +
			"not search by that"}
	}
	var seqs imap.SeqSet
	var uids imap.UIDSet
	d := &imap.SearchData{}
	err := s.each(imap.UIDSet{{Start: 1, Stop: 0}}, func(n uint32, m *message) error {
		if !m.found(c, n, uint32(len(s.selected.all()))) {
			return nil
		}
		seqs.AddNum(n)
		uids.AddNum(imap.UID(n))
		if d.Min == 0 {
			d.Min = n
		}
		d.Max = n
		d.Count++
		return nil
	})
	d.All = seqs
	if kind == imapserver.NumKindUID {
		d.All = uids
	}
	return d, err
}

func (m *message) found(c *imap.SearchCriteria, n, top uint32) bool {
	for _, set := range c.SeqNum {
		if !contains(set, n, top) {
			return false
		}
	}
	for _, set := range c.UID {
		if !contains(set, n, top) {
			return false
		}
	}
	for _, f := range c.Flag {
		if !slices.Contains(m.flags, f) {
			return false
		}
	}
	for _, f := range c.NotFlag {
		if slices.Contains(m.flags, f) {
			return false
		}
	}
	// The date alone counts, whatever the zone (RFC 3501 section 6.4.4).
	day := time.Date(m.date.Year(), m.date.Month(), m.date.Day(), 0, 0, 0, 0, time.UTC)
	size := int64(len(m.data))
	return (c.Since.IsZero() || !day.Before(c.Since)) && (c.Before.IsZero() || day.Before(c.Before)) &&
		(c.Larger == 0 || size > c.Larger) && (c.Smaller == 0 || size < c.Smaller)
}

func (s *session) Create(string, *imap.CreateOptions) error              { return errReadOnly }
func (s *session) Delete(string) error                                   { return errReadOnly }
func (s *session) Rename(string, string, *imap.RenameOptions) error      { return errReadOnly }
func (s *session) Subscribe(string) error                                { return errReadOnly }
func (s *session) Unsubscribe(string) error                              { return errReadOnly }
func (s *session) Expunge(*imapserver.ExpungeWriter, *imap.UIDSet) error { return nil } // CLOSE asks for it, too.
func (s *session) Copy(imap.NumSet, string) (*imap.CopyData, error)      { return nil, errReadOnly }

func (s *session) Append(string, imap.LiteralReader, *imap.AppendOptions) (*imap.AppendData, error) {
	return nil, errReadOnly
}

func (s *session) Store(*imapserver.FetchWriter, imap.NumSet, *imap.StoreFlags, *imap.StoreOptions) error {
	return errReadOnly
}
