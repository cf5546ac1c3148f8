package vault

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/mailbrook/mailbrook/internal/remote"
)

// ErrForeign says that keys are those of another installation.
var ErrForeign = errors.New("the keys are not those of this installation")

// installationFile holds the identity of the installation that the keys beside
// it belong to. It is no secret.
const (
	installationFile = "installation"
	maxIdentity      = 256 // Bytes.
)

// unused marks keys that were made for no installation yet: they have
// sealed nothing, so nothing is missing where there is no database.
const unused = "none"

// Installation returns the identity that the keys below dir have, "" where they
// have none, and whether there is any key that may have been used. Its error wraps
// ErrDamaged where the file or the directory is something else.
func Installation(dir string) (id string, any bool, err error) {
	d := folder(filepath.Join(dir, subfolder))
	text, _, err := readPlain(filepath.Join(string(d), installationFile), maxIdentity)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", false, fmt.Errorf("reading whose the keys are: %w", err)
	}
	id = strings.TrimSpace(string(text))
	if id == unused {
		return "", false, nil
	}
	entries, err := os.ReadDir(string(d))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", false, fmt.Errorf("listing the keys: %w", misplaced(err))
	}
	for _, e := range entries {
		any = any || strings.HasSuffix(e.Name(), ".key") && !strings.HasPrefix(e.Name(), ".")
	}
	return id, any, nil
}

// markUnused marks keys that are about to be made as new. Whoever
// comes at the same moment may have given them an identity already.
func (d folder) markUnused() error {
	f, err := os.OpenFile(filepath.Join(string(d), installationFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("marking new keys: %w", err)
	}
	_, err = f.WriteString(unused + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("marking new keys: %w", err)
	}
	return nil
}

// SetInstallation gives the keys an identity, durably. What they had before
// is replaced.
func (v *Vault) SetInstallation(id string) error {
	path := filepath.Join(string(v.dir), installationFile)
	tmp := filepath.Join(string(v.dir), "."+installationFile+"."+rand.Text())
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("marking the keys: %w", err)
	}
	defer os.Remove(tmp) //nolint:errcheck // Gone, when all went well; useless otherwise.
	_, err = f.WriteString(id + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("marking the keys: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("marking the keys: %w", err)
	}
	return syncDir(string(v.dir))
}

// Prove returns what only these keys open and only for this installation: the
// database keeps it, so that other keys are noticed before they are used. It
// stays good when the sealing keys are rotated.
func (v *Vault) Prove(installation string) (string, error) {
	sealed, err := v.current().aead.Encrypt(v.named(installation), proofOf(installation))
	if err != nil {
		return "", fmt.Errorf("sealing a proof of the keys: %w", err)
	}
	return base64.StdEncoding.EncodeToString(sealed), nil
}

// CheckProof reports whether these are the keys that made the proof: nil, or an
// error that wraps ErrForeign and says which of them is another one.
func (v *Vault) CheckProof(installation, proof string) error {
	sealed, err := base64.StdEncoding.DecodeString(proof)
	if err != nil {
		return fmt.Errorf("%w: the database's proof of them is damaged", ErrForeign)
	}
	plain, err := v.current().aead.Decrypt(sealed, proofOf(installation))
	switch {
	case err != nil:
		return fmt.Errorf("%w: the sealing key (sealing-*.key) is another one", ErrForeign)
	case !hmac.Equal(plain, v.named(installation)):
		return fmt.Errorf("%w: the naming key (%s) is another one", ErrForeign, tokenFile)
	}
	return nil
}

// Opens reports whether any of these secrets opens, or there are none: for keys
// of which nothing was proven yet.
func (v *Vault) Opens(secrets []SealedSecret) bool {
	return len(secrets) == 0 || v.unreadable(secrets) < len(secrets)
}

// Unreadable counts the secrets that no key opens.
func (v *Vault) Unreadable(ctx context.Context, rows Archive) (lost int, err error) {
	for after := (remote.SecretRef{}); ; {
		page, err := rows.SealedSecrets(ctx, after, resealPage)
		if err != nil {
			return lost, fmt.Errorf("counting what the keys open: %w", err)
		}
		lost += v.unreadable(page)
		if len(page) < resealPage {
			return lost, nil
		}
		after = page[len(page)-1].Ref
	}
}

func (v *Vault) unreadable(secrets []SealedSecret) (lost int) {
	for _, s := range secrets {
		if _, err := v.current().unseal(s.Ref, s.Sealed); err != nil {
			lost++
		}
	}
	return lost
}

func proofOf(installation string) []byte { return []byte("mailbrook keys of " + installation) }

// named stands for the naming key, of which it reveals nothing.
func (v *Vault) named(installation string) []byte {
	h := hmac.New(sha256.New, v.TokenKey())
	h.Write(proofOf(installation))
	return h.Sum(nil)
}
