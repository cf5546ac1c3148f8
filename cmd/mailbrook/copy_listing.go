package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mailbrook/mailbrook/internal/transfer"
)

// listing is what a folder of a target holds: an unlinked file, where it is too long for memory. It is a
// transfer.Listed.
type listing struct {
	dir      string
	validity uint32
	window   int // How many are in memory.

	items []transfer.Lying
	file  *os.File
	out   *bufio.Writer
}

// listedInMemory is how many messages of a listing are in memory.
const listedInMemory = 20_000

// lyingOctets is what one takes in the file.
const lyingOctets = 24

func newListing(dir string) *listing { return &listing{dir: dir, window: listedInMemory} }

// add takes the next message.
func (l *listing) add(x transfer.Lying) error {
	if len(l.items) < l.window {
		l.items = append(l.items, x)
		return nil
	}
	if l.file == nil {
		file, err := os.CreateTemp(l.dir, "mailbrook-verify-")
		if err != nil {
			return fmt.Errorf("keeping a listing: %w", err)
		}
		l.file, l.out = file, bufio.NewWriterSize(file, 64<<10)
		if err := os.Remove(file.Name()); err != nil {
			return fmt.Errorf("keeping a listing: %w", err)
		}
	}
	var b [lyingOctets]byte
	binary.LittleEndian.PutUint64(b[0:], x.At)
	binary.LittleEndian.PutUint64(b[8:], uint64(x.Received))
	binary.LittleEndian.PutUint64(b[16:], uint64(x.Size))
	if _, err := l.out.Write(b[:]); err != nil {
		return fmt.Errorf("keeping a listing: %w", err)
	}
	return nil
}

// Validity implements transfer.Listed.
func (l *listing) Validity() uint32 { return l.validity }

// Each implements transfer.Listed. It may be called again.
func (l *listing) Each(each func(transfer.Lying)) error {
	for _, x := range l.items {
		each(x)
	}
	if l.file == nil {
		return nil
	}
	if err := l.out.Flush(); err != nil {
		return fmt.Errorf("keeping a listing: %w", err)
	}
	size, err := l.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return fmt.Errorf("reading a listing: %w", err)
	}
	in := bufio.NewReaderSize(io.NewSectionReader(l.file, 0, size), 64<<10)
	var b [lyingOctets]byte
	for {
		_, err := io.ReadFull(in, b[:])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading a listing: %w", err)
		}
		each(transfer.Lying{
			At: binary.LittleEndian.Uint64(b[0:]), Received: int64(binary.LittleEndian.Uint64(b[8:])),
			Size: int64(binary.LittleEndian.Uint64(b[16:])),
		})
	}
}

// Close implements transfer.Listed.
func (l *listing) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}
