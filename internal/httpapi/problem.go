package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
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
	api.ProblemCodeNameTaken:               {409, "Another account bears this name"},
	api.ProblemCodeFolderTaken:             {409, "The folder is taken"},
	api.ProblemCodeOauthAddressDiffers:     {409, "The sign-in was for another mailbox"},
	api.ProblemCodePayloadTooLarge:         {413, "The body is too large"},
	api.ProblemCodeUnsupportedMediaType:    {415, "The body is of another type"},
	api.ProblemCodeValidationFailed:        {422, "Some fields cannot be accepted"},
	api.ProblemCodeConnectionTestFailed:    {422, "The connection test failed"},
	api.ProblemCodeHostNotAllowed:          {422, "An account may not name this server"},
	api.ProblemCodeRateLimited:             {429, "Too many requests"},
	api.ProblemCodeInternal:                {500, "Something went wrong on our side"},
	api.ProblemCodeLocalMailboxUnavailable: {503, "The mailbox is not available now"},
	api.ProblemCodeNotReady:                {503, "Not ready"},
}

func problem(code api.ProblemCode, detail string) api.Problem {
	k := kinds[code]
	return api.Problem{Type: "urn:mailbrook:problem:" + string(code), Title: k.title, Status: k.status, Code: code, Detail: detail}
}

// retryAfter is for how many seconds to leave the database in peace that does
// not answer.
const retryAfter = "5"

// answer is the one place where an error becomes an answer. Texts come from
// here or from errors made for people; the rest goes to the log.
func (s *server) answer(err error, c echo.Context) {
	ctx := c.Request().Context()
	p := s.problemOf(err, c)
	var told *KeysError                                                                           // In the log already, and not for each request.
	if p.Status >= http.StatusInternalServerError && ctx.Err() == nil && !errors.As(err, &told) { // Who hung up is no alarm.
		_, name := s.label(c)
		s.Log.ErrorContext(ctx, "request failed", "request_id", c.Response().Header().Get(echo.HeaderXRequestID), "route", name, "error", err)
	}
	if c.Response().Committed {
		return
	}
	if r := s.route(c); r == nil || r.languages && p.Diagnosis == nil {
		c.Response().Header().Del("Content-Language")
	}
	c.Response().Header().Set(echo.HeaderContentType, "application/problem+json")
	c.Response().WriteHeader(p.Status)
	if err := json.NewEncoder(c.Response()).Encode(p); err != nil {
		s.Log.Log(ctx, slog.LevelDebug, "writing a problem", "error", err)
	}
}

// problemOf maps an error to a problem, and sets the headers that go with it.
func (s *server) problemOf(err error, c echo.Context) api.Problem {
	h := c.Response().Header()
	var (
		noToken *unauthenticatedError
		bad     *badRequestError
		invalid *account.InvalidError
		tooMany *tooManyError
		held    *account.HeldBackError
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
		return problem(api.ProblemCodeNotReady, "Try again in a few seconds.")
	case errors.As(err, &noToken):
		h.Set(echo.HeaderWWWAuthenticate, noToken.challenge())
		return problem(api.ProblemCodeUnauthenticated, "Send the header Authorization with the word Bearer and a valid token.")
	case errors.As(err, &bad):
		return withFields(problem(api.ProblemCodeInvalidRequest, sentence(bad.detail)), bad.fields)
	case errors.As(err, &invalid):
		return withFields(problem(api.ProblemCodeValidationFailed, sentence(invalid.Error())), invalid.Fields)
	case errors.As(err, &differs):
		return withFields(problem(api.ProblemCodeOauthAddressDiffers, sentence(differs.Error())), []account.FieldError{{Field: "email", Code: "differs", Detail: differs.Error()}})
	case errors.As(err, &tooMany):
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(tooMany.wait.Seconds()))))
		return problem(api.ProblemCodeRateLimited, sentence(tooMany.what))
	case errors.As(err, &keys):
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(keys.Wait.Seconds()))))
		return problem(api.ProblemCodeNotReady, "The keys of the tokens' issuer cannot be had now.")
	case errors.As(err, &held):
		h.Set(echo.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(held.Wait.Seconds()))))
		p := problem(api.ProblemCodeRateLimited, sentence(account.HeldBack))
		why := account.Diagnosis{Code: fault.RateLimited, Detail: account.HeldBack, Since: s.Now()}
		p.Diagnosis = s.diagnosis(c.Request().Context(), &why, account.Account{})
		return p
	case errors.As(err, &tested):
		p := problem(api.ProblemCodeConnectionTestFailed, "Nothing was saved: see the diagnosis.")
		p.Diagnosis = s.diagnosis(c.Request().Context(), tested.Report.Diagnosis, testedIn(err))
		steps := stepsJSON(tested.Report.Steps)
		p.Steps = &steps
		return p
	case errors.As(err, &unready):
		h.Set(echo.HeaderRetryAfter, retryAfter)
		p := problem(api.ProblemCodeNotReady, "A check failed.")
		fields := make([]account.FieldError, len(unready.checks))
		for i, name := range unready.checks {
			fields[i] = account.FieldError{Field: name, Code: "failed", Detail: "see the log"}
		}
		return withFields(p, fields)
	}
	if p, ok := plainProblem(err); ok { // Before the faults, which may have wrapped one.
		return p
	}
	switch {
	case errors.As(err, &failure):
		return failureProblem(failure)
	case errors.As(err, &routing):
		return routingProblem(routing)
	}
	return problem(api.ProblemCodeInternal, "The log has the reason.")
}

