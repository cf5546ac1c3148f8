package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/words"
)

// kinds says which status each code has, and what it is called.
var kinds = map[api.ProblemCode]struct {
	status int
	title  string
}{
	api.ProblemCodeInvalidRequest:          {400, "The request cannot be understood"},
	api.ProblemCodeUnauthenticated:         {401, "A valid bearer token is needed"},
	api.ProblemCodeForbidden:               {403, "This is not allowed"},
	api.ProblemCodeNotFound:                {404, "There is nothing here"},
	api.ProblemCodeMethodNotAllowed:        {405, "The address has no such method"},
	api.ProblemCodeAccountLimitReached:     {409, "The limit of external accounts is reached"},
	api.ProblemCodeAccountExists:           {409, "This external account was added already"},
	api.ProblemCodeAccountChanged:          {409, "The account was changed meanwhile"},
	api.ProblemCodeNameTaken:               {409, "Another account already has this name"},
	api.ProblemCodeFolderTaken:             {409, "The folder is taken"},
	api.ProblemCodeOauthAddressDiffers:     {409, "The sign-in was for another mailbox"},
	api.ProblemCodeCopiesDisabled:          {403, "Copies are switched off here"},
	api.ProblemCodeCopyExists:              {409, "This is being copied already"},
	api.ProblemCodeCopyLimitReached:        {409, "The limit of copies is reached"},
	api.ProblemCodeCopyChanged:             {409, "The copy was changed meanwhile"},
	api.ProblemCodeCopyNotEnded:            {409, "The copy has not ended"},
	api.ProblemCodeNotCancellable:          {409, "The copy has ended"},
	api.ProblemCodeCredentialsErased:       {409, "The passwords were erased"},
	api.ProblemCodeReportNotReady:          {409, "There is no report yet"},
	api.ProblemCodeSameMailbox:             {422, "Source and target are one mailbox"},
	api.ProblemCodeTargetReadOnly:          {422, "The target cannot be written"},
	api.ProblemCodeTargetFull:              {422, "The target is full"},
	api.ProblemCodeIdempotencyInProgress:   {409, "The same request is under way"},
	api.ProblemCodePreconditionFailed:      {412, "It was changed meanwhile"},
	api.ProblemCodePayloadTooLarge:         {413, "The body is too large"},
	api.ProblemCodeUnsupportedMediaType:    {415, "The body is of another type"},
	api.ProblemCodeValidationFailed:        {422, "Some fields cannot be accepted"},
	api.ProblemCodeConnectionTestFailed:    {422, "The connection test failed"},
	api.ProblemCodeHostNotAllowed:          {422, "An account may not name this server"},
	api.ProblemCodeIdempotencyKeyReused:    {422, "The idempotency key is taken"},
	api.ProblemCodeSignInRefused:           {403, "You are not signed in"},
	api.ProblemCodeSignInUnavailable:       {503, "Signing in is not possible now"},
	api.ProblemCodeRateLimited:             {429, "Too many requests"},
	api.ProblemCodeInternal:                {500, "Something went wrong on our side"},
	api.ProblemCodeLocalMailboxUnavailable: {503, "The mailbox is not available now"},
	api.ProblemCodeNotReady:                {503, "Not ready"},
}

// teller writes problems in the language of whoever reads them.
type teller struct{ lang words.Language }

func (t teller) say(s words.Sentence) string { return words.Translate(s, t.lang) }

// problem has no detail where the sentence is empty.
func (t teller) problem(code api.ProblemCode, detail words.Sentence) api.Problem {
	k := kinds[code]
	return api.Problem{
		Type: "urn:mailbrook:problem:" + string(code), Title: t.say(words.Sentence{Format: k.title}),
		Status: k.status, Code: code, Detail: sentence(t.say(detail)),
	}
}

// nothing is the detail of a problem that its title tells.
var nothing words.Sentence

// What is said where the reason is no user's business, or in the log.
var (
	sayToken    = words.Say("send the header Authorization with the word Bearer and a valid token")
	sayInTheLog = words.Say("the log has the reason")
	// The same for what is not there and what is somebody else's.
	sayCheckAddress = words.Say("check the address and the id")
	sayLocked       = words.Say("no password that is saved opens this mailbox: an administrator can save the right one")
	sayTryLater     = words.Say("try again later")
	sayTryShortly   = words.Say("try again in a few seconds")
)

