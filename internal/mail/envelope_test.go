package mail_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/charmap"

	"github.com/mailbrook/mailbrook/internal/mail"
)

func latin2(name string, r io.Reader) (io.Reader, error) {
	if name != "iso-8859-2" {
		return nil, errors.New("not known: " + name)
	}
	return charmap.ISO8859_2.NewDecoder().Reader(r), nil
}

func TestAnEnvelopeIsReadAsPeopleWouldReadIt(t *testing.T) {
	date := time.Date(2024, 3, 1, 12, 30, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		header string
		want   mail.Envelope
	}{
		"plain": {
			"From: Anna Nowak <anna@firma.test>\r\nSubject: Faktura\r\nDate: Fri, 1 Mar 2024 13:30:00 +0100\r\n\r\n",
			mail.Envelope{Sender: "Anna Nowak", Subject: "Faktura", Date: date},
		},
		"an address alone": {"From: anna@firma.test\r\n", mail.Envelope{Sender: "anna@firma.test"}},
		"encoded words, folded": {
			"From: =?UTF-8?B?xYF1a2FzeiDFu8OzxYJ3?= <l@firma.test>\r\nSubject: =?iso-8859-2?Q?Za=BF=F3=B3=E6?=\r\n" +
				" =?iso-8859-2?Q?_g=EA=B6l=B1?=\r\n",
			mail.Envelope{Sender: "Łukasz Żółw", Subject: "Zażółć gęślą"},
		},
		"an unknown charset": {"Subject: =?x-none?Q?a?=\r\n", mail.Envelope{Subject: "=?x-none?Q?a?="}},
		"no address":         {"From: nobody at all\r\n", mail.Envelope{Sender: "nobody at all"}},
		"octets of another charset": {
			"Subject: Za\xbf\xf3\r\nDate: yesterday\r\n", mail.Envelope{Subject: "Za�"},
		},
		"nothing": {"\r\n", mail.Envelope{}},
		"the first of several": {
			"From: a@firma.test, b@firma.test\r\nFrom: c@firma.test\r\n", mail.Envelope{Sender: "a@firma.test"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, mail.ParseEnvelope([]byte(c.header), latin2)); diff != "" {
				t.Error(diff)
			}
		})
	}
	// What nobody could read to its end is bounded.
	long := mail.ParseEnvelope([]byte("Subject: "+strings.Repeat("x", 2*mail.MaxHeader)), latin2)
	if len(long.Subject) > mail.MaxHeader {
		t.Errorf("%d octets of a subject", len(long.Subject))
	}
}