// plainProblem maps the errors that carry nothing but themselves.
func plainProblem(err error) (api.Problem, bool) {
	for _, known := range []struct {
		err  error
		code api.ProblemCode
	}{
		{account.ErrNotFound, api.ProblemCodeNotFound},
		{account.ErrLimitReached, api.ProblemCodeAccountLimitReached},
		{account.ErrExists, api.ProblemCodeAccountExists},
		{account.ErrNameTaken, api.ProblemCodeNameTaken},
		{account.ErrFolderTaken, api.ProblemCodeFolderTaken},
		{account.ErrChanged, api.ProblemCodeAccountChanged},
		{errForbidden, api.ProblemCodeForbidden},
		{errCrossSite, api.ProblemCodeForbidden},
		{errMediaType, api.ProblemCodeUnsupportedMediaType},
		{errTooLarge, api.ProblemCodePayloadTooLarge},
	} {
		if !errors.Is(err, known.err) {
			continue
		}
		p := problem(known.code, sentence(known.err.Error()))
		switch known.code {
		case api.ProblemCodeNotFound:
			p.Detail = "" // The same for what is not there and what is somebody else's.
		case api.ProblemCodeNameTaken:
			p = withFields(p, []account.FieldError{{Field: "name", Code: "taken", Detail: known.err.Error()}})
		case api.ProblemCodeFolderTaken:
			p = withFields(p, []account.FieldError{{Field: "folder", Code: "taken", Detail: known.err.Error()}})
		case api.ProblemCodeAccountExists:
			p = withFields(p, []account.FieldError{{Field: "username", Code: "taken", Detail: known.err.Error()}})
		}
		return p, true
	}
	if errors.Is(err, ErrCursor) {
		return withFields(problem(api.ProblemCodeValidationFailed, sentence(ErrCursor.Error())), []account.FieldError{{Field: "cursor", Code: "invalid", Detail: ErrCursor.Error()}}), true
	}
	return api.Problem{}, false
}

// failureProblem maps failures with a fault code that reach a caller as such.
func failureProblem(f *fault.Error) api.Problem {
	switch f.Code {
	case fault.HostNotAllowed:
		field := "server.host"
		for word, about := range map[string]string{"port ": "server.port", "unencrypted ": "server.security"} {
			if strings.HasPrefix(strings.ToLower(f.Detail), word) { // The code does not say which of the three.
				field = about
			}
		}
		detail := f.Detail
		if detail == "" {
			detail = "the server is not one that an account may name"
		}
		return withFields(problem(api.ProblemCodeHostNotAllowed, sentence(detail)), []account.FieldError{{Field: field, Code: "not_allowed", Detail: detail}})
	case fault.LocalMailboxUnavailable:
		return problem(api.ProblemCodeLocalMailboxUnavailable, "Try again later.")
	}
	return problem(api.ProblemCodeInternal, "The log has the reason.")
}

// routingProblem maps what Echo says: its texts stay inside.
func routingProblem(e *echo.HTTPError) api.Problem {
	switch e.Code {
	case http.StatusNotFound:
		return problem(api.ProblemCodeNotFound, "")
	case http.StatusMethodNotAllowed:
		return problem(api.ProblemCodeMethodNotAllowed, "See the header Allow.")
	case http.StatusBadRequest:
		return problem(api.ProblemCodeInvalidRequest, "A parameter cannot be read.")
	}
	return problem(api.ProblemCodeInternal, "The log has the reason.")
}

func withFields(p api.Problem, fields []account.FieldError) api.Problem {
	if len(fields) == 0 {
		return p
	}
	errs := make([]api.FieldError, len(fields))
	for i, f := range fields {
		errs[i] = api.FieldError{Field: f.Field, Code: f.Code, Detail: f.Detail}
	}
	p.Errors = &errs
	return p
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
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + strings.TrimSuffix(text[1:], ".") + "."
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
