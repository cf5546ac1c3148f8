package store

import "testing"

// Only what looks like parameters of the driver is taken off a file's name.
func TestSQLiteFile(t *testing.T) {
	for name, want := range map[string][2]string{
		"sqlite:/a/b.db":                     {"/a/b.db", ""},
		"sqlite:/a/b.db?_pragma=x(1)&_y=2":   {"/a/b.db", "_pragma=x(1)&_y=2"},
		"sqlite:/a?b/c.db":                   {"/a?b/c.db", ""},
		"sqlite:/a?b=c/d.db":                 {"/a?b=c/d.db", ""},
		"sqlite:/a?b/c%41.db?_pragma=x(1)":   {"/a?b/c%41.db", "_pragma=x(1)"},
		"sqlite:was ist das?":                {"was ist das?", ""},
		"sqlite:relative.db?cache=shared":    {"relative.db", "cache=shared"},
		"/without/scheme.db?_pragma=sync(1)": {"/without/scheme.db", "_pragma=sync(1)"},
	} {
		if path, parameters := SQLiteFile(name); path != want[0] || parameters != want[1] {
			t.Errorf("%q is %q with %q, want %q", name, path, parameters, want)
		}
	}
}
