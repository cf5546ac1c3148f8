package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// ours begins the names of the variables that are ours.
const ours = "MAILBROOK_"

// variables are the names that say something: one for each key, one more for the
// file of each secret, and the one of the configuration file.
func variables(settings []setting) []string {
	names := []string{fileVariable}
	for _, s := range settings {
		names = append(names, s.variables()...)
	}
	return names
}

// serviceLink is the name of a variable that a container platform makes of the
// name of a service, which may well be called mailbrook.
var serviceLink = regexp.MustCompile(
	`^MAILBROOK_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_[A-Z]+(_(PROTO|PORT|ADDR))?)?)$`)

// linked reports whether a platform made a variable: NAME_PORT is tcp://….
func linked(name, value string) bool {
	return serviceLink.MatchString(name) && (!strings.HasSuffix(name, "_PORT") || strings.Contains(value, "://") ||
		strings.HasSuffix(name, "_SERVICE_PORT") || strings.Count(name, "_PORT") > 1)
}

// knownVariables refuses variables of ours that say nothing, and names the one
// that was perhaps meant.
func knownVariables(env map[string]string, settings []setting) error {
	known := variables(settings)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if !strings.HasPrefix(name, ours) || slices.Contains(known, name) || linked(name, env[name]) {
			continue
		}
		best, least := "", 4
		for _, k := range known {
			if d := distance(name, k); d < least {
				best, least = k, d
			}
			if strings.HasSuffix(k, "_"+strings.TrimPrefix(name, ours)) && least > 1 {
				best, least = k, 1
			}
		}
		if best != "" {
			return fmt.Errorf("unknown variable %s: did you mean %s?", name, best)
		}
		return fmt.Errorf(`unknown variable %s: "mailbrook --help" names those that there are; unset it`, name)
	}
	return nil
}
