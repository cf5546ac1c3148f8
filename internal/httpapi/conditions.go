package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/words"
)

// preconditions are the headers by which a client makes a change depend on what is
// there (RFC 9110 section 13.1). Where one is not honoured, the change that it was to
// prevent must not be made: it is refused, and never ignored.
var preconditions = []string{"If-Match", "If-None-Match", "If-Unmodified-Since"}

// conditions notes preconditions that a call does not honour. If-None-Match asks
// only for less of an answer where nothing is changed; all of it is right then, too.
func (f *findings) conditions(req *http.Request, r *endpoint) {
	for _, name := range preconditions {
		reads := req.Method == http.MethodGet || req.Method == http.MethodHead
		if req.Header.Values(name) == nil || slices.Contains(r.headers, name) || reads && name == "If-None-Match" {
			continue
		}
		f.bad(name, "not_supported", "is not honoured by this call: leave it out")
	}
}

// etag writes a version as a strong entity tag.
func etag(version string) string { return `"` + version + `"` }

// matchOf reads the header If-Match (RFC 9110 section 13.1.1). Weak entity tags
// match nothing, as they are compared strongly.
func matchOf(header *string) (account.Match, error) {
	if header == nil {
		return nil, nil
	}
	rest := strings.Trim(*header, " \t")
	if rest == "*" {
		return account.Match{account.Any}, nil
	}
	match := account.Match{}
	for tags := 0; ; tags++ {
		rest = strings.TrimLeft(rest, " \t,")
		if rest == "" && tags > 0 {
			return match, nil
		}
		opaque, weak := strings.CutPrefix(rest, "W/")
		opaque, quoted := strings.CutPrefix(opaque, `"`)
		version, after, closed := strings.Cut(opaque, `"`)
		after = strings.TrimLeft(after, " \t")
		if !quoted || !closed || after != "" && after[0] != ',' {
			return nil, malformed("If-Match", "invalid",
				words.Say("must be * or entity tags in quotes, as the header ETag has them"))
		}
		if !weak && version != account.Any {
			match = append(match, version)
		}
		rest = after
	}
}