// retryAfter is for how many seconds to leave the database in peace that does
// not answer.
const retryAfter = "5"

// answer is the one place where an error becomes an answer. Texts come from
// here or from errors made for people; the rest goes to the log.
func (s *server) answer(err error, c echo.Context) {
	ctx := c.Request().Context()
	t := teller{s.readers(c)}
	p := s.problemOf(err, c.Response().Header(), t)
	// In the log already, and not for each request.
	var told *KeysError
	// Who hung up is no alarm.
	if p.Status >= http.StatusInternalServerError && ctx.Err() == nil && !errors.As(err, &told) {
		_, name := s.label(c)
		s.Log.ErrorContext(ctx, "request failed", "request_id", c.Response().Header().Get(echo.HeaderXRequestID),
			"route", name, "error", err)
	}
	if c.Response().Committed {
		return
	}
	h := c.Response().Header()
	h.Set("Content-Language", string(t.lang))
	h.Set(echo.HeaderVary, "Accept-Language")
	h.Set(echo.HeaderContentType, "application/problem+json")
	c.Response().WriteHeader(p.Status)
	if err := json.NewEncoder(c.Response()).Encode(p); err != nil {
		s.Log.Log(ctx, slog.LevelDebug, "writing a problem", "error", err)
	}
}

// readers returns the language of whoever reads the answer. Errors come up
// before check has looked at the headers, too.
func (s *server) readers(c echo.Context) words.Language {
	req := c.Request()
	if lang, ok := req.Context().Value(languageKey{}).(words.Language); ok {
		return lang
	}
	return words.Negotiate(req.Header.Get("Accept-Language"))
}

// problemOf maps an error to a problem, and sets the headers that go with it.
func (s *server) problemOf(err error, h http.Header, t teller) api.Problem {
	if p, ok := s.copyProblem(err, h, t); ok {
		return p
	}
	var (
		noToken *unauthenticatedError
		bad     *badRequestError
		invalid *account.InvalidError
		tooMany *tooManyError
		held    *remote.HeldBackError
		differs *account.AddressDiffersError
		tested  *account.TestFailedError
		unready *notReadyError
		keys    *KeysError
		routing *echo.HTTPError
		failure *fault.Error
	)
	switch {
	case errors.Is(err, account.ErrUnavailable):
		h.Set(echo.HeaderRetryAfter, retryAfter)
		return t.problem(api.ProblemCodeNotReady, sayTryShortly)
	case errors.Is(err, account.ErrVisitsEnding), errors.Is(err, account.ErrRemoving):
		h.Set(echo.HeaderRetryAfter, retryAfter)
	case errors.As(err, &noToken):
		h.Set(echo.HeaderWWWAuthenticate, noToken.challenge())
		return t.problem(api.ProblemCodeUnauthenticated, sayToken)
	case errors.As(err, &bad):
		return t.fields(t.problem(api.ProblemCodeInvalidRequest, bad.detail), bad.fields...)
	case errors.As(err, &invalid):
		p := t.fields(t.problem(api.ProblemCodeValidationFailed, nothing), invalid.Fields...)
		p.Detail = t.listing(invalid.Fields)
		return p
	case errors.As(err, &differs):
		why := differs.Sentence()
		return t.fields(t.problem(api.ProblemCodeOauthAddressDiffers, why),
			account.FieldError{Field: "email", Code: "differs", Detail: why})
	case errors.As(err, &tooMany):
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(wholeSeconds(tooMany.wait)))
		return t.problem(api.ProblemCodeRateLimited, tooMany.what)
	case errors.As(err, &keys):
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(wholeSeconds(keys.Wait)))
		return t.problem(api.ProblemCodeNotReady, words.Say("the keys of the tokens' issuer cannot be had now"))
	case errors.As(err, &held):
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(wholeSeconds(held.Wait)))
		detail := words.Sentence{Format: fault.HeldBack}
		p := t.problem(api.ProblemCodeRateLimited, detail)
		why := account.Diagnosis{Code: fault.RateLimited, Detail: words.Detail{detail}, Since: s.Now()}
		// As of an account that rests for so long.
		rests := account.Account{Status: account.Status{NextPollAt: s.Now().Add(held.Wait), Diagnosis: &why}}
		p.Diagnosis = DiagnosisJSON(&why, rests, s.Explain, t.lang)
		return p
	case errors.As(err, &tested):
		p := t.problem(api.ProblemCodeConnectionTestFailed, words.Say("nothing was saved: see the diagnosis"))
		p.Diagnosis = DiagnosisJSON(tested.Report.Diagnosis, testedIn(err), s.Explain, t.lang)
		steps := stepsJSON(tested.Report.Steps, t.lang)
		p.Steps = &steps
		return p
	case errors.As(err, &unready):
		h.Set(echo.HeaderRetryAfter, retryAfter)
		p := t.problem(api.ProblemCodeNotReady, words.Say("a check failed"))
		failed := make([]account.FieldError, len(unready.checks))
		for i, name := range unready.checks {
			failed[i] = account.FieldError{Field: name, Code: "failed", Detail: sayInTheLog}
		}
		return t.fields(p, failed...)
	}
	if errors.Is(err, errUnavailable) {
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(checkAway))
	}
	if p, ok := t.plain(err); ok { // Before the faults, which may have wrapped one.
		return p
	}
	switch {
	case errors.As(err, &failure):
		return t.failure(failure)
	case errors.As(err, &routing):
		return t.routing(routing)
	}
	return t.problem(api.ProblemCodeInternal, sayInTheLog)
}

