package mail

import (
	"testing"
	"time"
)

// TestF14_DatesAreReadAsMailBearsThem: the forms are those of bug reports of other
// programs; each is read as the moment that it means, in UTC.
func TestF14_DatesAreReadAsMailBearsThem(t *testing.T) {
	for text, want := range map[string]string{
		"Sat, 21 Nov 2026 10:00:00 +0100": "2026-11-21T09:00:00Z",
		"Fri, 28 Feb 92 11:07:59 MEZ":     "1992-02-28T10:07:59Z",
		"13 Feb 22 00:04 EST":             "2022-02-13T05:04:00Z",
		"06-MAY-2016 19:00:22":            "2016-05-06T19:00:22Z",
		"Thu, 1 Oct 2015 14:40:57 +0200 (Mitteleurop\xe4ische Sommerzeit)": "2015-10-01T12:40:57Z",
		"Thu, 6 Oct 2022 12:27:13 +0200 (GMT+02:00)":                       "2022-10-06T10:27:13Z",
		"14 Sep 2019 00:10:08 UT +0200":                                    "2019-09-13T22:10:08Z",
		"Tue, 31 Dec 2024 23:00:02 +9900":                                  "2024-12-31T23:00:02Z",
		"Di, 17 Mai 2005 12:31:00 0200":                                    "2005-05-17T10:31:00Z",
		"fre, 28 maj 1999 21:47:11 +0200 (CEST)":                           "1999-05-28T19:47:11Z",
		"Sat Nov 28 10:00:00 2020":                                         "2020-11-28T10:00:00Z",
		"Sat Nov 28 10:00:00 2020 +0100":                                   "2020-11-28T09:00:00Z",
		"Sat Nov 28 10:00:00 CET 2020":                                     "2020-11-28T09:00:00Z",
		"Tue, 17 Jul 2012 19.38.50":                                        "2012-07-17T19:38:50Z",
		"2019-03-04 05:06:07 +0000":                                        "2019-03-04T05:06:07Z",
		"2019-03-04T05:06:07Z":                                             "2019-03-04T05:06:07Z",
		"2019-03-04T05:06:07.123+01:00":                                    "2019-03-04T04:06:07Z",
		"2019/03/04 05:06":                                                 "2019-03-04T05:06:00Z",
		"Mon, 4 Mar 2019 05:06:07 PM":                                      "2019-03-04T17:06:07Z",
		"Mon, 4 Mar 2019 12:06:07 AM":                                      "2019-03-04T00:06:07Z",
		"Mon,  4 Mar 2019 5:6:7 GMT":                                       "2019-03-04T05:06:07Z",
		"Monday, 04-Mar-19 05:06:07 UTC":                                   "2019-03-04T05:06:07Z",
		"pon, 4 mar 2019 05:06:07 +0100":                                   "2019-03-04T04:06:07Z",
		"mar, 5 mar 2019 05:06:07 +0100":                                   "2019-03-05T04:06:07Z",
		"śro, 6 paź 2021 05:06:07 +0200":                                   "2021-10-06T03:06:07Z",
		"Mon, 04 Mar 2019 24:00:00 +0100":                                  "2019-03-04T23:00:00Z",
		"Mon, 4 Mar 2019 05:06:60 +0000":                                   "2019-03-04T05:07:00Z",
		"Mon, 4 Mar 119 05:06:07 +0000":                                    "2019-03-04T05:06:07Z",
		"Mon, 4 Mar 2019 05:06:07 GMT+1":                                   "2019-03-04T04:06:07Z",
		"4 Mar 2019 05:06 -0000":                                           "2019-03-04T05:06:00Z",
		"Mon, 4 Mar 2019 05:06:07 XYZ":                                     "2019-03-04T05:06:07Z",
		"Tue, 4 Mar 2019 05:06:07 +0000 (a (nested) comment":               "2019-03-04T05:06:07Z",
		"Mon, 4 MAR 2019 05:06:07 +00:00":                                  "2019-03-04T05:06:07Z",
		"04.03.2019 05:06":                                                 "2019-03-04T05:06:00Z",
		"28/11/2020 10:00":                                                 "2020-11-28T10:00:00Z",
	} {
		if got := ParseDate(text).Format(time.RFC3339); got != want {
			t.Errorf("%q is read as %s, not %s", text, got, want)
		}
	}
	for _, text := range []string{
		"", "yesterday", "Mon", "4", "4 Mar", "Mar 2019", "31 Feb 2019 00:00:00 +0000", "3/4/2019 10:00",
		"Sat, 21 Nov 2026 25:00:00 +0000", "Sat, 21 Nov 2026 10:61:00 +0000", "Sat, 21 Nov 9999 09:00:00 +0000",
		"Sat, 21 Nov 0000 09:00:00 +0000", "Sat, 0 Nov 2026 09:00:00 +0000", "05:06:07", "1 2 3 4 5 6", "2019-13-45",
		"(((((", "20261121", "Thu, 1 Jan 1970 00:00:00 +0000",
	} {
		if got := ParseDate(text); !got.IsZero() {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

// FuzzParseDate: nothing that mail may have ends the program, and what is read is
// a time that can be true.
func FuzzParseDate(f *testing.F) {
	for _, s := range []string{
		"Sat, 21 Nov 2026 10:00:00 +0100 (CET)", "2019-03-04T05:06:07Z", "Monday, 04-Mar-19 05:06:07 UTC", "(", "-", "T",
		"Tue, 17 Jul 2012 19.38.50 PM", "Di, 17 Mai 2005 12:31:00 0200", "99999999999999999999", "\xff\xfe", "1:2:3:4",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d := ParseDate(text); !d.IsZero() && (d.Year() < firstYear || d.Year() > lastYear) {
			t.Errorf("%q is read as %v", text, d)
		}
	})
}
