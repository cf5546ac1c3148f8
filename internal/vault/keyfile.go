package vault

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// What Load and Installation find wrong for certain. A disk that does not answer
// is neither.
var (
	// ErrNoKey says that a key file is not there.
	ErrNoKey = errors.New("there is no such key file")
	// ErrDamaged says that something else is in a file's place than what was
	// written there: it is empty, cut, no file.
	ErrDamaged = errors.New("it is damaged")
)

// kind says what a key is for, so that no file serves in another's place.
type kind string

const (
	sealing kind = "sealing" // A Tink keyset that seals secrets at rest.
	token   kind = "token"   // Names delivered files (mail.TokenFor).
	signing kind = "signing" // Signs bearer tokens.
)

const (
	keySize    = 32
	maxKeyFile = 1 << 20
	formatV1   = 1
)

// keyFile is the form of a key file. The digest distinguishes a damaged file from a
// wrong one; it protects nothing.
type keyFile struct {
	Version int    `json:"version"`
	Kind    kind   `json:"kind"`
	Key     []byte `json:"key"`
	SHA256  string `json:"sha256"`
}

func encodeKey(k kind, key []byte) ([]byte, error) {
	text, err := json.MarshalIndent(keyFile{formatV1, k, key, digest(key)}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}
	return append(text, '\n'), nil
}

// decodeKey never quotes the file: it may hold a key.
func decodeKey(k kind, text []byte) ([]byte, error) {
	var f keyFile
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if d.Decode(&f) != nil || d.More() {
		return nil, fmt.Errorf("%w: it does not have the form of a key file", ErrDamaged)
	}
	switch {
	case f.Version != formatV1:
		return nil, fmt.Errorf("%w: it has the form %d, this version of the program knows %d", ErrDamaged, f.Version,
			formatV1)
	case f.Kind != k:
		return nil, fmt.Errorf("%w: it is not a %s key", ErrDamaged, k)
	case len(f.Key) == 0, f.SHA256 != digest(f.Key):
		return nil, fmt.Errorf("%w: the key does not match its digest", ErrDamaged)
	}
	return f.Key, nil
}

func digest(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:])
}

// folder is the directory that holds the key files.
type folder string

// read returns a key; ErrNoKey when its file is not there.
func (d folder) read(name string, k kind) ([]byte, error) {
	path := filepath.Join(string(d), name)
	text, mode, err := readPlain(path, maxKeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoKey, path)
	}
	if err != nil {
		return nil, fmt.Errorf("reading a key: %w", err)
	}
	if mode.Perm()&0o007 != 0 {
		return nil, fmt.Errorf("the key file %s is open to every user of this machine: take their rights away (chmod 600)",
			path)
	}
	key, err := decodeKey(k, text)
	if err != nil {
		return nil, fmt.Errorf("the key file %s cannot be used: %w; put it back from a backup", path, err)
	}
	return key, nil
}

// readPlain returns what a small file holds, and its mode. What is no plain file, or
// too large, is ErrDamaged, and nobody waits for who writes into a pipe.
func readPlain(path string, limit int64) ([]byte, fs.FileMode, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, misplaced(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, 0, fmt.Errorf("%w: %s is no small plain file", ErrDamaged, path)
	}
	text, err := io.ReadAll(io.LimitReader(f, limit))
	return text, info.Mode(), err
}

// misplaced adds ErrDamaged to an error that says that a file is where a
// directory should be, or links go round in a circle: disks that fail say other things.
func misplaced(err error) error {
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// create writes a new key file, whole or not at all, and durable when it
// returns. It reports false when the file is there already: of several
// processes that create it at once, exactly one does.
func (d folder) create(name string, k kind, key []byte) (created bool, err error) {
	text, err := encodeKey(k, key)
	if err != nil {
		return false, err
	}
	tmp := filepath.Join(string(d), "."+name+"."+rand.Text())
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return false, fmt.Errorf("making a key: %w", err)
	}
	defer os.Remove(tmp) //nolint:errcheck // If it stays, it is harmless.
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return false, fmt.Errorf("making a key: %w", err)
	}
	// A link fails where a rename would replace another process's key.
	switch err := os.Link(tmp, filepath.Join(string(d), name)); {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("making a key: %w", err)
	}
	return true, syncDir(string(d))
}

// obtain returns a key, made if need be.
func (d folder) obtain(name string, k kind, fresh func() ([]byte, error)) ([]byte, error) {
	key, err := d.read(name, k)
	if !errors.Is(err, ErrNoKey) {
		return key, err
	}
	if key, err = fresh(); err != nil {
		return nil, err
	}
	created, err := d.create(name, k, key)
	if err != nil || created {
		return key, err
	}
	return d.read(name, k)
}

// make creates the directory, durably.
func (d folder) make() error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("making the directory of the keys: %w", err)
	}
	return syncDir(filepath.Dir(string(d)))
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("making a key durable: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("making a key durable: %w", err)
	}
	return nil
}

func random() ([]byte, error) {
	key := make([]byte, keySize)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return key, nil
}
