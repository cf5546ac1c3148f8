package oauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	maxAnswer = 64 << 10 // Octets of an answer with tokens.
	maxToken  = 8 << 10
	// maxLife is the longest that an access token is taken to be good,
	// whatever the provider says; unsaidLife when it says nothing.
	maxLife    = 24 * time.Hour
	unsaidLife = 5 * time.Minute
	maxWait    = 24 * time.Hour // Of what a provider may ask us to wait.
	patience   = 10 * time.Second
)

// tokens are what a provider gave.
type tokens struct {
	access, refresh remote.Secret // refresh is empty when none, or no new one, was given.
	life            time.Duration
	email           string // Whose they are, in lower case; "": not known.
}

// refusedError is what a provider answers by RFC 6749 section 5.2.
type refusedError struct {
	code string
	busy bool // It refuses everybody, for now.
}

func (e *refusedError) Error() string { return "the provider answers " + e.code }

// exchange trades the code that the browser brought for tokens (RFC 6749
// section 4.1.3).
func (s *Service) exchange(ctx context.Context, p Provider, o owner.Owner, code, verifier string) (tokens, error) {
	return s.admitted(ctx, p, remote.Mailbox{Secret: remote.SecretRef{Owner: o}}, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "code_verifier": {verifier}, "redirect_uri": {
			RedirectURL(s.PublicURL, p.ID),
		},
	})
}

// refresh asks for a new access token (RFC 6749 section 6).
func (s *Service) refresh(ctx context.Context, p Provider, m remote.Mailbox, lasting remote.Secret) (tokens, error) {
	return s.admitted(ctx, p, m, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {lasting.Reveal()}})
}

// admitted asks for tokens unless the provider has refused the user, or this
// mailbox, too often lately.
func (s *Service) admitted(ctx context.Context, p Provider, m remote.Mailbox, form url.Values) (tokens, error) {
	if s.Gate == nil {
		return s.request(ctx, p, form)
	}
	if m.Server.Host == "" {
		m.Server.Host = p.ID
	}
	report, err := s.Gate.Admit(ctx, m, nil)
	if err != nil {
		return tokens{}, err
	}
	t, err := s.request(ctx, p, form)
	if fault.CodeOf(err).Credential() {
		report(remote.SignInRefused)
	} else {
		report(remote.SignInUntried) // With a token nobody is signed in yet.
	}
	return t, err
}

// request asks for tokens. Its error is a *fault.Error, which says that it was
// not the mail server that failed; what it wraps is never the answer itself,
// which may hold anything.
func (s *Service) request(ctx context.Context, p Provider, form url.Values) (tokens, error) {
	t, err := s.ask(ctx, p, form)
	var f *fault.Error
	if errors.As(err, &f) {
		f.Elsewhere = true
	}
	return t, err
}

