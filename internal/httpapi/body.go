package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/words"
)

const (
	maxBody  = 64 << 10
	maxDepth = 16
)

// body is a request's JSON: the bytes and what is in them.
type body struct {
	raw   []byte
	value any             // Objects as map[string]any, numbers as json.Number.
	nulls map[string]bool // Members that are null, by their path: "folders.include".
}

type bodyKey struct{}

// isNull reports whether a member of the request's body is null.
func isNull(ctx context.Context, field string) bool {
	b, _ := ctx.Value(bodyKey{}).(*body)
	return b != nil && b.nulls[field]
}

// badRequestError is what cannot be understood at all; 400.
type badRequestError struct {
	detail words.Sentence
	fields []account.FieldError
}

func (e *badRequestError) Error() string { return e.detail.Error() }

// malformed returns a badRequestError about one field.
func malformed(field, code string, what words.Sentence) error {
	return &badRequestError{sayMalformed, []account.FieldError{{Field: clean(field), Code: code, Detail: what}}}
}

// sayMalformed is said of a request as a whole; its fields say more.
var sayMalformed = words.Say("the request has members or parameters that are unknown or of the wrong type")

// decodeBody reads one JSON value, strictly: UTF-8 without a mark, every
// member once, nothing after it, not too deep, and no string in which something was
// lost already. The standard decoder is silent about all of these.
func decodeBody(raw []byte) (*body, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil, &badRequestError{detail: words.Say("a body in JSON is needed")}
	}
	if !utf8.Valid(raw) {
		return nil, &badRequestError{detail: words.Say("the body is not UTF-8")}
	}
	b := &body{raw: raw, nulls: map[string]bool{}}
	r := &reader{dec: json.NewDecoder(bytes.NewReader(raw)), nulls: b.nulls}
	r.dec.UseNumber()
	v, err := r.value("", 0)
	if err != nil {
		return nil, err
	}
	if _, err := r.dec.Token(); err != io.EOF {
		return nil, &badRequestError{detail: words.Say("something follows the JSON value")}
	}
	b.value = v
	return b, nil
}

type reader struct {
	dec   *json.Decoder
	nulls map[string]bool
}

func (r *reader) value(path string, depth int) (any, error) {
	t, err := r.token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if depth == maxDepth {
			return nil, &badRequestError{detail: words.Say("the body is nested deeper than %d", maxDepth)}
		}
		if t == '{' {
			return r.object(path, depth+1)
		}
		return r.array(path, depth+1)
	case string:
		return t, r.whole(path, t)
	case nil:
		r.nulls[path] = true
	}
	return t, nil
}

func (r *reader) token() (json.Token, error) {
	t, err := r.dec.Token()
	if err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, &badRequestError{detail: words.Say("the body is not JSON: see byte %d", syntax.Offset)}
		}
		return nil, &badRequestError{detail: words.Say("the body is not JSON: it ends too early")}
	}
	return t, nil
}

func (r *reader) object(path string, depth int) (any, error) {
	members := map[string]any{}
	for r.dec.More() {
		t, err := r.token()
		if err != nil {
			return nil, err
		}
		name, ok := t.(string)
		if !ok {
			return nil, &badRequestError{detail: words.Say("the body is not JSON")}
		}
		field := join(path, name)
		if err := r.whole(field, name); err != nil {
			return nil, err
		}
		if _, twice := members[name]; twice {
			return nil, malformed(field, "duplicate", words.Say("is given twice"))
		}
		if members[name], err = r.value(field, depth); err != nil {
			return nil, err
		}
	}
	_, err := r.token() // The closing brace.
	return members, err
}

func (r *reader) array(path string, depth int) (any, error) {
	items := []any{}
	for r.dec.More() {
		v, err := r.value(fmt.Sprintf("%s[%d]", path, len(items)), depth)
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
	_, err := r.token()
	return items, err
}

// whole refuses U+FFFD, which the decoder also writes for half a surrogate
// pair: a password with one was damaged on its way, and would be saved wrong.
func (r *reader) whole(path, s string) error {
	if strings.ContainsRune(s, utf8.RuneError) {
		return malformed(path, "invalid",
			words.Say("holds a replacement character or half a surrogate pair: enter the text again"))
	}
	return nil
}

// join adds a member's name to a path, as the contract spells fields.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// binder hands the generated code the body that was checked. It binds nothing
// else: parameters are the generated code's own business.
type binder struct{}

// Bind implements echo.Binder.
func (binder) Bind(into any, c echo.Context) error {
	b, ok := c.Request().Context().Value(bodyKey{}).(*body)
	if !ok {
		return errors.New("a body is bound that was not checked")
	}
	err := json.Unmarshal(b.raw, into)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) { // 1e3 is an integer to the schema and none to Go.
		return malformed(wrong.Field, "wrong_type", words.Say("must be written as a plain number"))
	}
	return err
}
