package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// refusalReasons are why a token may be refused, in the order in which they are
// looked for: the words are ours, so that nothing of a token reaches the log, and
// few, so that nobody fills it.
var refusalReasons = []struct {
	err  error
	says string
}{
	{errTokenForm, "it has not the form of a token"},
	{jwt.ErrTokenMalformed, "it has not the form of a token"},
	{errUnknownKey, "it is signed by a key that the issuer does not publish"},
	{errKeyAlgorithm, "its key is for another algorithm"},
	{errTokenHeader, "it has a header that is not allowed"},
	{errTokenLife, "it lives longer than allowed (exp)"},
	{errTokenSubject, "its subject (sub) is no mailbox address"},
	{errTokenUserID, "it does not say which user it is for: see auth.user_id_claim"},
	{ErrFormerUser, "its user's id (auth.user_id_claim) is not the one that the address belongs to any more"},
	{jwt.ErrTokenExpired, "it has expired (exp)"},
	{jwt.ErrTokenNotValidYet, "it is not valid yet (nbf)"},
	{jwt.ErrTokenUsedBeforeIssued, "it was issued in the future (iat): compare the clocks"},
	{jwt.ErrTokenInvalidAudience, "it is for another audience (aud): see auth.audience"},
	{jwt.ErrTokenInvalidIssuer, "it is by another issuer (iss): see auth.issuer"},
	{jwt.ErrTokenRequiredClaimMissing, "a claim is missing: sub, exp, and iss or aud where they are configured"},
	{jwt.ErrTokenSignatureInvalid, "its signature does not fit: another secret or key, or another algorithm than " +
		"configured"},
	{jwt.ErrTokenUnverifiable, "its signature cannot be verified"},
}

// refusalEvery is how often the log tells of a reason.
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
