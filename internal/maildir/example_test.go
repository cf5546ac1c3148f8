package maildir_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/maildir"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// Remote folders keep their names below the account's, as far as Maildir++ lets them.
func ExampleLocalName() {
	free := func(string) bool { return false }
	fmt.Println(maildir.LocalName("Gmail", nil, free)) // The remote INBOX.
	fmt.Println(maildir.LocalName("Gmail", []string{"Archive", "2023"}, free))
	fmt.Println(maildir.LocalName("Gmail", []string{"v1.2/final"}, free))
	fmt.Println(maildir.LocalName("Gmail", []string{"Sent"}, func(name string) bool { return name == "Gmail/Sent" }))
	// Output:
	// Gmail
	// Gmail/Archive/2023
	// Gmail/v1_2_final
	// Gmail/Sent (2)
}

// A message is written where nobody looks, made durable, and delivered by one rename.
func ExampleDelivery() {
	if err := deliverOne(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// staged: 0 messages to be seen
	// published: 1 message to be seen
	// "Subject: Faktura\n\nW załączeniu.\n"
}

func deliverOne(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "mail")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	store, err := maildir.New(maildir.Options{Template: "maildir:" + dir + "/{domain}/{local}"})
	if err != nil {
		return err
	}
	anna, err := owner.Parse("anna@firma.test")
	if err != nil {
		return err
	}
	if err := store.Make(ctx, anna); err != nil {
		return err
	}
	d, err := store.Open(ctx, anna, "journal-1", 1, owner.Limit{})
	if err != nil {
		return err
	}
	defer d.Close()
	seen := func() []string {
		files, _ := filepath.Glob(dir + "/firma.test/anna/.Gmail/new/*")
		return files
	}

	token := mail.TokenFor([]byte("a key of this installation"), "journal-1", "INBOX", 1, mail.ID{UID: 1})
	body := strings.NewReader("Subject: Faktura\r\n\r\nW załączeniu.\r\n")
	staged, err := d.Stage(ctx, token, body, time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC), 1<<20)
	if err != nil {
		return err
	}
	place := mail.Placement{
		Spool: staged.Spool, Token: token, Folder: "Gmail", Received: staged.Received,
		FileSize: staged.FileSize, VirtualSize: staged.VirtualSize,
	}
	if _, err := d.Seal(ctx, []mail.Placement{place}); err != nil { // From here on it survives a power cut.
		return err
	}
	fmt.Printf("staged: %d messages to be seen\n", len(seen()))
	for range 2 { // Again, as after a crash: it is not delivered twice.
		if _, err := d.Publish(ctx, []mail.Placement{place}); err != nil {
			return err
		}
	}
	fmt.Printf("published: %d message to be seen\n", len(seen()))
	text, err := os.ReadFile(seen()[0])
	fmt.Printf("%q\n", text)
	return err
}
