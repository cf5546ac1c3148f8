package source

import (
	"strings"
	"testing"
)

func FuzzParseUIDL(f *testing.F) {
	for _, s := range []string{
		"1 whqtswO00WBw418f9t5JxYwZ", "2 QhdPYR:00WBw1Ph7x7", "", "1", "0 a", "1  a", "01 a",
		"+1 a", "-1 a", "2147483648 a", "1 a b", "1 \x01", "1 \xff", "1 " + strings.Repeat("z", 300),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		n, id, ok := parseUIDL([]byte(line))
		if !ok {
			if n != 0 || id != "" {
				t.Fatalf("parseUIDL(%q) = %d, %q, false", line, n, id)
			}
			return
		}
		if n < 1 || n > maxNumber || len(id) > maxUIDL || strings.Trim(id, printable()) != "" {
			t.Fatalf("parseUIDL(%q) = %d, %q", line, n, id)
		}
	})
}

func printable() string {
	var b strings.Builder
	for c := byte(0x21); c <= 0x7e; c++ {
		b.WriteByte(c)
	}
	return b.String()
}

func FuzzParseLIST(f *testing.F) {
	for _, s := range []string{"1 120", "2 200 more", "", "1", "1 -5", "1 +5", "1 99999999999999999999", "1  7", "x 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if n, size, ok := parseLIST([]byte(line)); ok && (n < 1 || n > maxNumber || size < 0) {
			t.Fatalf("parseLIST(%q) = %d, %d", line, n, size)
		}
		parseSTAT(line)
	})
}

func TestParseSTAT(t *testing.T) {
	for text, want := range map[string]uint32{"2 320": 2, "0 0": 0, "7": 7} {
		if n, ok := parseSTAT(text); !ok || n != want {
			t.Errorf("%q: %d, %v", text, n, ok)
		}
	}
	for _, text := range []string{"", "x", "-1 0", "+1 0", "2147483648 1", " 1 2"} {
		if n, ok := parseSTAT(text); ok {
			t.Errorf("%q: %d", text, n)
		}
	}
}
