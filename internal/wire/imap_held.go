package wire

import (
	"bytes"
	"io"
	"os"
)

// heldBody keeps a body that came before the UID that says whose it is: a
// little in memory, more in an unlinked file.
type heldBody struct {
	mem  bytes.Buffer
	file *os.File
	size int64
}

const heldInMemory = 128 << 10

func (h *heldBody) Write(p []byte) (n int, err error) {
	switch {
	case h.file == nil && h.mem.Len()+len(p) <= heldInMemory:
		n, err = h.mem.Write(p)
	case h.file == nil:
		if h.file, err = os.CreateTemp("", "mailbrook-body-"); err != nil {
			return 0, err
		}
		if err = os.Remove(h.file.Name()); err != nil {
			return 0, err
		}
		if _, err = h.file.Write(h.mem.Bytes()); err != nil {
			return 0, err
		}
		h.mem = bytes.Buffer{}
		fallthrough
	default:
		n, err = h.file.Write(p)
	}
	h.size += int64(n)
	return n, err
}

func (h *heldBody) rewind() error {
	if h.file == nil {
		return nil
	}
	_, err := h.file.Seek(0, io.SeekStart)
	return err
}

func (h *heldBody) Read(p []byte) (int, error) {
	if h.file == nil {
		return h.mem.Read(p)
	}
	return h.file.Read(p)
}

func (h *heldBody) close() {
	if h.file != nil {
		_ = h.file.Close() // An unlinked file: there is nothing left to lose.
	}
}
