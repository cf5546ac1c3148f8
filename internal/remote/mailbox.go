package remote

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// Field distinguishes the secrets of one subject.
type Field string

// SignsIn is the field of what a login takes: a password, or what was allowed on a
// provider's page.
const SignsIn Field = "password"

// SecretRef names a secret that is kept sealed: whose it is, what it is of, and which of
// the secrets of that. What is sealed under one name opens under no other.
type SecretRef struct {
	Owner   owner.Owner
	Subject string // An account's id, or what else has secrets; "": nothing that is saved.
	Field   Field
}

// Mailbox is a mailbox at a server, and how one signs in to it.
type Mailbox struct {
	Provider string // A preset's id; "": not known.
	Email    string // Its address; "": not known.
	Protocol Protocol
	Server   Server
	Username string
	Auth     Auth
	Secret   SecretRef // What signs in. Its owner is who reads the mailbox.
	// Capabilities is what the server was last seen to offer, as a session's
	// Capabilities tells it; "" when unknown. It saves round trips and is
	// a hint only: the server may be another by now.
	Capabilities string
	// Edits counts the edits of all that is above.
	Edits int64
	// LoginProof is what Proof returned when a server last accepted a login; "" when
	// none has, or one was refused since.
	LoginProof string
}

// Proof returns the text by which LoginProof shows that a server accepted the
// mailbox's credential as it is saved now. An edit makes it another text.
// Where no certificate says which server it was (None), the server's addresses
// do: a name can be led elsewhere.
func (m Mailbox) Proof(addrs []netip.Addr) string {
	proof := strconv.FormatInt(m.Edits, 10)
	if m.Server.Security != None {
		return proof
	}
	words := make([]string, len(addrs))
	for i, addr := range addrs {
		words[i] = addr.Unmap().String()
	}
	slices.Sort(words)
	return proof + " " + strings.Join(slices.Compact(words), " ")
}
