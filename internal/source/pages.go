package source

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/memory"
	"github.com/mailbrook/mailbrook/internal/wire"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	// defaultWindow is how many listed messages a session keeps in memory unless
	// Options says otherwise.
	defaultWindow = 20_000
	// maxPaged bounds the messages of all long listings of a session.
	maxPaged = 16_000_000
	// pagedCost is what a message of a long listing takes in memory: where it
	// begins in the file, twice while the slice grows.
	pagedCost = 10
	// takenAtOnce is for how many messages memory is taken at a time.
	takenAtOnce = 4096
	// pageBuffer is read from the file at a time.
	pageBuffer = 64 << 10
	// maxRecord bounds one message in the file: two names of 255 octets, and numbers.
	maxRecord = 640
)

// pageFile is the unlinked file in which a session keeps what is too long for
// memory. Its zero value makes the file when it is needed.
type pageFile struct {
	dir string

	mu     sync.Mutex
	file   *os.File
	size   int64
	count  int
	buf    []byte
	closed bool
}

// add writes one message and returns where.
func (p *pageFile) add(it *mail.Item) (uint32, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.open(); err != nil {
		return 0, err
	}
	at := p.size + int64(len(p.buf))
	if p.count++; p.count > maxPaged || at > 1<<32-maxRecord {
		return 0, fault.New(fault.FolderFailed, "listing", words.Say("The account has more than %d messages that are not "+
			"fetched yet.", maxPaged))
	}
	if p.buf = appendItem(p.buf, it); len(p.buf) > pageBuffer {
		return uint32(at), p.flush()
	}
	return uint32(at), nil
}

func (p *pageFile) open() (err error) {
	switch {
	case p.closed:
		return wire.ErrClosed
	case p.file != nil:
		return nil
	}
	if p.file, err = os.CreateTemp(p.dir, "mailbrook-listing-"); err == nil {
		err = os.Remove(p.file.Name())
	}
	return keeping(err)
}

func (p *pageFile) flush() error {
	n, err := p.file.WriteAt(p.buf, p.size)
	p.size += int64(n)
	p.buf = p.buf[:0]
	return keeping(err)
}

// read reads from at on; less than asked for is there only at the end.
func (p *pageFile) read(b []byte, at uint32) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.file == nil {
		return 0, wire.ErrClosed
	}
	if len(p.buf) > 0 {
		if err := p.flush(); err != nil {
			return 0, err
		}
	}
	n, err := p.file.ReadAt(b, int64(at))
	if errors.Is(err, io.EOF) && n > 0 {
		err = nil
	}
	return n, keeping(err)
}

func (p *pageFile) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed = true; p.file != nil {
		_ = p.file.Close() // An unlinked file: there is nothing left to lose.
	}
}

// keeping says of an error of the file that it is ours.
func keeping(err error) error {
	var known *fault.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return &fault.Error{Code: fault.Internal, Op: "keeping a long listing in a file", Err: err}
}

// pages are the messages of one listing in a session's file.
type pages struct {
	file  *pageFile
	at    []uint32        // Where each begins, in the order of the listing.
	named map[int]mail.ID // Those that got another name than the server's.
	taken int             // For how many memory was taken.
}

// Len implements mail.Pages.
func (p *pages) Len() int { return len(p.at) }

// add appends a message. It takes memory from the visit that ctx belongs to.
func (p *pages) add(ctx context.Context, it *mail.Item) error {
	if len(p.at) == p.taken {
		if err := take(ctx, takenAtOnce*pagedCost); err != nil {
			return err
		}
		p.taken += takenAtOnce
	}
	at, err := p.file.add(it)
	p.at = append(p.at, at)
	return err
}

// take takes memory for a listing.
func take(ctx context.Context, n int64) error {
	err := memory.Of(ctx).Take(ctx, n)
	switch {
	case errors.Is(err, memory.ErrTooMuch):
		return &fault.Error{
			Code: fault.FolderFailed, Op: "listing", Err: err,
			Detail: words.Detail{words.Say("The folder has too many messages to be listed.")},
		}
	case err != nil:
		return &fault.Error{Code: fault.Interrupted, Op: "listing", Err: err}
	}
	return nil
}

