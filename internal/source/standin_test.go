package source

import (
	"io"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/words"
)

// servers D3, D6: what a server sends instead of a message is distinguished from mail,
// which may speak of such a notice and be of another length than listed.
func TestD6_StandInsAreToldFromMail(t *testing.T) {
	const (
		subject  = "Subject: Retrieval using the IMAP4 protocol failed for the following\r\n message: 20004\r\n"
		exchange = "From: Microsoft Exchange Server 2010\r\n" + subject + "\r\nThe server couldn't retrieve it.\r\n"
		courier  = "From: Mail Delivery Subsystem <postmaster>\r\nSubject: Cannot display Unicode content\r\n\r\n"
	)
	attached := courier + strings.Repeat("the message itself\r\n", 2000)
	for _, tc := range []struct {
		name, body string
		listed     int            // More octets than there are.
		why        words.Sentence // Without a format: it is the message.
	}{
		{"nothing", "", 145, cameEmpty},
		{"nothing, of nothing", "", 0, words.Sentence{}},
		{"servers D3: nothing but a line end", "\r\n", 10, cameEmpty},
		{"servers D3: nothing but line ends", "\n\r\n\r\n", 100, cameEmpty},
		{"control: line ends, as listed", "\r\n", 0, words.Sentence{}},
		{"control: line ends, counted with the end of the answer", "\r\n", 3, words.Sentence{}},
		{"control: a letter", "x\r\n", 100, words.Sentence{}},
		{"Exchange", exchange, 145, cameStandIn},
		{"Exchange, which counts it rightly", exchange, 0, cameStandIn},
		{"Exchange, from elsewhere", "From: microsoft@unknown\n" + subject + "\nx", 9, cameStandIn},
		{"its sender is not known", subject + "\r\nx", 1, cameStandIn},
		{
			"said in the text alone",
			"Subject: x\r\n\r\nRetrieval using the POP3 protocol failed for the following message: 5", 1, cameStandIn,
		},
		{"in capitals, with tabs", "FROM :\tMICROSOFT\nSUBJECT:\n\tRETRIEVAL\tUSING  THE POP3 protocol\n" +
			" failed for\n the following message\n\nx", 0, cameStandIn},
		{"no header", "\r\n \r\nCannot display\r\n Unicode content", 1, cameStandIn},
		{"control: words in one", "Subject: Cannot displayUnicode content\r\n\r\nx", 1, words.Sentence{}},
		{"control: a text that is cut off", "Subject: Cannot display Unicode\r\n\r\nx", 1, words.Sentence{}},
		{"Courier, with the message attached", attached, -30, cameStandIn},
		{"control: Courier's, as it was kept by somebody", courier + "the message itself", 0, words.Sentence{}},
		{"it has Received", "Received: from a\r\n" + exchange, 145, cameStandIn},
		{"control: somebody sent it", "Received: from a\r\n" + exchange, 0, words.Sentence{}},
		{
			"control: an answer",
			"Subject: Re: Retrieval using the IMAP4 protocol failed for the following message: 5\r\n\r\nx", 145,
			words.Sentence{},
		},
		{
			"control: mail that quotes it",
			"Subject: help\r\n\r\nHello,\r\nit says: Cannot display Unicode content\r\n", 145,
			words.Sentence{},
		},
		{"control: the sender is not known, the length is right", subject + "\r\nx", 0, words.Sentence{}},
		{"control: another length", "Subject: x\r\n\r\nshort", 145, words.Sentence{}},
		{"control: much longer", "Subject: x\r\n\r\n" + strings.Repeat("long ", 20000), -5, words.Sentence{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			whole, why := substance(strings.NewReader(tc.body), int64(len(tc.body)+tc.listed), new([standInHead]byte))
			if why.String() != tc.why.Error() {
				t.Errorf("%q, want %q", why, tc.why.Error())
			}
			if got, err := io.ReadAll(whole); why == nil && (err != nil || string(got) != tc.body) {
				t.Errorf("%d octets of %d, %v", len(got), len(tc.body), err)
			}
		})
	}
}
