package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// refusalReasons are why a token may be refused, in the order in which they are
// looked for: the words are ours, so that nothing of a token reaches the log, and
// few, so that nobody fills it.
var refusalReasons = []struct {
	err  error
	says string
}{
	{errTokenForm, "it has not the form of a token"},
	{errUnknownKey, "it is signed by a key that the issuer does not publish"},
	{errKeyAlgorithm, "its key is for another algorithm"},
	{errTokenHeader, "it has a header that is not allowed"},
	{errTokenLife, "it lives longer than allowed (exp)"},
	{errTokenSubject, "its subject (sub) is no mailbox address"},
	{errTokenUserID, "it does not say which user it is for: see auth.user_id_claim"},
	{ErrFormerUser, "its user's id (auth.user_id_claim) is not the one that the address belongs to any more"},
	{errTokenExpired, "it has expired (exp)"},
	{errTokenEarly, "it is not valid yet (nbf)"},
	{errTokenFuture, "it was issued in the future (iat): compare the clocks"},
	{errTokenAudience, "it is for another audience (aud): see auth.audience"},
	{errTokenIssuer, "it is by another issuer (iss): see auth.issuer"},
	{errTokenClaim, "a claim is missing: sub, exp, and iss or aud where they are configured"},
	{errTokenSignature, "its signature does not fit: another secret or key, or another algorithm than " +
		"configured"},
}

// refusalEvery is how often the log reports a reason.
const refusalEvery = time.Minute

// refusals tells operators why tokens are refused: callers learn nothing.
type refusals struct {
	mu   sync.Mutex
	told map[string]time.Time
	more map[string]int // Since then.
}

func reasonFor(err error) string {
	for _, r := range refusalReasons {
		if errors.Is(err, r.err) {
			return r.says
		}
	}
	return "it is not valid"
}

func (r *refusals) tell(ctx context.Context, log *slog.Logger, now time.Time, err error) {
	reason := reasonFor(err)
	r.mu.Lock()
	last, seen := r.told[reason]
	if seen && now.Sub(last) >= 0 && now.Sub(last) < refusalEvery {
		r.more[reason]++
		r.mu.Unlock()
		return
	}
	if r.told == nil {
		r.told, r.more = map[string]time.Time{}, map[string]int{}
	}
	more := r.more[reason]
	r.told[reason], r.more[reason] = now, 0
	r.mu.Unlock()
	log.InfoContext(ctx, "a token was refused", "reason", reason, "others_since", more)
}
