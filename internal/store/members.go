package store

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/mail"
)

// member is how a staged message stands in its batch: JSON, so that a person
// can read it in an emergency, with the names short, as there may be many.
// UIDL is bytes, because a server may send any.
type member struct {
	Folder   int64    `json:"f"`
	Epoch    int64    `json:"e,omitempty"`
	UID      uint32   `json:"u,omitempty"`
	UIDL     []byte   `json:"l,omitempty"`
	Ordinal  int      `json:"o,omitempty"`
	Size     int64    `json:"s"`
	Digest   []byte   `json:"d"`
	Body     []byte   `json:"b"`
	Header   []byte   `json:"h"`
	Spool    string   `json:"p"`
	Token    string   `json:"t"`
	Local    string   `json:"n"`
	Flags    uint8    `json:"g,omitempty"`
	Keywords string   `json:"k,omitempty"` // With a space between two.
	Received [2]int64 `json:"r"`           // Seconds and nanoseconds: RFC 3339 cannot hold every year a server may send.
	Zone     int      `json:"y,omitempty"` // Of the internal date: seconds east of UTC.
	File     int64    `json:"z"`
	Virtual  int64    `json:"v"`
}

func encodeMembers(ms []fetch.Member) ([]byte, error) {
	out := make([]member, len(ms))
	for i := range ms {
		m, p, f := &ms[i], &ms[i].Placement, &ms[i].Fingerprint
		_, zone := p.Received.Zone()
		out[i] = member{
			Folder: m.FolderID, Epoch: m.FolderEpoch, UID: m.ID.UID, UIDL: []byte(m.ID.UIDL), Ordinal: m.ID.Ordinal,
			Size: f.Size, Digest: f.Digest[:], Body: f.Body[:], Header: f.Header[:],
			Spool: p.Spool, Token: string(p.Token), Local: p.Folder, Flags: uint8(p.Flags), Keywords: string(p.Keywords),
			Received: [2]int64{p.Received.Unix(), int64(p.Received.Nanosecond())}, Zone: zone,
			File: p.FileSize, Virtual: p.VirtualSize,
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("writing a batch's members: %w", err)
	}
	return b, nil
}

// decodeMembers never returns nil without an error: nil is for batches that
// are only intended.
func decodeMembers(b []byte) ([]fetch.Member, error) {
	var in []member
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("reading a batch's members: %w", err)
	}
	out := make([]fetch.Member, len(in))
	for i, m := range in {
		o := &out[i]
		o.FolderID, o.FolderEpoch = m.Folder, m.Epoch
		o.ID = mail.ID{UID: m.UID, UIDL: string(m.UIDL), Ordinal: m.Ordinal}
		o.Fingerprint.Size = m.Size
		copy(o.Fingerprint.Digest[:], m.Digest)
		copy(o.Fingerprint.Body[:], m.Body)
		copy(o.Fingerprint.Header[:], m.Header)
		o.Placement = mail.Placement{
			Spool: m.Spool, Token: mail.Token(m.Token), Folder: m.Local, Flags: mail.Flags(m.Flags),
			Keywords: mail.Keywords(m.Keywords),
			Received: time.Unix(m.Received[0], m.Received[1]).In(mail.Zone(m.Zone)), FileSize: m.File, VirtualSize: m.Virtual,
		}
	}
	return out, nil
}
