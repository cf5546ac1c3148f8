package check

import (
	"fmt"
	"io"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// Where messages have no token, as at an IMAP server, each is recognised by its content: by the size and the
// header that a journal noted. That proves a message present. That one is not found
// proves nothing: its user moved it away or deleted it, or the server changed it.

// wantedMessage is a message of a journal, that may lie in the mailbox.
type wantedMessage struct {
	token   mail.Token
	journal string
	content mail.Fingerprint
	dir     string // Where it was delivered to.
}

// contentKey is what messages are compared by. A size of -1 says: whatever it is.
type contentKey struct {
	size   int64
	header [16]byte
	dir    string // "": wherever it is.
}

// noHeader is the hash of a header that names nothing.
var noHeader = func() [16]byte {
	scan := mail.NewScanner()
	_, _ = io.WriteString(scan, "\r\n") // It never fails.
	return scan.Sum().Header
}()

// recognise gives the mailbox's messages the tokens of those that the journals know, each
// once: those in the folder that they were delivered to first, then in any, and at last those that have
// another size than they were sent with.
func (c Checker) recognise(f *Findings, reports []JournalReport) {
	wanted := c.wanted(f, reports)
	f.delivered = map[contentKey]string{}
	for _, w := range wanted {
		f.delivered[contentKey{w.content.Size, w.content.Header, w.dir}] = w.journal
	}
	for _, by := range []struct{ exactly, there bool }{{true, true}, {true, false}, {false, true}} {
		key := func(size int64, header [16]byte, dir string) contentKey {
			if !by.exactly {
				size = -1
			}
			if !by.there {
				dir = ""
			}
			return contentKey{size, header, dir}
		}
		free := map[contentKey][]int{}
		for i, file := range f.mailbox.Files {
			if file.Token == "" && (by.exactly || file.Header != noHeader) {
				k := key(file.Size, file.Header, file.Dir)
				free[k] = append(free[k], i)
			}
		}
		var left []wantedMessage
		for _, w := range wanted {
			k := key(w.content.Size, w.content.Header, w.dir)
			if len(free[k]) == 0 {
				left = append(left, w)
				continue
			}
			f.mailbox.Files[free[k][0]].Token = w.token
			free[k] = free[k][1:]
			if !by.exactly {
				f.rewritten[w.journal]++
			}
		}
		wanted = left
	}
}

// wanted returns the messages that the journals know of, and that are not on their way.
func (c Checker) wanted(f *Findings, reports []JournalReport) (all []wantedMessage) {
	for i := range reports {
		l := &reports[i]
		folders := map[int64]fetch.Folder{}
		for _, x := range l.Folders {
			folders[x.ID] = x
		}
		staged := map[mail.Token]bool{}
		token := func(r fetch.Ref) mail.Token {
			return mail.TokenFor(c.TokenKey, l.Journal, folders[r.FolderID].Wire, r.FolderEpoch, r.ID)
		}
		for _, b := range l.Open {
			for j := range b.Members {
				m := &b.Members[j]
				if has(f.mailbox.Spools[l.Journal], f.spoolName(m.Placement.Spool)) {
					staged[token(fetch.Ref{FolderID: m.FolderID, FolderEpoch: m.FolderEpoch, ID: m.ID})] = true
				}
			}
		}
		for j := range l.Messages {
			m := &l.Messages[j]
			if t := token(m.Ref); !m.Alias && !staged[t] {
				all = append(all, wantedMessage{t, l.Journal, m.Fingerprint, f.dirName(folders[m.FolderID].Local)})
			}
		}
	}
	return all
}

// spoolName is what the inventory calls a message on its way that a journal calls name.
func (f *Findings) spoolName(name string) string {
	if f.mailbox.SpoolName == nil {
		return name
	}
	return f.mailbox.SpoolName(name)
}

// judgeContent lists what was changed, and what is there more often than it was delivered.
func (f *Findings) judgeContent(reports []JournalReport, rows map[string]*Checked) {
	copies := map[string]int{}
	for _, file := range f.mailbox.Files {
		if journal, ok := f.delivered[contentKey{file.Size, file.Header, file.Dir}]; ok && file.Token == "" {
			copies[journal]++
		}
	}
	for _, l := range reports {
		if n := f.rewritten[l.Journal]; n > 0 {
			rows[l.Journal].Rewritten = n
			f.add(Rewritten, l.Account, "", fmt.Sprintf("%d messages have another size than they were sent with, and the "+
				"same header: the server changes what it is given, or guesses at sizes.", n))
		}
		if n := copies[l.Journal]; n > 0 {
			f.add(SameContent, l.Account, "", fmt.Sprintf("%d more messages in its folders have the size and the header "+
				"of one that was delivered there: its user copied them, or they were delivered twice.", n))
		}
	}
}
