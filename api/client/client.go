// Package client is a client of the REST API for Go, generated from
// api/openapi.yaml as any integrator may generate it.
//
// A member of a request that is nil is not sent, and so is not changed.
package client

//go:generate go tool oapi-codegen -config codegen.yaml ../openapi.yaml
