package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	// margin is how long before its end an access token is replaced; of
	// short-lived ones a quarter of their life.
	margin = 2 * time.Minute
	// claimLife is for how long a process has a lasting token for itself: more
	// than asking and saving take.
	claimLife = 30 * time.Second
	claimWait = 200 * time.Millisecond
	// maxKept access tokens are remembered at once; for others one is asked
	// for each time.
	maxKept = 50_000
)

// useful is the part of an access token's life in which it is used.
func useful(life time.Duration) time.Duration { return life - min(margin, life/4) }

// kept is an access token that is remembered.
type kept struct {
	access remote.Secret
	from   string // A digest of the lasting token that it was given for.
	until  time.Time
}

// lastingMark stands in front of an account's secret that is no password. A
// server that was sent one as a password would get NUL, which no login sends.
const lastingMark = "\x00oauth2 1\n"

// lasting is an account's secret.
type lasting struct {
	Provider string `json:"provider"`
	Refresh  string `json:"refresh"`
}

func lastingText(provider, refresh string) remote.Secret {
	text, err := json.Marshal(lasting{provider, refresh})
	if err != nil { // Two strings: it cannot.
		panic(err)
	}
	return remote.NewSecret(lastingMark + string(text))
}

func parseLasting(s remote.Secret) (l lasting, err error) {
	text, ok := strings.CutPrefix(s.Reveal(), lastingMark)
	if !ok || json.Unmarshal([]byte(text), &l) != nil || l.Refresh == "" {
		return l, errors.New("the saved permission has no form that is known")
	}
	return l, nil
}

// Credential implements account.Grants: an access token that is good for a
// while, with the way to another one when the server refuses it. Its error is
// a *fault.Error, or what keeps secrets answered.
func (s *Service) Credential(ctx context.Context, m remote.Mailbox) (remote.Credential, error) {
	access, err := s.access(ctx, m, remote.Secret{})
	if err != nil {
		return remote.Credential{}, err
	}
	return remote.Credential{
		Auth: remote.OAuth2, Username: m.Username, Secret: access,
		Renew: func(ctx context.Context, refused remote.Secret) (remote.Secret, error) {
			return s.access(ctx, m, refused)
		},
	}, nil
}

// access returns an access token other than the refused one. In one process
// one at a time asks for an account, and of several processes one: a provider
// that gives a new lasting token each time takes two that use the old one for
// theft.
func (s *Service) access(ctx context.Context, m remote.Mailbox, refused remote.Secret) (remote.Secret, error) {
	release, err := s.takeTurn(ctx, m.Secret.Subject)
	if err != nil {
		return remote.Secret{}, err
	}
	defer release()
	_, l, err := s.lastingOf(ctx, m)
	if err != nil {
		return remote.Secret{}, err
	}
	// Whatever the account's settings say by now: tokens go to nobody else.
	if p, known := s.byID[l.Provider]; known && !s.Serves(p.ID, m.Server.Host) {
		return remote.Secret{}, fault.New(fault.HostNotAllowed, "signing in",
			words.Say("This server is not one of %s's own.", p.Name))
	}
	if k, ok := s.remembered(m.Secret.Subject, l); ok && k.access.Reveal() != refused.Reveal() {
		return k.access, nil
	}
	claim := "refresh " + m.Secret.Subject
	for {
		mine, err := s.Pending.ClaimPending(ctx, claim, m.Secret.Owner, s.Now().Add(claimLife))
		if err != nil {
			return remote.Secret{}, err
		}
		if mine {
			break
		}
		select {
		case <-ctx.Done():
			return remote.Secret{}, fmt.Errorf("waiting for the provider's permission: %w", ctx.Err())
		case <-time.After(claimWait):
		}
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		if _, _, err := s.Pending.UsePending(ctx, claim); err != nil && !errors.Is(err, account.ErrNotFound) {
			s.Log.WarnContext(ctx, "giving up a claim", "account", m.Secret.Subject, "error", err) // It ends by itself.
		}
	}()
	return s.replace(ctx, m)
}

