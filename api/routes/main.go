// Command routes writes docs/routes.md: every call of the REST API in one table, from
// api/openapi.yaml.
package main

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/mailbrook/mailbrook/api"
)

func main() {
	if err := write(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "routes:", err)
		os.Exit(1) //nolint:forbidigo // It is main.
	}
}

const head = `# Calls

Made from [api/openapi.yaml](../api/openapi.yaml) by ` + "`go generate ./api/...`" + `; what each call takes and answers
stands there. The method in ` + "`internal/httpapi`" + ` that answers a call is called like its operation there.
A *user* is signed in by a token or by the pages' cookie and reaches only what is its own; an *admin* is an
administrator: the token has the scope ` + "`admin`" + `, or the link was made for one; *anybody* needs neither.

| who | call | what it does |
| --- | --- | --- |
`

// call is one row of the table.
type call struct {
	who, method, path, does string
	part                    int // Of the document, by its order of tags.
}

// write prints the page.
func write(w io.Writer) error {
	doc, err := api.Spec()
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString(head)
	for _, c := range calls(doc) {
		fmt.Fprintf(&b, "| %s | `%s %s` | %s |\n", c.who, c.method, c.path, c.does)
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// calls lists the calls by part of the document, path and method.
func calls(doc *openapi3.T) []call {
	var all []call
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			all = append(all, call{
				who: who(op), method: method, path: path, does: op.Summary,
				part: slices.IndexFunc(doc.Tags, func(t *openapi3.Tag) bool { return slices.Contains(op.Tags, t.Name) }),
			})
		}
	}
	methods := []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	slices.SortFunc(all, func(a, b call) int {
		return cmp.Or(cmp.Compare(a.part, b.part), cmp.Compare(a.path, b.path),
			cmp.Compare(slices.Index(methods, a.method), slices.Index(methods, b.method)))
	})
	return all
}

// who says who may make a call, by what its security asks for.
func who(op *openapi3.Operation) string {
	for _, way := range *op.Security {
		if _, ok := way["admin"]; ok {
			return "admin"
		}
	}
	if len(*op.Security) > 0 {
		return "user"
	}
	return "anybody"
}
