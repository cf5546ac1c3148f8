// Package api is the REST contract: openapi.yaml, which people and other
// programs read, and the Go types, server interface and client that are
// generated from it.
//
// It holds no behaviour; package httpapi answers the calls.
package api

import (
	_ "embed"
	"fmt"

	"github.com/getkin/kin-openapi/openapi3"
)

//go:generate go tool oapi-codegen -config codegen.yaml openapi.yaml

//go:embed openapi.yaml
var document []byte

// Document returns openapi.yaml, byte for byte.
func Document() []byte { return append([]byte(nil), document...) }

// Spec returns the parsed and checked document. Each call parses anew: the
// caller owns what it gets.
func Spec() (*openapi3.T, error) {
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
