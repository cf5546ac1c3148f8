package words

import "testing"

func TestVerbsOfFormats(t *testing.T) {
	for format, want := range map[string]string{
		"": "", "100 %%": "", "%s of %d": "sd", "%[2]s of %[1]d": "ds", "%[1]s, again %[1]s": "s", "%[1]s %[2]d %s": "sds",
		"%v": "no", "%": "no", "%[x]s": "no", "%[2]s": "no", "%[0]s": "no", "%[1]s %[1]d": "no", "%[1": "no",
	} {
		if got, ok := verbsOf(format); ok != (want != "no") || ok && string(got) != want {
			t.Errorf("%q: %q %v", format, got, ok)
		}
	}
}
