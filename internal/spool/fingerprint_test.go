package spool

import "testing"

func TestLineEndsAreTakenForWhatTheyWereInWhateverPieces(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a\nb\n": "a\r\nb\r\n", "\n\n": "\r\n\r\n", "a\r\nb": "a\r\nb", "a\r\r\n": "a\r\r\n", "a\rb\n": "a\rb\r\n",
		"\r\n\n": "\r\n\r\n",
	} {
		for size := 1; size <= len(in)+1; size++ {
			var out []byte
			last := byte(0)
			for rest := in; rest != ""; {
				piece := rest[:min(size, len(rest))]
				rest = rest[len(piece):]
				out, last = appendCRLF(out, []byte(piece), last)
			}
			if string(out) != want {
				t.Errorf("%q in pieces of %d becomes %q, not %q", in, size, out, want)
			}
		}
	}
}
