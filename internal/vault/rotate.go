package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/mailbrook/mailbrook/internal/remote"
)

// Rotate adds a key that seals from now on. What older keys sealed still
// opens; Reseal moves it over. Processes that run meanwhile take the new key
// up when they meet it.
func (v *Vault) Rotate() error {
	for {
		r, err := v.dir.readRing()
		if err != nil {
			return fmt.Errorf("rotating the keys: %w", err)
		}
		material, err := grow(r)
		if err != nil {
			return fmt.Errorf("rotating the keys: %w", err)
		}
		created, err := v.dir.create(fmt.Sprintf(ringName, r.generation+1), sealing, material)
		if err != nil {
			return fmt.Errorf("rotating the keys: %w", err)
		}
		if created {
			v.refresh(r.generation)
			return nil
		}
		// Another process rotated first; ours is added to its key.
	}
}

// SealedSecret is one row's secret and what it is bound to.
type SealedSecret struct {
	Ref    remote.SecretRef
	Sealed []byte
}

// Archive is all the rows that hold sealed secrets. Only Reseal asks across
// owners.
type Archive interface {
	// SealedSecrets returns up to limit secrets that follow after by their subjects
	// and fields; the zero SecretRef begins.
	SealedSecrets(ctx context.Context, after remote.SecretRef, limit int) ([]SealedSecret, error)
	// ReplaceSealed replaces from by to, and leaves a secret alone
	// that is another one by now.
	ReplaceSealed(ctx context.Context, ref remote.SecretRef, from, to []byte) error
}

// Resealed counts what Reseal did.
type Resealed struct {
	Moved      int // Sealed again under the present key.
	Unreadable int // Left as they are: their users have to enter the password again.
}

const resealPage = 500

// Reseal seals again what older keys sealed: a chore, to be run daily by any
// number of processes. Old keys stay, for backups of the database.
func (v *Vault) Reseal(ctx context.Context, rows Archive) (Resealed, error) {
	var done Resealed
	r := v.current()
	if newer := v.refresh(r.generation); newer != nil {
		r = newer
	}
	if r.keys < 2 {
		return done, nil // Nothing can be sealed by an older key.
	}
	for after := (remote.SecretRef{}); ; {
		page, err := rows.SealedSecrets(ctx, after, resealPage)
		if err != nil {
			return done, fmt.Errorf("resealing: listing secrets: %w", err)
		}
		for _, s := range page {
			after = s.Ref
			if err := v.reseal(ctx, rows, r, s, &done); err != nil {
				return done, err
			}
		}
		if len(page) < resealPage {
			return done, nil
		}
	}
}

func (v *Vault) reseal(ctx context.Context, rows Archive, r *ring, s SealedSecret, done *Resealed) error {
	if len(s.Sealed) > 0 && s.Sealed[0] == sealedV1 && r.sealedByPrimary(s.Sealed[1:]) {
		return nil
	}
	secret, err := v.Unseal(s.Ref, s.Sealed)
	if errors.Is(err, ErrUnreadable) {
		done.Unreadable++
		return nil
	}
	if err != nil {
		return fmt.Errorf("resealing: %w", err)
	}
	sealed, err := r.seal(s.Ref, secret)
	if err != nil {
		return fmt.Errorf("resealing: %w", err)
	}
	if err := rows.ReplaceSealed(ctx, s.Ref, s.Sealed, sealed); err != nil {
		return fmt.Errorf("resealing: saving: %w", err)
	}
	done.Moved++
	return nil
}