// plainErrors carry nothing but themselves, and may be about a field.
var plainErrors = []struct {
	err         error
	code        api.ProblemCode
	field, what string // what is the code of the field's error.
}{
	{err: account.ErrNotFound, code: api.ProblemCodeNotFound},
	{err: account.ErrLimitReached, code: api.ProblemCodeAccountLimitReached},
	{err: account.ErrExists, code: api.ProblemCodeAccountExists, field: "username", what: "taken"},
	{err: account.ErrNameTaken, code: api.ProblemCodeNameTaken, field: "name", what: "taken"},
	{err: account.ErrFolderReserved, code: api.ProblemCodeFolderTaken, field: "folder", what: "reserved"},
	{err: account.ErrFolderTaken, code: api.ProblemCodeFolderTaken, field: "folder", what: "taken"},
	{err: account.ErrChanged, code: api.ProblemCodeAccountChanged},
	{err: account.ErrPrecondition, code: api.ProblemCodePreconditionFailed},
	{err: transfer.ErrNotFound, code: api.ProblemCodeNotFound},
	{err: transfer.ErrDisabled, code: api.ProblemCodeCopiesDisabled},
	{err: transfer.ErrLimitReached, code: api.ProblemCodeCopyLimitReached},
	{err: transfer.ErrChanged, code: api.ProblemCodeCopyChanged},
	{err: transfer.ErrNotEnded, code: api.ProblemCodeCopyNotEnded},
	{err: transfer.ErrNotCancellable, code: api.ProblemCodeNotCancellable},
	{err: transfer.ErrNoCredentials, code: api.ProblemCodeCredentialsErased},
	{err: transfer.ErrNotVerified, code: api.ProblemCodeReportNotReady},
	{err: transfer.ErrSameMailbox, code: api.ProblemCodeSameMailbox},
	{err: transfer.ErrTargetReadOnly, code: api.ProblemCodeTargetReadOnly},
	{err: transfer.ErrTargetFull, code: api.ProblemCodeTargetFull},
	{err: account.ErrVisitsEnding, code: api.ProblemCodeNotReady},
	{err: account.ErrRemoving, code: api.ProblemCodeNotReady},
	{err: ErrKeyReused, code: api.ProblemCodeIdempotencyKeyReused},
	{err: ErrKeyInProgress, code: api.ProblemCodeIdempotencyInProgress},
	{err: errNotThisOne, code: api.ProblemCodeSignInRefused},
	{err: errUnavailable, code: api.ProblemCodeSignInUnavailable},
	{err: errForbidden, code: api.ProblemCodeForbidden},
	{err: errCrossSite, code: api.ProblemCodeForbidden},
	{err: errMediaType, code: api.ProblemCodeUnsupportedMediaType},
	{err: errNoLength, code: api.ProblemCodeInvalidRequest},
	{err: errTooLarge, code: api.ProblemCodePayloadTooLarge},
	{err: ErrCursor, code: api.ProblemCodeValidationFailed, field: "cursor", what: "invalid"},
}

