package vault

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

// A disk that fails says nothing about what is on it; the control is what is certain.
func TestADiskThatFailsIsNoDamage(t *testing.T) {
	for err, want := range map[error]bool{
		syscall.EIO: false, syscall.ESTALE: false, syscall.EACCES: false, syscall.EMFILE: false, syscall.ETIMEDOUT: false,
		syscall.ENOTDIR: true, syscall.ELOOP: true,
	} {
		if got := errors.Is(misplaced(&fs.PathError{Op: "open", Err: err}), ErrDamaged); got != want {
			t.Errorf("%v is damage: %v", err, got)
		}
	}
}

// A key file comes from a disk, a backup or an editor. Whatever it holds, it
// is either exactly a key of the asked kind or an error that quotes nothing.
func FuzzKeyFile(f *testing.F) {
	key := bytes.Repeat([]byte{7}, keySize)
	for _, k := range []kind{sealing, token, signing} {
		text, err := encodeKey(k, key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	const ofNothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	f.Add([]byte(`{"version":1,"kind":"token","key":"","sha256":"` + ofNothing + `"}`))
	f.Add([]byte(`{"version":1}{"version":1}`))
	f.Add([]byte("\xff\xfe"))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, err := decodeKey(token, text)
		if err != nil {
			if len(text) > 40 && strings.Contains(err.Error(), string(text[len(text)/2:])) {
				t.Fatalf("the error quotes the file: %v", err)
			}
			return
		}
		again, err := encodeKey(token, key)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeKey(token, again); err != nil || !bytes.Equal(back, key) {
			t.Fatalf("%q does not survive: %v", text, err)
		}
	})
}

func FuzzRing(f *testing.F) {
	material, err := grow(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(material)
	f.Add(material[:len(material)-3])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, material []byte) {
		r, err := parseRing(1, material)
		if err == nil && (r.aead == nil || r.keys < 1) {
			t.Fatal("a ring without a key")
		}
	})
}
