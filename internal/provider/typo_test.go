package provider

import "testing"

func TestASlipInADomainIsFound(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	for typed, want := range map[string]string{
		"gmial.com": "gmail.com", "gmail.con": "gmail.com", "wp.p": "wp.pl", "gmai.com": "gmail.com",
		"gmaill.com": "gmail.com",
		"gnail.com":  "gmail.com", "gmail.co": "gmail.com", "gmail.cm": "gmail.com", "gmail.om": "gmail.com",
		"gmail.comm": "gmail.com", "gmial.con": "gmail.com", "GMIAL.COM": "gmail.com", "gmailcom": "gmail.com",
		"yaho.com": "yahoo.com", "yahooo.com": "yahoo.com", "yhaoo.com": "yahoo.com", "outlok.com": "outlook.com",
		"hotmial.com": "hotmail.com", "hotmail.con": "hotmail.com", "wp.lp": "wp.pl", "wp.pll": "wp.pl", "o2.p": "o2.pl",
		"o2.lp": "o2.pl", "onet.p": "onet.pl", "onte.pl": "onet.pl", "interai.pl": "interia.pl", "interia.p": "interia.pl",
		"gmail\u3002com": "gmail.com", "\uff47\uff4d\uff41\uff49\uff4c.com": "gmail.com", "gma\u00adil.com": "gmail.com",
		"\uff47mial.com": "gmail.com", "\uff37\uff30.\uff30\uff2c": "wp.pl",
		"iclod.com": "icloud.com", "poczta.onet.p": "poczta.onet.pl",
	} {
		if got := c.DidYouMean("jan@" + typed); got != want {
			t.Errorf("%s: %q, want %q", typed, got, want)
		}
	}
}

// The control: domains of the catalogue and those of companies are let alone,
// also short ones that are like a provider's.
func TestADomainThatIsMeantIsNoSlip(t *testing.T) {
	t.Parallel()
	c := catalog(t)
	for _, p := range c.All() {
		for _, d := range p.Domains {
			if got := c.DidYouMean("jan@" + d); got != "" {
				t.Errorf("%s: %q", d, got)
			}
		}
	}
	for _, d := range []string{
		"firma.pl", "mala-firma.test", "ap.pl", "wb.pl", "op.com", "o3.pl", "one.pl", "poczta.firma.pl", "example.org",
		"google.cz", "orange.es", "free.fi", "hometown.pl", "kancelaria.com.pl", "xn--w-uga.pl", "mail.firma.pl", "a.b", "",
	} {
		if got := c.DidYouMean("jan@" + d); got != "" {
			t.Errorf("%s: %q", d, got)
		}
	}
	for typed, want := range map[string]int{"gmial": 1, "gmail": 0, "gmal": 1, "mgial": 2, "zupelnie-inny": 3, "": 3} {
		if got := slipsBetween(typed, "gmail"); got != want {
			t.Errorf("%q is %d slips from gmail, want %d", typed, got, want)
		}
	}
}