// plain maps the errors that carry nothing but themselves.
func (t teller) plain(err error) (api.Problem, bool) {
	for _, known := range plainErrors {
		if !errors.Is(err, known.err) {
			continue
		}
		if known.code == api.ProblemCodeNotFound { // The same for what is not there and what is somebody else's.
			return t.problem(known.code, sayCheckAddress), true
		}
		why := words.Sentence{Format: known.err.Error()}
		p := t.problem(known.code, why)
		if known.field != "" {
			p = t.fields(p, account.FieldError{Field: known.field, Code: known.what, Detail: why})
		}
		return p, true
	}
	return api.Problem{}, false
}

// sayOtherServer is what is said where nothing better is known of a server that an account may not name.
var sayOtherServer = refusal{
	"server.host",
	words.Say("this server is not one that an account may name: enter the public name of the provider's mail server"),
}

// refusal is what is said of a server, and of which field.
type refusal struct {
	field string
	say   words.Sentence
}

// hostRefusals say what an account may name, by what of the server was refused.
var hostRefusals = map[fault.Part]refusal{
	fault.PartHost: sayOtherServer,
	fault.PartPort: {
		"server.port",
		words.Say("this port is not allowed here: choose 993 or 143 for IMAP, 995 or 110 for POP3"),
	},
	fault.PartSecurity: {
		"server.security",
		words.Say("unencrypted connections are not allowed here: choose tls or starttls"),
	},
	fault.PartSyntax: {
		"server.host",
		words.Say("must be the name or the address of a server and nothing else, such as imap.example.org"),
	},
}

// failure maps failures with a fault code that reach a caller as such.
func (t teller) failure(f *fault.Error) api.Problem {
	switch f.Code {
	case fault.HostNotAllowed:
		r, ok := hostRefusals[f.Part]
		if !ok {
			r = sayOtherServer
		}
		return t.fields(t.problem(api.ProblemCodeHostNotAllowed, r.say),
			account.FieldError{Field: r.field, Code: "not_allowed", Detail: r.say})
	case fault.LocalMailboxUnavailable:
		if errors.Is(f, owner.ErrLocked) {
			return t.problem(api.ProblemCodeLocalMailboxUnavailable, sayLocked)
		}
		return t.problem(api.ProblemCodeLocalMailboxUnavailable, sayTryLater)
	}
	return t.problem(api.ProblemCodeInternal, sayInTheLog)
}

// routing maps what Echo says: its texts stay inside.
func (t teller) routing(e *echo.HTTPError) api.Problem {
	switch e.Code {
	case http.StatusNotFound:
		return t.problem(api.ProblemCodeNotFound, sayCheckAddress)
	case http.StatusMethodNotAllowed:
		return t.problem(api.ProblemCodeMethodNotAllowed, words.Say("see the header Allow"))
	case http.StatusBadRequest:
		return t.problem(api.ProblemCodeInvalidRequest, words.Say("a parameter cannot be read"))
	}
	return t.problem(api.ProblemCodeInternal, sayInTheLog)
}

func (t teller) fields(p api.Problem, fields ...account.FieldError) api.Problem {
	if len(fields) == 0 {
		return p
	}
	errs := make([]api.FieldError, len(fields))
	for i, f := range fields {
		errs[i] = api.FieldError{Field: f.Field, Code: f.Code, Detail: t.say(f.Detail)}
	}
	p.Errors = &errs
	return p
}

// listing names the fields, as they are spelt, and what is wrong with each in one
// sentence.
func (t teller) listing(fields []account.FieldError) string {
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = f.Field + ": " + t.say(f.Detail)
	}
	return strings.TrimSuffix(strings.Join(parts, "; "), ".") + "."
}

// challenge is the header of RFC 6750 section 3.
func (e *unauthenticatedError) challenge() string {
	if e.tokenSent {
		return `Bearer realm="mailbrook", error="invalid_token"`
	}
	return `Bearer realm="mailbrook"`
}

// sentence writes an error's text as one.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(text[size:], ".") + "."
}

// testedAt adds to a failed test what is known of the account, so that the
// advice can be its provider's.
type testedAt struct {
	account account.Account
	err     error
}

func (e *testedAt) Error() string { return fmt.Sprintf("at %s: %s", e.account.Provider, e.err) }
func (e *testedAt) Unwrap() error { return e.err }

func testedIn(err error) account.Account {
	var at *testedAt
	if errors.As(err, &at) {
		return at.account
	}
	return account.Account{}
}
