package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/httpapi"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/store"
)

// repeats has requests that may be repeated performed once over all processes, and
// keeps what was asked and answered sealed.
type repeats struct {
	rows  store.Repeatable
	seals account.Sealer
	now   func() time.Time
}

// repeatPatience is after how long a request that was begun and not answered is
// taken for one whose process died, unless that says meanwhile that it continues.
const repeatPatience = 15 * time.Second

// repeated is what is kept, sealed.
type repeated struct {
	Request []byte `json:"request"` // Its fingerprint.
	ID      string `json:"id"`      // Of what is made.
	Answer  []byte `json:"answer,omitempty"`
}

// Once implements httpapi.Repeats.
func (r repeats) Once(ctx context.Context, o owner.Owner, name string, request []byte,
	do func(id string) ([]byte, error),
) ([]byte, error) {
	name = o.String() + " " + name
	what := repeated{Request: request, ID: uuid.NewString()}
	attempt := rand.Text()
	sealed, err := r.seal(o, name, what)
	if err != nil {
		return nil, err
	}
	earlier, err := r.rows.Begin(ctx, o, name, attempt, sealed, r.now().Add(repeatPatience))
	if err != nil {
		return nil, err
	}
	if earlier != nil {
		if what, err = r.unseal(o, name, earlier.Sealed); err != nil {
			return nil, err
		}
		switch {
		case !bytes.Equal(what.Request, request):
			return nil, httpapi.ErrKeyReused
		case earlier.Done:
			return what.Answer, nil
		case earlier.Live:
			return nil, httpapi.ErrKeyInProgress
		}
		ours, err := r.rows.TakeOver(ctx, name, attempt, r.now().Add(repeatPatience))
		if err != nil {
			return nil, err
		}
		if !ours {
			return nil, httpapi.ErrKeyInProgress
		}
	}
	return r.perform(ctx, o, name, attempt, what, do)
}

// perform does what was asked and keeps the answer, also when who asked has gone. A
// name whose request fails, or panics, is free again.
func (r repeats) perform(ctx context.Context, o owner.Owner, name, attempt string, what repeated,
	do func(id string) ([]byte, error),
) ([]byte, error) {
	after := context.WithoutCancel(ctx)
	done := false
	defer r.keep(after, name, attempt)()
	defer func() {
		if !done {
			_ = r.rows.Forget(after, name, attempt) // Else it is free after repeatPatience.
		}
	}()
	answer, err := do(what.ID)
	if err != nil {
		return nil, err
	}
	done = true
	what.Answer = answer
	sealed, err := r.seal(o, name, what)
	if err != nil {
		return nil, err
	}
	return answer, r.rows.Finish(after, name, attempt, sealed)
}

// keep says again and again that a request continues, until what it returns is called.
// What cannot be said for a while is said later: whoever takes the request over
// makes the same, under the same id.
func (r repeats) keep(ctx context.Context, name, attempt string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for pause(ctx, repeatPatience/5) {
			_ = r.rows.Keep(ctx, name, attempt, r.now().Add(repeatPatience))
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// sealedAs names what is sealed of a request.
func sealedAs(o owner.Owner, name string) remote.SecretRef {
	return remote.SecretRef{Owner: o, Subject: "request " + name, Field: remote.SignsIn}
}

func (r repeats) seal(o owner.Owner, name string, what repeated) ([]byte, error) {
	plain, err := json.Marshal(what)
	if err != nil {
		return nil, fmt.Errorf("writing a repeatable request: %w", err)
	}
	return r.seals.Seal(sealedAs(o, name), remote.NewSecret(string(plain)))
}

func (r repeats) unseal(o owner.Owner, name string, sealed []byte) (what repeated, err error) {
	plain, err := r.seals.Unseal(sealedAs(o, name), sealed)
	if err != nil {
		return what, fmt.Errorf("opening a kept request: %w", err)
	}
	if err := json.Unmarshal([]byte(plain.Reveal()), &what); err != nil {
		return what, fmt.Errorf("reading a kept request: %w", err)
	}
	return what, nil
}
