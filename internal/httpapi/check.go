package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/labstack/echo/v4"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/words"
)

// check holds a request against the document before a handler sees it.
func (s *server) check(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r := s.route(c)
		if r == nil || r.policy == open && !r.hasBody() {
			return next(c)
		}
		ctx := c.Request().Context()
		if r.languages {
			lang := words.Negotiate(c.Request().Header.Get("Accept-Language"))
			ctx = withLanguage(ctx, lang)
			c.Response().Header().Set("Content-Language", string(lang))
			c.Response().Header().Add(echo.HeaderVary, "Accept-Language")
		}
		ctx = context.WithValue(ctx, streamKey{}, acceptsEvents(c.Request().Header.Values("Accept")))
		ctx = s.withExchange(ctx, c)
		var found findings
		found.conditions(c.Request(), r)
		if err := s.checkParameters(c, r, &found); err != nil {
			return err
		}
		if r.hasBody() {
			b, err := readBody(c.Request(), r.Operation.RequestBody.Value.Content)
			if err != nil {
				return err
			}
			schema := r.bodySchema(c.Request())
			found.schema(s.readOnly(), schema.VisitJSON(b.value, openapi3.MultiErrors()), "")
			found.oneOf(schema, b.value)
			found.times(schema, b.value, "")
			ctx = context.WithValue(ctx, bodyKey{}, b)
		}
		if err := found.err(); err != nil {
			return err
		}
		c.SetRequest(c.Request().WithContext(ctx))
		return next(c)
	}
}

// checkParameters checks those of path and query. What does not fit the path
// is an address that does not exist.
func (s *server) checkParameters(c echo.Context, r *endpoint, found *findings) error {
	req := c.Request()
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return &badRequestError{detail: words.Say("the query is not encoded as it should be")}
	}
	for name, values := range query {
		switch {
		case !slices.Contains(r.parameters, name):
			found.bad(name, "unknown_field", "is not a parameter of this call: leave it out, or check its spelling")
		case len(values) > 1:
			found.bad(name, "duplicate", "is given twice")
		case values[0] == "":
			// Whoever sends a filter means something by it: nothing is not all. Of the
			// rest, a form's empty field or the first page's cursor, it is not said.
			if r.filters(name) {
				found.wrong(name, "required", "must not be empty")
			}
			query.Del(name)
		}
	}
	req.URL.RawQuery = query.Encode()
	in := &openapi3filter.RequestValidationInput{
		Request: req, QueryParams: query, PathParams: map[string]string{},
		Route: r.Route,
	}
	for _, name := range c.ParamNames() {
		v, err := url.PathUnescape(c.Param(name))
		if err != nil {
			return account.ErrNotFound
		}
		in.PathParams[name] = v
	}
	in.Options = &openapi3filter.Options{MultiError: true}
	for _, p := range r.params() {
		if p.In == openapi3.ParameterInHeader {
			continue // They take anything, or are read where they are used.
		}
		err := openapi3filter.ValidateParameter(req.Context(), in, p)
		if err != nil && p.In == openapi3.ParameterInPath {
			return account.ErrNotFound
		}
		found.parameter(p, err)
		if err == nil && p.In == openapi3.ParameterInQuery && query.Has(p.Name) {
			found.spelling(p, query.Get(p.Name))
		}
	}
	return nil
}

// readBody reads a body of one of the listed media types, and rewrites the
// header to the bare type, which is what the generated code compares.
func readBody(req *http.Request, types openapi3.Content) (*body, error) {
	media, params, err := mime.ParseMediaType(req.Header.Get(echo.HeaderContentType))
	charset := params["charset"]
	encoding := req.Header.Get(echo.HeaderContentEncoding)
	if err != nil || types[media] == nil || charset != "" && !strings.EqualFold(charset, "utf-8") || encoding != "" &&
		!strings.EqualFold(encoding, "identity") {
		return nil, errMediaType
	}
	req.Header.Set(echo.HeaderContentType, media)
	if req.ContentLength > maxBody {
		return nil, tooLarge(req.Body)
	}
	raw, err := io.ReadAll(io.LimitReader(req.Body, maxBody+1))
	if err != nil {
		return nil, &badRequestError{detail: words.Say("the body could not be read")}
	}
	if len(raw) > maxBody {
		return nil, tooLarge(req.Body)
	}
	return decodeBody(raw)
}

var (
	errMediaType = errors.New("the body must be application/json in UTF-8, not encoded")
	errTooLarge  = fmt.Errorf("the body is larger than %d bytes", maxBody)
)

// maxDrained is how much of a body that is too large is read and thrown away.
const maxDrained = 4 << 20