// replace asks for a new access token, and saves a new lasting one before the
// other is used. The caller has the account's token for itself.
func (s *Service) replace(ctx context.Context, m remote.Mailbox) (remote.Secret, error) {
	sealed, l, err := s.lastingOf(ctx, m) // Another process may have replaced it.
	if err != nil {
		return remote.Secret{}, err
	}
	p, known := s.byID[l.Provider]
	if !known {
		return remote.Secret{}, &fault.Error{
			Code: fault.OAuthReauthorizationRequired, Op: "signing in", Final: true,
			Detail: words.Detail{words.Say("Signing in on this provider's page is not offered here any more.")},
		}
	}
	ctx = context.WithoutCancel(ctx) // Bounded by request; a token that was replaced and not saved would be lost.
	turn, wait := s.outages.enter(p.ID, s.Now())
	if wait > 0 {
		return remote.Secret{}, &fault.Error{
			Code: fault.ServerUnavailable, Op: "signing in", Detail: outOfOrder(p), RetryAfter: wait, Elsewhere: true,
		}
	}
	t, err := s.refresh(ctx, p, m, remote.NewSecret(l.Refresh))
	if held := (*remote.HeldBackError)(nil); !errors.As(err, &held) { // Else it was not asked, and has not answered.
		s.outages.leave(p.ID, turn, m.Secret.Owner, err, s.Now())
	}
	if err != nil {
		s.forget(m.Secret.Subject)
		return remote.Secret{}, err
	}
	if next := t.refresh.Reveal(); next != "" && next != l.Refresh {
		l.Refresh = next
		fresh, err := s.Sealer.Seal(m.Secret, lastingText(p.ID, next))
		if err != nil {
			return remote.Secret{}, fmt.Errorf("sealing a new permission: %w", err)
		}
		if err := s.Secrets.ReplaceSealed(ctx, m.Secret, sealed, fresh); err != nil {
			return remote.Secret{}, fmt.Errorf("saving a new permission: %w", err)
		}
	}
	s.remember(m.Secret.Subject, kept{t.access, digest(l.Refresh), s.Now().Add(useful(t.life))})
	return t.access, nil
}

func (s *Service) lastingOf(ctx context.Context, m remote.Mailbox) ([]byte, lasting, error) {
	sealed, err := s.Secrets.SealedSecret(ctx, m.Secret)
	if err != nil {
		return nil, lasting{}, fmt.Errorf("loading the saved permission: %w", err)
	}
	secret, err := s.Sealer.Unseal(m.Secret, sealed)
	var l lasting
	if err == nil {
		l, err = parseLasting(secret)
	}
	if err != nil {
		return nil, lasting{}, &fault.Error{
			Code: fault.OAuthReauthorizationRequired, Op: "opening the saved permission", Final: true, Err: err,
			Detail: words.Detail{words.Say("The saved permission cannot be read any more.")},
		}
	}
	return sealed, l, nil
}

// remembered returns the access token of a lasting one while it is good. One
// that was given for an older one is of the past: the user has signed in again.
func (s *Service) remembered(id string, l lasting) (kept, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.fresh[id]
	return k, ok && k.from == digest(l.Refresh) && s.Now().Before(k.until)
}

func (s *Service) remember(id string, k kept) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.fresh) >= maxKept {
		now := s.Now()
		for other, o := range s.fresh {
			if !now.Before(o.until) {
				delete(s.fresh, other)
			}
		}
		if len(s.fresh) >= maxKept {
			return
		}
	}
	s.fresh[id] = k
}

func (s *Service) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.fresh, id)
}

// turn is who asks for an account's token in this process; others wait.
type turn struct {
	place chan struct{}
	users int // Holding or waiting; at 0 the turn is forgotten.
}

// takeTurn waits until nobody else in this process asks for the account.
func (s *Service) takeTurn(ctx context.Context, id string) (release func(), err error) {
	s.mu.Lock()
	t, ok := s.turns[id]
	if !ok {
		t = &turn{place: make(chan struct{}, 1)}
		s.turns[id] = t
	}
	t.users++
	s.mu.Unlock()
	leave := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(s.turns, id)
		}
	}
	select {
	case t.place <- struct{}{}:
		return func() { <-t.place; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, fmt.Errorf("waiting for the provider's permission: %w", ctx.Err())
	}
}
