package remote

import (
	"errors"
	"fmt"
	"log/slog"
)

// Secret is a password or token that cannot be printed. The bytes sit behind a
// closure because fmt and log/slog print what unexported fields hold whatever
// methods their type has; of a function they print an address.
//
// The zero Secret is empty.
type Secret struct{ open func() string }

// NewSecret hides s.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{open: func() string { return s }}
}

// Reveal returns the bytes. Every call is a place to review.
func (s Secret) Reveal() string {
	if s.open == nil {
		return ""
	}
	return s.open()
}

// Empty reports whether there is nothing to hide.
func (s Secret) Empty() bool { return s.open == nil }

const redacted = "[redacted]"

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (Secret) GoString() string { return redacted }

// Format prints "[redacted]" for every verb.
func (Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// LogValue logs "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText fails: a secret has no text form, so no encoder can let it out.
func (Secret) MarshalText() ([]byte, error) { return nil, errors.New("a secret cannot be encoded") }

// MarshalJSON fails, as MarshalText does.
func (Secret) MarshalJSON() ([]byte, error) { return nil, errors.New("a secret cannot be encoded") }
