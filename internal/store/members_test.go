package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// A batch that was staged before keywords and zones were kept is finished all the same.
func TestMembersOfBeforeAreRead(t *testing.T) {
	const before = `[{"f":3,"e":2,"u":17,"s":120,"d":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",` +
		`"b":"AAAAAAAAAAAAAAAAAAAAAA==","h":"AAAAAAAAAAAAAAAAAAAAAA==","p":"Fabc.e7","t":"Fabc","n":"Gmail/Sent","g":8,` +
		`"r":[837510265,0],"z":110,"v":120}]`
	got, err := decodeMembers([]byte(before))
	if err != nil {
		t.Fatal(err)
	}
	want := []fetch.Member{{
		FolderID: 3, FolderEpoch: 2, ID: mail.ID{UID: 17}, Fingerprint: mail.Fingerprint{Size: 120},
		Placement: mail.Placement{
			Spool: "Fabc.e7", Token: "Fabc", Folder: "Gmail/Sent", Flags: mail.Seen,
			Received: time.Unix(837510265, 0).UTC(), FileSize: 110, VirtualSize: 120,
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMembersKeepKeywordsAndZone(t *testing.T) {
	want := []fetch.Member{{
		FolderID: 3, ID: mail.ID{UID: 17},
		Placement: mail.Placement{
			Spool: "Fabc.e7", Token: "Fabc", Folder: "Gmail", Keywords: "$Forwarded NonJunk",
			Received: time.Unix(837510265, 0).In(mail.Zone(-7 * 3600)),
		},
	}}
	b, err := encodeMembers(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeMembers(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" || got[0].Placement.Received.Location() != mail.Zone(-7*3600) {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
