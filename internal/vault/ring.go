package vault

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// Generations of the sealing keys lie side by side, each with all the keys of
// the one before and a new one: secrets sealed under an old key open for as
// long as the newest file is there, and two processes that rotate at once
// cannot lose one another's key, as they could by replacing a single file.
const ringName = "sealing-%06d.key"

// ring is one generation of the sealing keys.
type ring struct {
	generation int
	handle     *keyset.Handle
	aead       tink.AEAD
	primary    uint32 // The id of the key that seals; it stands in front of what it sealed.
	keys       int
}

// newestGeneration returns the number of the newest ring file, 0 for none.
func (d folder) newestGeneration() (int, error) {
	entries, err := os.ReadDir(string(d))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("listing the keys: %w", misplaced(err))
	}
	newest := 0
	for _, e := range entries {
		var n int
		if _, err := fmt.Sscanf(e.Name(), ringName, &n); err == nil && e.Name() == fmt.Sprintf(ringName, n) {
			newest = max(newest, n)
		}
	}
	return newest, nil
}

// readRing returns the newest ring.
func (d folder) readRing() (*ring, error) {
	generation, err := d.newestGeneration()
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf(ringName, max(generation, 1))
	material, err := d.read(name, sealing)
	if err != nil {
		return nil, err
	}
	r, err := parseRing(generation, material)
	if err != nil {
		return nil, fmt.Errorf("the key file %s cannot be used: %w; put it back from a backup", name, err)
	}
	return r, nil
}

// obtainRing returns the newest ring, made if there is none.
func (d folder) obtainRing() (*ring, error) {
	r, err := d.readRing()
	if !errors.Is(err, ErrNoKey) {
		return r, err
	}
	material, err := d.obtain(fmt.Sprintf(ringName, 1), sealing, func() ([]byte, error) { return grow(nil) })
	if err != nil {
		return nil, err
	}
	return parseRing(1, material)
}

func parseRing(generation int, material []byte) (*ring, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewBinaryReader(bytes.NewReader(material)))
	if err != nil {
		return nil, fmt.Errorf("%w: it holds no set of keys", ErrDamaged) // Tink's own words might quote it.
	}
	primary, err := handle.Primary()
	if err != nil {
		return nil, fmt.Errorf("%w: none of its keys is the first", ErrDamaged)
	}
	a, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("%w: its keys are of another kind", ErrDamaged)
	}
	return &ring{generation: generation, handle: handle, aead: a, primary: primary.KeyID(), keys: handle.Len()}, nil
}

// grow returns the material of a ring with all keys of r and a new one, which
// seals from then on.
func grow(r *ring) ([]byte, error) {
	m := keyset.NewManager()
	if r != nil {
		m = keyset.NewManagerFromHandle(r.handle)
	}
	id, err := m.Add(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	handle, err := m.Handle()
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	var out bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewBinaryWriter(&out)); err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return out.Bytes(), nil
}

// sealedByPrimary reports whether the key that seals today sealed this.
func (r *ring) sealedByPrimary(ciphertext []byte) bool {
	// Tink's prefix: 0x01, then the key's id.
	return len(ciphertext) >= 5 && ciphertext[0] == 1 && binary.BigEndian.Uint32(ciphertext[1:5]) == r.primary
}