// Page implements mail.Pages.
func (p *pages) Page(at, n int) ([]mail.Item, error) {
	items := make([]mail.Item, n)
	err := p.each(at, n, func(i int, it *mail.Item) error {
		items[i-at] = *it
		return nil
	})
	return items, err
}

// each calls do for n messages from one on. Mostly they are adjacent.
func (p *pages) each(from, n int, do func(i int, it *mail.Item) error) error {
	buf := make([]byte, pageBuffer)
	have, begin := 0, uint32(0)
	for i := from; i < from+n; i++ {
		at := p.at[i]
		if off := int64(at) - int64(begin); off < 0 || off+maxRecord > int64(have) {
			var err error
			if have, err = p.file.read(buf, at); err != nil {
				return err
			}
			begin = at
		}
		it, ok := readItem(buf[at-begin : have])
		if !ok {
			return keeping(io.ErrUnexpectedEOF)
		}
		if id, ok := p.named[i]; ok {
			it.ID = id
		}
		if err := do(i, &it); err != nil {
			return err
		}
	}
	return nil
}

// order brings the messages into the order of key, which is below 1<<32, and
// leaves one of each.
func (p *pages) order(ctx context.Context, key func(it *mail.Item) uint32) error {
	cost := int64(12 * len(p.at))
	if err := take(ctx, cost); err != nil {
		return err
	}
	defer memory.Of(ctx).Give(cost)
	sorted := make([]uint64, len(p.at))
	err := p.each(0, len(p.at), func(i int, it *mail.Item) error {
		sorted[i] = uint64(key(it))<<32 | uint64(i)
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(sorted)
	sorted = slices.CompactFunc(sorted, func(a, b uint64) bool { return a>>32 == b>>32 })
	at := make([]uint32, len(sorted))
	for i, s := range sorted {
		at[i] = p.at[uint32(s)]
	}
	p.at = at
	return nil
}

// appendItem writes a message; readItem reads it.
func appendItem(b []byte, it *mail.Item) []byte {
	b = binary.AppendUvarint(b, uint64(it.Number))
	b = binary.AppendUvarint(b, uint64(it.ID.UID))
	b = binary.AppendVarint(b, it.Size)
	b = append(b, byte(it.Flags))
	received := int64(0) // Zero is none; INTERNALDATE has no fractions of a second.
	if !it.Received.IsZero() {
		if received = it.Received.Unix(); received >= 0 {
			received++
		}
	}
	b = binary.AppendVarint(b, received)
	_, zone := it.Received.Zone()
	b = binary.AppendVarint(b, int64(zone))
	b = append(binary.AppendUvarint(b, uint64(len(it.Keywords))), it.Keywords...)
	b = append(binary.AppendUvarint(b, uint64(len(it.ID.UIDL))), it.ID.UIDL...)
	return append(binary.AppendUvarint(b, uint64(len(it.Global))), it.Global...)
}

func readItem(b []byte) (it mail.Item, ok bool) {
	ok = true
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		ok = ok && n > 0
		b = b[max(n, 0):]
		return v
	}
	signed := func() int64 {
		v, n := binary.Varint(b)
		ok = ok && n > 0
		b = b[max(n, 0):]
		return v
	}
	text := func() string {
		n := number()
		if !ok || n > uint64(len(b)) {
			ok = false
			return ""
		}
		s := string(b[:n])
		b = b[n:]
		return s
	}
	it.Number, it.ID.UID, it.Size = uint32(number()), uint32(number()), signed()
	if !ok || len(b) == 0 {
		return it, false
	}
	it.Flags, b = mail.Flags(b[0]), b[1:]
	received, zone := signed(), mail.Zone(int(signed()))
	switch {
	case received > 0:
		it.Received = time.Unix(received-1, 0).In(zone)
	case received < 0:
		it.Received = time.Unix(received, 0).In(zone)
	}
	it.Keywords = mail.Keywords(text())
	it.ID.UIDL, it.Global = text(), text()
	return it, ok
}
