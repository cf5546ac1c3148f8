package outbound

import "testing"

func TestOwnHostsAreKnownByNameAndByAddress(t *testing.T) {
	d := New(Options{
		Resolver: answers{
			"mail.firma.test": "203.0.113.7 2001:db8::7", "alias.else.test": "203.0.113.7",
			"six.else.test": "2001:db8::7", "other.else.test": "203.0.113.8", "inner.firma.test": "10.0.0.1",
		},
		OwnHosts: []string{"mail.firma.test", "inner.firma.test", "gone.firma.test", "192.0.2.9"},
	})
	for host, own := range map[string]bool{
		"mail.firma.test": true, "MAIL.firma.test.": true, "gone.firma.test": true, "192.0.2.9": true,
		"::ffff:192.0.2.9": true,
		"alias.else.test":  true, "six.else.test": true, "203.0.113.7": true, "[2001:db8::7]": true, "10.0.0.1": true,
		"other.else.test": false, "203.0.113.8": false, "unknown.else.test": false, "": false, "no host": false,
	} {
		if got := d.OwnHost(t.Context(), host); got != own {
			t.Errorf("%q: %v", host, got)
		}
	}
	if New(Options{Resolver: answers{}}).OwnHost(t.Context(), "mail.firma.test") {
		t.Error("a host is own where none was named")
	}
}
