package api_test

import (
	"regexp"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/mailbrook/mailbrook/api"
)

// TestRequestsAreClosed: every object that a request can hold refuses members
// that it does not have, and every text and list in it has an end.
func TestRequestsAreClosed(t *testing.T) {
	doc, err := api.Spec()
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if op.RequestBody == nil {
				continue
			}
			for media, content := range op.RequestBody.Value.Content {
				closed(t, op.OperationID+" "+media, content.Schema.Value)
			}
			for _, p := range op.Parameters {
				if p.Value.In == openapi3.ParameterInQuery {
					closed(t, op.OperationID+" ?"+p.Value.Name, p.Value.Schema.Value)
				}
			}
		}
	}
}

// controlsOnly are the patterns that refuse control characters and nothing else.
var controlsOnly = regexp.MustCompile(`^\^\[\^\\x00-\\x1F[^]]*\][+*]\$$`)

func closed(t *testing.T, at string, s *openapi3.Schema) {
	t.Helper()
	switch {
	case s.Type.Is("object") && s.AdditionalProperties.Schema != nil: // A map, of names that the requests choose.
		if s.MaxProps == nil || s.Extensions["x-form"] == nil {
			t.Errorf("%s has no end, or does not tell it: x-form", at)
		}
		closed(t, at+" *", s.AdditionalProperties.Schema.Value)
	case s.Type.Is("object"):
		if s.AdditionalProperties.Has == nil || *s.AdditionalProperties.Has {
			t.Errorf("%s takes any member", at)
		}
		for name, p := range s.Properties {
			closed(t, at+" "+name, p.Value)
		}
	case s.Type.Is("array"):
		if s.MaxItems == nil {
			t.Errorf("%s has no end", at)
		}
		closed(t, at+"[]", s.Items.Value)
	case s.Type.Is("string"):
		if len(s.Enum) == 0 && s.MaxLength == nil {
			t.Errorf("%s may be as long as it likes", at)
		}
		if len(s.Enum) == 0 && s.Pattern == "" && at != "testConnection application/json account_id" {
			t.Errorf("%s may hold control characters", at)
		}
		if len(s.Enum) == 0 && s.Pattern != "" && !controlsOnly.MatchString(s.Pattern) && s.Extensions["x-form"] == nil {
			t.Errorf("%s is not told what form it must have: x-form", at)
		}
	case s.Type.Is("integer"):
		if s.Min == nil || s.Max == nil {
			t.Errorf("%s has no range", at)
		}
	}
	if len(s.OneOf) > 0 && s.Extensions["x-form"] == nil {
		t.Errorf("%s is not told which forms it may have: x-form", at)
	}
}

// TestExamplesFit: what the document shows is what it takes.
func TestExamplesFit(t *testing.T) {
	doc, err := api.Spec()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if op.RequestBody == nil {
				continue
			}
			for _, content := range op.RequestBody.Value.Content {
				for name, e := range content.Examples {
					n++
					if err := content.Schema.Value.VisitJSON(e.Value.Value); err != nil {
						t.Errorf("%s, example %s: %v", op.OperationID, name, err)
					}
				}
			}
		}
	}
	if n < 6 {
		t.Errorf("only %d examples", n)
	}
}
