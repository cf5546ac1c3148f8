package settings

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// conf is a small configuration.
type conf struct {
	Name, Secret string
	Count        int
	Tags         string
	Every        string
}

func schema() Schema[conf] {
	return Schema[conf]{
		Prefix: "APP_", Variables: []string{"APP_CONFIG"}, Help: "app --help",
		Defaults: func() conf { return conf{Name: "nobody", Count: 1} },
		Keys: []Key[conf]{
			{Name: "name", Set: func(c *conf, v string) error { c.Name = v; return nil }},
			{Name: "part.count", Kind: Number, Set: func(c *conf, v string) (err error) {
				if c.Count, err = strconv.Atoi(v); err != nil {
					return errors.New("must be a number")
				}
				return nil
			}},
			{Name: "part.tags", Kind: List, Optional: true, Set: func(c *conf, v string) error { c.Tags = v; return nil }},
			{Name: "part.every", Kind: Duration, Set: func(c *conf, v string) error { c.Every = v; return nil }},
			{Name: "part.secret", Optional: true, Secret: true, Set: func(c *conf, v string) error {
				c.Secret = v
				if strings.HasPrefix(v, "bad") {
					return errors.New("is too short")
				}
				return nil
			}},
		},
	}
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheLaterSourceWinsAndEachValueSaysWhereItCameFrom(t *testing.T) {
	path := file(t, "name = 'file'\n[part]\ncount = 2\ntags = ['a', 5]\nsecret_file = '"+file(t, "geheim\n")+"'\n")
	got, values, err := schema().Load(t.Context(), path, []string{"APP_NAME=env", "APP_PART_COUNT=3", "OTHER=x"},
		map[string]string{"part.count": "4"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(conf{Name: "env", Secret: "geheim", Count: 4, Tags: "a,5"}, got); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Values{
		"name": {"env", "APP_NAME", false}, "part.count": {"4", commandLine, false}, "part.tags": {"a,5", path, false},
		"part.secret": {"geheim", path, true}, // In a file of its own.
	}, values); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	if got, values, err := schema().Load(t.Context(), "", nil, nil); err != nil || len(values) > 0 || got !=
		(conf{Name: "nobody", Count: 1}) { // The control.
		t.Errorf("of nothing: %+v, %v, %v", got, values, err)
	}
}

func TestMistakesNameTheKeyWhereItIsAndWhatToDo(t *testing.T) {
	empty := file(t, "\n")
	for _, tc := range []struct{ file, environ, flag, says string }{
		{"nam = 'x'", "", "", "unknown key nam (from FILE): did you mean name?"},
		{"count = 5", "", "", "unknown key count (from FILE): did you mean part.count?"},
		{"entirely = 5", "", "", `unknown key entirely (from FILE): "app --help" names those that there are`},
		{"name_file = 'x'", "", "", "unknown key name_file (from FILE)"},
		{"", "", "nam", "unknown key nam (from the command line): did you mean name?"},
		{"name = 5", "", "", "name (from FILE) must be text in quotes"},
		{"name = ''", "", "", "name (from FILE) is empty: give it a value, or leave it out for the default"},
		{"part.tags = [true]", "", "", "part.tags (from FILE) has an element that must be a number"},
		{"part.every = 5", "", "", `part.every (from FILE) is 5 without a unit: write it in quotes with one`},
		{"part.every = true", "", "", `part.every (from FILE) must be text in quotes`},
		{"part = 5", "", "", "unknown key part (from FILE)"},
		{"a = [", "", "", "FILE, line 1, column"},
		{"part.count = 'x'", "APP_PART_COUNT=5", "", `part.count (from FILE) is "x": it must be a number`},
		{"", "APP_PART_COUNT=x", "", `part.count (from APP_PART_COUNT) is "x": it must be a number`},
		{"", "APP_NAMEE=x", "", "unknown variable APP_NAMEE: did you mean APP_NAME?"},
		{"", "APP_TAGS=x", "", "unknown variable APP_TAGS: did you mean APP_PART_TAGS?"},
		{
			"", "APP_UNHEARD_OF=geheim", "",
			`unknown variable APP_UNHEARD_OF: "app --help" names those that there are; unset it`,
		},
		{"", "APP_PART_SECRET_FILE=" + empty, "", "part.secret (from APP_PART_SECRET_FILE): the file " + empty + " is empty"},
		{"part.secret = 'badgeheim'", "", "", "part.secret (from FILE) is too short"},
		{
			"part.secret = 'geheim'\npart.secret_file = 'x'", "", "",
			"part.secret and part.secret_file (from FILE) are both set: keep one",
		},
	} {
		path, flags := "", map[string]string{}
		if tc.file != "" {
			path = file(t, tc.file)
		}
		if tc.flag != "" {
			flags[tc.flag] = "x"
		}
		_, _, err := schema().Load(t.Context(), path, []string{tc.environ}, flags)
		switch {
		case err == nil:
			t.Errorf("%+v: accepted", tc)
		case !strings.Contains(strings.ReplaceAll(err.Error(), path, "FILE"), tc.says) && path != "",
			!strings.Contains(err.Error(), tc.says) && path == "":
			t.Errorf("%+v: %v", tc, err)
		case strings.Contains(err.Error(), "geheim"):
			t.Errorf("%+v: the error shows the secret: %v", tc, err)
		}
	}
}

func TestVariablesOfPlatformsAreNotOurs(t *testing.T) {
	for _, v := range []string{
		"APP_SERVICE_HOST=10.0.0.1", "APP_PORT=tcp://10.0.0.1:80", "APP_API_PORT_80_TCP=tcp://10.0.0.1:80", "APP_CONFIG=x",
		"app_x=",
	} {
		if _, _, err := schema().Load(t.Context(), "", []string{v}, nil); err != nil {
			t.Errorf("%s: %v", v, err)
		}
	}
	if _, _, err := schema().Load(t.Context(), "", []string{"APP_PORT=80"}, nil); err == nil { // The control.
		t.Error("a port that no platform wrote is accepted")
	}
}

func TestDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"abc", "abd", 1}, {"abc", "ab", 1}, {"", "abc", 3}, {"kitten", "sitting", 3}} {
		if got := Distance(tc.a, tc.b); got != tc.want {
			t.Errorf("%q, %q: %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}

func TestNobodyWaitsForEverForAPipe(t *testing.T) {
	r, w, err := os.Pipe() // Nobody writes into it.
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	path := "/dev/fd/" + strconv.Itoa(int(r.Fd()))
	if _, err := readOnce(t.Context(), path, maxSecret, time.Nanosecond); err == nil ||
		!strings.Contains(err.Error(), path+" has no end") {
		t.Errorf("the error is %v", err)
	}
}
