package wire

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// The examples of RFC 7677 section 3 and RFC 5802 section 5, and what a server may not say in their place.
func TestSCRAMIsTheStandards(t *testing.T) {
	for mechanism, x := range map[string]struct{ nonce, first, final, last string }{
		SASLSCRAM256: {
			"rOprNGfwEbeRWgbNEkqO",
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		},
		SASLSCRAM1: {
			"fyko+d2lbbFgONRv9qkxdawL", "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
			"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
			"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
		},
	} {
		start := func() *scram {
			s := newSCRAM(mechanism, "user", "pencil", &remote.Redactor{})
			s.nonce = x.nonce
			return s
		}
		s := start()
		if _, first, err := s.Start(); err != nil || string(first) != "n,,n=user,r="+x.nonce {
			t.Errorf("%s begins with %q, %v", mechanism, first, err)
		}
		if final, err := s.Next([]byte(x.first)); err != nil || string(final) != x.final {
			t.Errorf("%s continues with %q, %v", mechanism, final, err)
		}
		if s.Proved() == nil {
			t.Error("an acceptance without the server's proof is believed")
		}
		if said := s.secrets.Redact("no such command: " + base64.StdEncoding.EncodeToString(
			[]byte(x.final))); said != "no such command: ***" {
			t.Errorf("the proof is shown: %q", said)
		}
		if _, err := s.Next([]byte(x.last)); err != nil || s.Proved() != nil {
			t.Errorf("%s ends with %v, %v", mechanism, err, s.Proved())
		}
		for _, bad := range []string{ // Controls.
			"", "r=other,s=QSXCR+Q6sek8bf92,i=4096", "r=" + x.nonce + ",s=QSXC,i=4096", "m=x," + x.first,
			strings.Replace(x.first, "4096", "1", 1),
			strings.Replace(x.first, "4096", "99999999", 1),
		} {
			if _, err := start().Next([]byte(bad)); fault.CodeOf(err) != fault.ProtocolError {
				t.Errorf("%q: %v", bad, err)
			}
		}
		s = start()
		if _, err := s.Next([]byte(x.first)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Next([]byte("v=AAAA")); err == nil || s.Proved() == nil {
			t.Error("another server's proof is believed")
		}
	}
}
