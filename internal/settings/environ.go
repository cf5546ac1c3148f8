package settings

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Variable is the environment variable of a key.
func (s Schema[C]) Variable(k Key[C]) string {
	return s.Prefix + strings.ToUpper(strings.ReplaceAll(k.Name, ".", "_"))
}

// VariablesOf are the variables that set a key: its own, and for a secret that of its file.
func (s Schema[C]) VariablesOf(k Key[C]) []string {
	names := []string{s.Variable(k)}
	if k.Secret {
		names = append(names, s.Variable(k)+"_FILE")
	}
	return names
}

// fromEnviron reads the environment. A variable of ours that says nothing is an error, like a key that says
// nothing.
func (s Schema[C]) fromEnviron(ctx context.Context, environ []string) (Values, error) {
	env := map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		env[name] = value
	}
	if err := s.knownVariables(env); err != nil {
		return nil, err
	}
	values := Values{}
	for _, k := range s.Keys {
		name := s.Variable(k)
		value, ok := env[name]
		apart := false
		if path, inFile := env[name+"_FILE"]; inFile && k.Secret {
			if ok {
				return nil, fmt.Errorf("%s: %s and %s_FILE are both set: keep one", k.Name, name, name)
			}
			var err error
			name += "_FILE"
			if value, err = readSecret(ctx, path); err != nil {
				return nil, fmt.Errorf("%s (from %s): %w", k.Name, name, err)
			}
			ok, apart = true, true
		}
		if ok {
			values[k.Name] = Value{value, name, apart}
		}
	}
	return values, nil
}

// knownVariables refuses variables of ours that say nothing, and names the one that was perhaps meant.
func (s Schema[C]) knownVariables(env map[string]string) error {
	known, link := slices.Clone(s.Variables), s.serviceLink()
	for _, k := range s.Keys {
		known = append(known, s.VariablesOf(k)...)
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !strings.HasPrefix(name, s.Prefix) || slices.Contains(known, name) || isServiceLink(link, name, env[name]) {
			continue
		}
		best, least := "", tooFar
		for _, k := range known {
			if d := Distance(name, k); d < least {
				best, least = k, d
			}
			if strings.HasSuffix(k, "_"+strings.TrimPrefix(name, s.Prefix)) && least > 1 {
				best, least = k, 1
			}
		}
		if best != "" {
			return fmt.Errorf("unknown variable %s: did you mean %s?", name, best)
		}
		return fmt.Errorf("unknown variable %s: %q names those that there are; unset it", name, s.Help)
	}
	return nil
}

// serviceLink is the name of a variable that a container platform makes of the name of a service, which may well
// be called like the program.
func (s Schema[C]) serviceLink() *regexp.Regexp {
	return regexp.MustCompile("^" + regexp.QuoteMeta(s.Prefix) +
		`([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_[A-Z]+(_(PROTO|PORT|ADDR))?)?)$`)
}

// isServiceLink reports whether a platform made a variable: NAME_PORT is tcp://….
func isServiceLink(link *regexp.Regexp, name, value string) bool {
	return link.MatchString(name) && (!strings.HasSuffix(name, "_PORT") || strings.Contains(value, "://") ||
		strings.HasSuffix(name, "_SERVICE_PORT") || strings.Count(name, "_PORT") > 1)
}