func (s *Service) ask(ctx context.Context, p Provider, form url.Values) (tokens, error) {
	const op = "asking the provider for permission"
	if p.ClientID != "" {
		form.Set("client_id", p.ClientID)
	}
	if !p.ClientSecret.Empty() {
		form.Set("client_secret", p.ClientSecret.Reveal())
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return tokens{}, &fault.Error{Code: fault.Internal, Op: op, Err: errors.New("the address for tokens is none")}
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := s.HTTP.Do(req)
	if err != nil {
		return tokens{}, unreachable(op, p, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return tokens{}, unreachable(op, p, err)
	case resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode == http.StatusTooManyRequests:
		return tokens{}, &fault.Error{
			Code: fault.ServerUnavailable, Op: op, Detail: outOfOrder(p),
			RetryAfter: retryAfter(resp.Header), Err: fmt.Errorf("status %d", resp.StatusCode),
		}
	case len(body) > maxAnswer:
		return tokens{}, unusable(op, p, "it is too long")
	}
	// Whatever type it is said to be of: some call JSON text/javascript.
	var a answer
	if json.Unmarshal(body, &a) != nil {
		return tokens{}, unusable(op, p, fmt.Sprintf("with the status %d it is no JSON that can be read", resp.StatusCode))
	}
	if resp.StatusCode != http.StatusOK {
		a.Error, a.Suberror = echoless(a.Error, form), echoless(a.Suberror, form)
		return tokens{}, refusal(op, p, resp.StatusCode, a, form.Get("grant_type") == "refresh_token")
	}
	if form.Get("grant_type") != "authorization_code" {
		a.IDToken = "" // Whose they are is known since the user signed in, or was never a question.
	}
	t, why := a.tokens(p, s.Now())
	if why != "" {
		return tokens{}, unusable(op, p, why)
	}
	return t, nil
}

// unreachable is the failure of a request that got no answer. Which host is
// not reachable is the operator's business, not the user's: of their mail
// server it says nothing.
func unreachable(op string, p Provider, err error) error {
	var f *fault.Error
	if errors.As(err, &f) && f.Code == fault.HostNotAllowed {
		return &fault.Error{
			Code: fault.Internal, Op: op, Err: f,
			Detail: words.Detail{words.Say("The sign-in service of %s may not be asked from here.", p.Name)},
		}
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // Without the address, which the operator knows.
	}
	return &fault.Error{
		Code: fault.ServerUnavailable, Op: op, Err: err,
		Detail: words.Detail{words.Say("The sign-in service of %s cannot be reached for now.", p.Name)},
	}
}

func unusable(op string, p Provider, why string) error {
	return &fault.Error{
		Code: fault.ServerUnavailable, Op: op, Err: errors.New("the answer cannot be used: " + why),
		Detail: words.Detail{words.Say("The sign-in service of %s gives no answer that can be used.", p.Name)},
	}
}

// echoless returns an error's code, "" if it repeats a secret of the request.
func echoless(code string, form url.Values) string {
	r := &remote.Redactor{}
	for _, secret := range []string{"code", "code_verifier", "refresh_token", "client_secret", "assertion"} {
		r.Add(remote.NewSecret(form.Get(secret)))
	}
	if r.Redact(code) != code {
		return ""
	}
	return code
}

// asksUser returns what is said of an error, or of Microsoft's subcode of one, that only
// the user's signing in again can end; nil for others.
func asksUser(p Provider, code string) words.Detail {
	switch code {
	case "invalid_grant", "bad_token":
		return words.Detail{words.Say("%s has withdrawn the permission to read the mailbox.", p.Name)}
	case "token_expired":
		return words.Detail{words.Say("%s's permission to read the mailbox has run out.", p.Name)}
	case "login_required", "interaction_required", "basic_action":
		return words.Detail{words.Say("%s wants the user to sign in again.", p.Name)}
	case "additional_action":
		return words.Detail{words.Say("%s wants the user to sign in again, and something done there.", p.Name)}
	case "message_only":
		return words.Detail{words.Say("%s has a message for the user, which it shows at signing in.", p.Name)}
	case "consent_required":
		return words.Detail{words.Say("%s wants the user's consent again.", p.Name)}
	}
	return nil
}

// passingErrors end by themselves (RFC 6749 section 4.1.2.1, RFC 8628 section 3.5).
var passingErrors = map[string]bool{
	"temporarily_unavailable": true, "slow_down": true, "server_error": true,
	"request_timeout": true,
}

// ourErrors are for the operator: they say of the registration that it is none.
var ourErrors = map[string]bool{"invalid_client": true, "unauthorized_client": true, "unsupported_grant_type": true}

// refusal says what an error of RFC 6749 section 5.2, or a provider's own, means.
// Of those that nobody knows, a permission's renewal may need the user: an
// account is tried a few times more before it says so.
func refusal(op string, p Provider, status int, a answer, renewal bool) error {
	code := word(a.Error)
	err := &refusedError{fmt.Sprintf("%d %s", status, code), passingErrors[code]}
	said := asksUser(p, code)
	if a.Suberror != "" {
		sub := word(a.Suberror)
		err.code += " " + sub
		if more := asksUser(p, sub); more != nil && !passingErrors[code] && !ourErrors[code] {
			said = more
		}
	}
	again := &fault.Error{Code: fault.OAuthReauthorizationRequired, Op: op, Err: err}
	switch {
	case said != nil:
		again.Final, again.Detail = true, said
		return again
	case ourErrors[code]:
		return &fault.Error{
			Code: fault.Internal, Op: op, Err: err,
			Detail: words.Detail{
				words.Say("%s does not know this service any more: its administrator has to mend that.", p.Name),
			},
		}
	case err.busy:
		return &fault.Error{Code: fault.ServerUnavailable, Op: op, Detail: outOfOrder(p), Err: err}
	case renewal && status >= 400 && status <= 403:
		again.Detail = words.Detail{
			words.Say("The sign-in service of %s does not renew the permission to read the mailbox.", p.Name),
		}
		return again
	}
	return &fault.Error{
		Code: fault.ServerUnavailable, Op: op, Err: err,
		Detail: words.Detail{words.Say("The sign-in service of %s refuses for a reason of its own.", p.Name)},
	}
}

func outOfOrder(p Provider) words.Detail {
	return words.Detail{words.Say("The sign-in service of %s is out of order for now.", p.Name)}
}

// word makes an error code fit for logs and pages: codes are short and have
// only these letters (RFC 6749 section 4.1.2.1), and what is longer is none.
func word(code string) string {
	ok := code != "" && len(code) <= 64
	for _, r := range code {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.')
	}
	if !ok {
		return "unknown"
	}
	return code
}

func retryAfter(h http.Header) time.Duration {
	n, err := strconv.ParseUint(h.Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxWait)
}

// answer is RFC 6749 section 5.1 and 5.2.
type answer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    any    `json:"expires_in"` // A number; some send it as text.
	IDToken      string `json:"id_token"`
	Error        string `json:"error"`
	Suberror     string `json:"suberror"` // Microsoft's: what of the error.
}

// tokens returns what is in the answer, or why it cannot be used.
func (a answer) tokens(p Provider, now time.Time) (t tokens, why string) {
	switch {
	case a.TokenType != "" && !strings.EqualFold(a.TokenType, "bearer"): // mail.ru, for one, does not say.
		return t, "its token is of another type"
	case !isToken(a.AccessToken):
		return t, "it holds no access token"
	case a.RefreshToken != "" && !isToken(a.RefreshToken):
		return t, "its refresh token is none"
	}
	t = tokens{access: remote.NewSecret(a.AccessToken), refresh: remote.NewSecret(a.RefreshToken), life: life(
		a.ExpiresIn)}
	if a.IDToken != "" {
		if t.email, why = address(a.IDToken, p, now); why != "" {
			return tokens{}, why
		}
	}
	return t, ""
}

// isToken reports whether s is made of what tokens are made of (RFC 6749
// appendix A.12): nothing that could end a line or a header.
func isToken(s string) bool {
	ok := s != "" && len(s) <= maxToken
	for i := range len(s) {
		ok = ok && s[i] > 0x20 && s[i] < 0x7f
	}
	return ok
}

// life is how long an access token is good, within bounds.
func life(v any) time.Duration {
	var seconds float64
	switch v := v.(type) {
	case float64:
		seconds = v
	case string:
		n, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return unsaidLife
		}
		seconds = n
	}
	switch {
	case !(seconds > 0): // Not a number, too.
		return unsaidLife
	case seconds >= maxLife.Seconds():
		return maxLife
	}
	return time.Duration(seconds * float64(time.Second))
}