// tooLarge reads on for a while: whoever still writes when the connection is
// closed never sees the answer.
func tooLarge(body io.Reader) error {
	_, _ = io.CopyN(io.Discard, body, maxDrained) // What fails here is the writer's loss.
	return errTooLarge
}

func (r *endpoint) bodySchema(req *http.Request) *openapi3.Schema {
	return r.Operation.RequestBody.Value.Content[req.Header.Get(echo.HeaderContentType)].Schema.Value
}

// readOnly returns the members of an account, for telling those that Mailbrook
// sets from those that do not exist.
func (s *server) readOnly() openapi3.Schemas {
	for _, r := range s.routes {
		return r.Spec.Components.Schemas["Account"].Value.Properties
	}
	return nil
}

// findings collects what is wrong with a request: what is malformed (400) and
// what is out of bounds (422).
type findings struct {
	looked map[string]bool // Objects of which the unknown members are noted.

	malformed, invalid []account.FieldError
}

func (f *findings) bad(field, code, detail string, args ...any) {
	e := account.FieldError{Field: clean(field), Code: code, Detail: words.Say(detail, args...)}
	f.malformed = append(f.malformed, e)
}

// ofType notes a value of another type than its schema's.
func (f *findings) ofType(field string, s *openapi3.Schema) {
	f.malformed = append(f.malformed, account.FieldError{Field: clean(field), Code: "wrong_type", Detail: typeWords(s)})
}

// typeWords says in a person's words for types of which one a value must be.
func typeWords(s *openapi3.Schema) words.Sentence {
	switch name := words.List(s.Type.Slice()); name {
	case openapi3.TypeString:
		return words.Say("must be of type string")
	case openapi3.TypeInteger:
		return words.Say("must be of type integer")
	case openapi3.TypeNumber:
		return words.Say("must be of type number")
	case openapi3.TypeBoolean:
		return words.Say("must be of type boolean")
	case openapi3.TypeArray:
		return words.Say("must be of type array")
	case openapi3.TypeObject:
		return words.Say("must be of type object")
	default:
		return words.Say("must be of type %s", name)
	}
}

// wrong notes a value out of bounds.
func (f *findings) wrong(field, code, detail string, args ...any) {
	f.note(field, code, words.Say(detail, args...))
}

// note notes one per field: the first says most.
func (f *findings) note(field, code string, detail words.Sentence) {
	field = clean(field)
	for _, e := range f.invalid {
		if e.Field == field {
			return
		}
	}
	f.invalid = append(f.invalid, account.FieldError{Field: field, Code: code, Detail: detail})
}

// oneOf notes that none of the members is there of which the document asks for
// one. Said as a schema it would hide what is wrong with the others.
func (f *findings) oneOf(schema *openapi3.Schema, value any) {
	members, isObject := value.(map[string]any)
	names, _ := schema.Extensions["x-one-of"].([]any)
	if !isObject || len(names) == 0 {
		return
	}
	for _, n := range names {
		if _, there := members[fmt.Sprint(n)]; there {
			return
		}
	}
	f.wrong(fmt.Sprint(names[0]), "required", "is needed")
}

// times notes times that no clock shows, such as those of a 30 February, which have the form and cannot be read.
func (f *findings) times(schema *openapi3.Schema, value any, field string) {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			if p := schema.Properties[name]; p != nil {
				f.times(p.Value, member, join(field, name))
			}
		}
	case string:
		if _, err := time.Parse(time.RFC3339, v); err != nil && schema.Format == "date-time" {
			f.form(field, schema)
		}
	}
}

func (f *findings) err() error {
	byField := func(a, b account.FieldError) int { return strings.Compare(a.Field, b.Field) }
	slices.SortStableFunc(f.malformed, byField)
	slices.SortStableFunc(f.invalid, byField)
	switch {
	case len(f.malformed) > 0:
		return &badRequestError{sayMalformed, f.malformed}
	case len(f.invalid) > 0:
		return &account.InvalidError{Fields: f.invalid}
	}
	return nil
}

// parameter notes what is wrong with one parameter.
func (f *findings) parameter(p *openapi3.Parameter, err error) {
	var parse *openapi3filter.ParseError
	switch {
	case err == nil:
	case errors.Is(err, openapi3filter.ErrInvalidRequired):
		f.wrong(p.Name, "required", "is needed")
	case errors.As(err, &parse):
		f.ofType(p.Name, p.Schema.Value)
	default:
		var re *openapi3filter.RequestError
		if errors.As(err, &re) {
			err = re.Err
		}
		f.schema(nil, err, p.Name)
	}
}

