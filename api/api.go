// Package api is the REST contract: openapi.yaml, which people and other
// programs read, and the Go types, server interface and client that are
// generated from it.
//
// It holds no behaviour; package httpapi answers the calls.
package api

import (
	_ "embed"
	"fmt"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:generate go tool oapi-codegen -config codegen.yaml openapi.yaml
//go:generate sh -c "go run ./routes > ../docs/routes.md"

//go:embed openapi.yaml
var document []byte

// Document returns openapi.yaml, byte for byte.
func Document() []byte { return append([]byte(nil), document...) }

// Spec returns the parsed and checked document. All callers share it, since
// parsing takes a tenth of a second of a processor: nobody changes it.
func Spec() (*openapi3.T, error) { return parsed() }

var parsed = sync.OnceValues(Parse)

// Parse is Spec once more, for a caller of its own.
func Parse() (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	doc, err := loader.LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("parsing openapi.yaml: %w", err)
	}
	if err := doc.Validate(loader.Context); err != nil {
		return nil, fmt.Errorf("checking openapi.yaml: %w", err)
	}
	return doc, nil
}
