package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/mailbrook/mailbrook/internal/words"
)

// What is wrong with a repeated request.
var (
	// ErrKeyReused says that a request's name was another request's.
	ErrKeyReused = errors.New("this Idempotency-Key was sent with another body: take a new one for a new request")
	// ErrKeyInProgress says that the first request of this name is not answered yet.
	ErrKeyInProgress = errors.New("a request of this Idempotency-Key is under way: ask again in a few seconds")
)

// once performs a call that its sender may repeat under a name (the header
// Idempotency-Key, draft-ietf-httpapi-idempotency-key-header): of all requests of one name one is
// performed, and all that have its body get its answer. One that fails was not:
// its name is free again. do is given the id that what it makes should have, the same
// one when a request is taken up again whose process died; "" without a name.
func once[T any](ctx context.Context, s *server, call string, header *string,
	do func(ctx context.Context, id string) (T, error),
) (answer T, err error) {
	if header == nil {
		return do(ctx, "")
	}
	name, ok := idempotencyKey(*header)
	if !ok {
		return answer, malformed("Idempotency-Key", "invalid",
			words.Say("must be 1 to 255 visible characters of ASCII, in quotes or without"))
	}
	request, err := fingerprint(ctx)
	if err != nil {
		return answer, err
	}
	kept, err := s.Repeats.Once(ctx, caller(ctx).Owner, call+" "+name, request, func(id string) ([]byte, error) {
		made, err := do(ctx, id)
		if err != nil {
			return nil, err
		}
		return json.Marshal(made)
	})
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(kept, &answer); err != nil {
		return answer, fmt.Errorf("reading a kept answer: %w", err)
	}
	return answer, nil
}

// idempotencyKey reads the header: a string of RFC 8941 section 3.3.3, or, as most
// clients send it, the bare word.
func idempotencyKey(header string) (string, bool) {
	key := strings.Trim(header, " ")
	if inner, quoted := strings.CutPrefix(key, `"`); quoted {
		if key, quoted = strings.CutSuffix(inner, `"`); !quoted {
			return "", false
		}
		key = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(key)
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return "", false
		}
	}
	return key, key != "" && len(key) <= 255
}

// fingerprint tells one body from another, however its members are ordered and
// spaced. It is never kept in clear: a body may hold a password.
func fingerprint(ctx context.Context) ([]byte, error) {
	b, ok := ctx.Value(bodyKey{}).(*body)
	if !ok {
		return nil, errors.New("a request is to be repeatable that has no body")
	}
	canonical, err := json.Marshal(b.value)
	if err != nil {
		return nil, fmt.Errorf("reading a body: %w", err)
	}
	sum := sha256.Sum256(canonical)
	return sum[:], nil
}
