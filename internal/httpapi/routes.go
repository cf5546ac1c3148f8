package httpapi

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"
)

// policy says who may make a call. There is none by default.
type policy int

const (
	open  policy = iota + 1 // Everybody, without a token.
	users                   // Whoever is signed in, for what is its own.
	admin                   // Administrators.
)

// endpoint is one call of the document.
type endpoint struct {
	*routers.Route
	policy     policy
	path       string   // As Echo writes it; the label of metrics and logs.
	parameters []string // Of the query.
	headers    []string // That are parameters, as they are written in the document.
	vital      bool     // Whether it describes the process itself, and is answered whatever state that is in.
	languages  bool     // Whether the answer depends on Accept-Language.
}

// basePath is where the calls for signed-in users lie. What is below it and
// does not exist is only told to them.
const basePath = "/v1"

func below(path string) bool { return path == basePath || strings.HasPrefix(path, basePath+"/") }

func routeKey(method, path string) string { return method + " " + path }

// routesOf reads the calls from the document. A call that does not say who may
// make it, or is open below the base path, is an error.
func routesOf(doc *openapi3.T) (map[string]*endpoint, error) {
	routes := map[string]*endpoint{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			r := &endpoint{path: strings.NewReplacer("{", ":", "}", "").Replace(path)}
			r.Route = &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: op}
			var err error
			if r.policy, err = policyOf(op); err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			if below(path) != (r.policy != open) {
				return nil, fmt.Errorf("%s %s: calls are open outside %s, and only there", method, path, basePath)
			}
			r.vital = slices.Contains(Vital(), path) || path == documentPath
			for _, p := range r.params() {
				switch p.In {
				case openapi3.ParameterInQuery:
					r.parameters = append(r.parameters, p.Name)
				case openapi3.ParameterInHeader:
					r.headers = append(r.headers, p.Name)
					r.languages = r.languages || p.Name == "Accept-Language"
				}
			}
			routes[routeKey(method, r.path)] = r
		}
	}
	return routes, nil
}

// Vital are the paths that describe the process itself: they are answered
// whatever it does, and on the operators' own address where there is one.
func Vital() []string { return []string{"/healthz", "/readyz", "/metrics"} }

// params returns the parameters of the path and of the call.
func (r *endpoint) params() []*openapi3.Parameter {
	var ps []*openapi3.Parameter
	for _, ref := range slices.Concat(r.PathItem.Parameters, r.Operation.Parameters) {
		ps = append(ps, ref.Value)
	}
	return ps
}

// filters reports whether a parameter narrows a list, or what is to be ended: it has no
// default, and is not the place to continue from.
func (r *endpoint) filters(name string) bool {
	narrows := slices.Contains(r.parameters, "limit") || r.Method == http.MethodDelete
	return narrows && name != "cursor" &&
		slices.ContainsFunc(r.params(), func(p *openapi3.Parameter) bool {
			return p.Name == name && p.In == openapi3.ParameterInQuery && p.Schema.Value.Default == nil
		})
}

func policyOf(op *openapi3.Operation) (policy, error) {
	if op.Security == nil {
		return 0, errors.New("it does not say who may call it")
	}
	if len(*op.Security) == 0 {
		return open, nil
	}
	if both := *op.Security; len(both) == 2 && len(both[0]) == 1 && both[1]["session"] != nil && len(both[1]) == 1 {
		if _, ok := both[0]["bearer"]; ok {
			return users, nil
		}
		if _, ok := both[0]["admin"]; ok {
			return admin, nil
		}
	}
	return 0, errors.New("its security is neither [], bearer or session, nor admin or session")
}

// covers reports whether the router has exactly the calls of the document.
func covers(routes map[string]*endpoint, registered []*echo.Route) error {
	var errs []error
	seen := map[string]bool{}
	for _, r := range registered {
		key := routeKey(r.Method, r.Path)
		seen[key] = true
		if routes[key] == nil {
			errs = append(errs, fmt.Errorf("%s is served but not in the document", key))
		}
	}
	for key := range routes {
		if !seen[key] {
			errs = append(errs, fmt.Errorf("%s is in the document but not served", key))
		}
	}
	return errors.Join(errs...)
}

// route returns the call that a request makes; nil when there is none.
func (s *server) route(c echo.Context) *endpoint {
	return s.routes[routeKey(c.Request().Method, c.Path())]
}

// hasBody reports whether the call takes a body.
func (r *endpoint) hasBody() bool {
	return r.Operation.RequestBody != nil && r.Method != http.MethodGet
}