// spelling notes values that the library takes, and the reading behind it does not, or
// takes for others: 0x10 and 1_0, of which one knows, 010, which is eight to one and ten
// to the other, and times that no clock shows.
func (f *findings) spelling(p *openapi3.Parameter, text string) {
	s := p.Schema.Value
	switch {
	case s.Type.Is(openapi3.TypeInteger):
		if n, err := strconv.ParseInt(text, 10, 64); err != nil || strconv.FormatInt(n, 10) != text {
			f.ofType(p.Name, s)
		}
	case s.Format == "date-time":
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			f.form(p.Name, s)
		}
	}
}

// schema notes what a schema found. at is the path that the error's own path
// is relative to. The library's texts quote values, so ours are used instead.
func (f *findings) schema(known openapi3.Schemas, err error, at string) {
	if err == nil {
		return
	}
	//nolint:errorlint // errors.As looks through it at what each of the forms has against it.
	if se, ok := err.(*openapi3.SchemaError); ok && se.SchemaField == "oneOf" {
		if se.Value == nil {
			f.wrong(path(at, se.JSONPointer()), "null", "must not be null: leave it out or give a value")
			return
		}
		f.form(path(at, se.JSONPointer()), se.Schema)
		return
	}
	var many openapi3.MultiError
	if errors.As(err, &many) {
		for _, e := range many {
			f.schema(known, e, at)
		}
		return
	}
	var se *openapi3.SchemaError
	if !errors.As(err, &se) {
		f.bad(at, "invalid", "is not what this call takes: see /openapi.yaml")
		return
	}
	var inner openapi3.MultiError
	if errors.As(se.Origin, &inner) && len(inner) > 0 {
		f.schema(known, inner, at)
		return
	}
	f.one(known, se, path(at, se.JSONPointer()))
}

// path spells a place in a body as the contract does: "folders.include[2]".
func path(at string, pointer []string) string {
	for _, p := range pointer {
		if n, err := strconv.Atoi(p); err == nil {
			at = fmt.Sprintf("%s[%d]", at, n)
		} else {
			at = join(at, p)
		}
	}
	return at
}

func (f *findings) one(known openapi3.Schemas, se *openapi3.SchemaError, field string) {
	switch s := se.Schema; se.SchemaField {
	case "type":
		f.ofType(field, s)
	case "properties":
		f.unknown(known, se, field)
	case "required", "minProperties":
		f.wrong(field, "required", "is needed")
	case "nullable":
		f.wrong(field, "null", "must not be null: leave it out or give a value")
	case "minLength":
		if se.Value == "" {
			f.wrong(field, "required", "must not be empty")
			return
		}
		f.wrong(field, "too_short", "must not be shorter than %d characters", s.MinLength)
	case "maxLength":
		f.wrong(field, "too_long", "must not be longer than %d characters", *s.MaxLength)
	case "maxItems":
		f.wrong(field, "too_many", "must not have more than %d entries", *s.MaxItems)
	case "minimum", "maximum":
		f.wrong(field, "out_of_range", "must be between %d and %d", int64(*s.Min), int64(*s.Max))
	case "enum":
		f.wrong(field, "invalid", "must be one of %s", words.List(s.Enum))
	case "pattern":
		if text, _ := se.Value.(string); strings.ContainsFunc(text, unprintable) {
			f.wrong(field, "control_character", "must not contain control characters or line breaks")
			return
		}
		f.form(field, s)
	default:
		f.form(field, s)
	}
}

// unknown notes the members that an object should not have. The library makes an error of each of them, and names it
// in its text only: all are noted with the first.
func (f *findings) unknown(known openapi3.Schemas, se *openapi3.SchemaError, field string) {
	if f.looked[field] {
		return
	}
	if f.looked == nil {
		f.looked = map[string]bool{}
	}
	f.looked[field] = true
	members, _ := se.Value.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		switch {
		case se.Schema.Properties[name] != nil:
		case field == "" && known[name] != nil:
			f.bad(name, "read_only", "is set by Mailbrook and cannot be written: leave it out")
		default:
			f.bad(join(field, name), "unknown_field", "is not a member of this request: leave it out, or check its spelling")
		}
	}
}

// form notes a value that has not the form which the document's x-form says.
func (f *findings) form(field string, s *openapi3.Schema) {
	if form, ok := s.Extensions["x-form"].(string); ok {
		f.note(field, "invalid", words.Sentence{Format: form})
		return
	}
	f.wrong(field, "invalid", "is not what this call takes: see /openapi.yaml")
}

func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// clean makes a member's name, which anybody may have written, fit to show.
// What has none is the body as a whole.
func clean(field string) string { return cmp.Or(words.Clean(field, 200), "body") }