// address returns whose an id token says the mailbox is, "" when it does not
// say. The token came straight from the provider, over TLS, which stands in for
// its signature (OpenID Connect Core section 3.1.3.7); it must be the
// provider's all the same, for us, and not be over.
func address(token string, p Provider, now time.Time) (email, why string) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", "its id token is none"
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", "its id token is none"
	}
	var c struct {
		Issuer   string  `json:"iss"`
		Audience any     `json:"aud"`
		Expires  float64 `json:"exp"`
		Email    string  `json:"email"`
		Verified any     `json:"email_verified"`
		Username string  `json:"preferred_username"`
	}
	if json.Unmarshal(text, &c) != nil {
		return "", "its id token cannot be read"
	}
	switch {
	case p.Issuer != "" && !issues(p.Issuer, c.Issuer):
		return "", "its id token is of another issuer"
	case !meant(c.Audience, p.ClientID):
		return "", "its id token is for somebody else"
	case float64(now.Unix()) > c.Expires+60:
		return "", "its id token is too old"
	}
	for _, candidate := range []string{c.Email, c.Username} {
		if address, err := owner.PlainAddress(candidate); err == nil && (candidate != c.Email || c.Verified != false &&
			c.Verified != "false") {
			return address, ""
		}
	}
	return "", ""
}

// meant reports whether an audience, a text or a list of them, has us.
func meant(audience any, client string) bool {
	if list, ok := audience.([]any); ok {
		for _, a := range list {
			if a == client {
				return true
			}
		}
		return false
	}
	return audience == client
}

// issues compares an issuer with the one that is known.
func issues(known, said string) bool {
	before, after, tenants := strings.Cut(known, "{tenantid}")
	if !tenants {
		return known == said
	}
	part, ok := strings.CutPrefix(said, before)
	part, ok2 := strings.CutSuffix(part, after)
	return ok && ok2 && part != "" && !strings.ContainsAny(part, "/?#")
}
