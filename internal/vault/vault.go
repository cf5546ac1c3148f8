// Package vault keeps credentials: sealed at rest, opened for one login. It
// owns the keys in data_dir: the one that seals, the one that names delivered
// files, and the one that signs bearer tokens.
//
// What it seals opens only for the same owner, subject and field. Its keys are
// made once, whole or not at all, and never deleted. It knows nothing of SQL
// (rows come through interfaces it declares), of HTTP or of mail.
package vault

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// ErrUnreadable says that a sealed secret does not open: its key is gone, or
// it belongs to another subject, or it is damaged.
var ErrUnreadable = errors.New("the sealed secret does not open with the keys of this vault")

// Rows is where sealed secrets are kept.
type Rows interface {
	SealedSecret(ctx context.Context, ref remote.SecretRef) ([]byte, error)
}

// Vault seals and opens. It is safe for concurrent use, also by several
// processes on the same directory.
type Vault struct {
	dir            folder
	token, signing remote.Secret

	mu   sync.RWMutex
	ring *ring
}

var _ account.Sealer = (*Vault)(nil)

const (
	subfolder   = "keys"
	tokenFile   = "token.key"
	signingFile = "signing.key"
)

// Open loads the keys below dir, in its folder "keys", and makes those that
// are missing.
func Open(dir string) (*Vault, error) {
	d := folder(filepath.Join(dir, subfolder))
	if err := d.make(); err != nil {
		return nil, err
	}
	_, used, err := Installation(dir)
	if err == nil && !used {
		err = d.markUnused()
	}
	if err != nil {
		return nil, err
	}
	r, err := d.obtainRing()
	if err != nil {
		return nil, err
	}
	return load(d, r, func(name string, k kind) ([]byte, error) { return d.obtain(name, k, random) })
}

// Load is Open that makes nothing. Its error wraps ErrNoKey when a key is
// missing: who knows that the database has secrets can distinguish a first start from
// a lost or unmounted directory. It wraps ErrDamaged when one is no key.
func Load(dir string) (*Vault, error) {
	d := folder(filepath.Join(dir, subfolder))
	r, err := d.readRing()
	if err != nil {
		return nil, err
	}
	return load(d, r, d.read)
}

func load(d folder, r *ring, get func(string, kind) ([]byte, error)) (*Vault, error) {
	v := &Vault{dir: d, ring: r}
	for _, f := range []struct {
		name string
		kind kind
		into *remote.Secret
	}{{tokenFile, token, &v.token}, {signingFile, signing, &v.signing}} {
		key, err := get(f.name, f.kind)
		if err != nil {
			return nil, err
		}
		if len(key) != keySize {
			return nil, fmt.Errorf("the key file %s cannot be used: %w: the key has %d bytes, not %d", f.name, ErrDamaged,
				len(key), keySize)
		}
		*f.into = remote.NewSecret(string(key))
	}
	return v, nil
}

// TokenKey returns the key of mail.TokenFor, 32 bytes. It must outlive the
// database: with another one, delivered mail is not recognised by its names.
func (v *Vault) TokenKey() []byte { return []byte(v.token.Reveal()) }

// SigningKey returns the secret that signs bearer tokens, 32 bytes for HS256.
func (v *Vault) SigningKey() []byte { return []byte(v.signing.Reveal()) }

// sealedV1 stands in front of the ciphertext; the same number is part of what
// the seal is bound to.
const sealedV1 = 1

// Seal implements account.Sealer.
func (v *Vault) Seal(ref remote.SecretRef, s remote.Secret) ([]byte, error) {
	return v.current().seal(ref, s)
}

// Unseal implements account.Sealer. Its error is a *fault.Error with Internal
// that tells the user to enter the password again, and wraps ErrUnreadable.
func (v *Vault) Unseal(ref remote.SecretRef, sealed []byte) (remote.Secret, error) {
	r := v.current()
	s, err := r.unseal(ref, sealed)
	if err != nil {
		// Another process may have rotated the keys.
		if newer := v.refresh(r.generation); newer != nil {
			s, err = newer.unseal(ref, sealed)
		}
	}
	if err != nil {
		return remote.Secret{}, &fault.Error{
			Code: fault.Internal, Op: "opening the saved password",
			Detail: words.Detail{words.Say("The saved password cannot be read any more: enter it again.")}, Err: err,
		}
	}
	return s, nil
}

// Credential returns what a login of the account takes that has a password. Its
// error is a *fault.Error, or wraps what rows answered.
func (v *Vault) Credential(ctx context.Context, rows Rows, m remote.Mailbox) (remote.Credential, error) {
	if m.Auth == remote.OAuth2 {
		return remote.Credential{}, fault.New(fault.OAuthReauthorizationRequired, "signing in",
			words.Say("This account has no password: it signs in by what its user allowed on the provider's page."))
	}
	sealed, err := rows.SealedSecret(ctx, m.Secret)
	if err != nil {
		return remote.Credential{}, fmt.Errorf("loading the saved password: %w", err)
	}
	s, err := v.Unseal(m.Secret, sealed)
	if err != nil {
		return remote.Credential{}, err
	}
	return remote.Credential{Auth: remote.Password, Username: m.Username, Secret: s}, nil
}

func (r *ring) seal(ref remote.SecretRef, s remote.Secret) ([]byte, error) {
	c, err := r.aead.Encrypt([]byte(s.Reveal()), binding(ref))
	if err != nil {
		return nil, fmt.Errorf("sealing a secret: %w", err)
	}
	return append([]byte{sealedV1}, c...), nil
}

func (r *ring) unseal(ref remote.SecretRef, sealed []byte) (remote.Secret, error) {
	if len(sealed) == 0 || sealed[0] != sealedV1 {
		return remote.Secret{}, fmt.Errorf("%w: it has no form that is known", ErrUnreadable)
	}
	plain, err := r.aead.Decrypt(sealed[1:], binding(ref))
	if err != nil {
		return remote.Secret{}, ErrUnreadable
	}
	return remote.NewSecret(string(plain)), nil
}

// binding is the associated data: version, owner, subject and field, each with
// its length, so that no two of them read the same.
func binding(ref remote.SecretRef) []byte {
	b := []byte("mailbrook sealed secret")
	b = append(b, sealedV1)
	for _, part := range []string{ref.Owner.String(), ref.Subject, string(ref.Field)} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part)))
		b = append(b, part...)
	}
	return b
}

func (v *Vault) current() *ring {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.ring
}

// refresh loads the ring if there is a newer generation than the given one,
// and returns it, else nil.
func (v *Vault) refresh(than int) *ring {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ring.generation > than {
		return v.ring
	}
	if newest, err := v.dir.newestGeneration(); err != nil || newest <= than {
		return nil
	}
	r, err := v.dir.readRing()
	if err != nil {
		return nil
	}
	v.ring = r
	return r
}
