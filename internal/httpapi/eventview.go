package httpapi

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
)

// view is the state of one client: what it was sent so far.
type view struct {
	toJSON func(account.Account) api.Account
	sent   map[account.ID]sentAccount
}

// sentAccount is an account as it was sent: its progress, and a digest of everything else.
type sentAccount struct {
	rest     [sha256.Size]byte
	progress api.Progress
}

func newView(toJSON func(account.Account) api.Account) *view {
	return &view{toJSON: toJSON, sent: map[account.ID]sentAccount{}}
}

func digest(a api.Account) sentAccount {
	t := sentAccount{progress: a.Status.Progress}
	a.Status.Progress = api.Progress{}
	// Advice contains the remaining time, which changes every minute. Everything else it
	// depends on is in other fields.
	if d := a.Status.Diagnosis; d != nil {
		quiet := *d
		quiet.Advice, a.Status.Diagnosis = "", &quiet
	}
	if d := a.Status.Delay; d != nil {
		quiet := *d
		quiet.Advice, a.Status.Delay = "", &quiet
	}
	b, err := json.Marshal(a)
	if err != nil { // Our own type: it cannot.
		panic(err)
	}
	t.rest = sha256.Sum256(b)
	return t
}

// send writes an event for each difference between accounts and what the client has.
func (v *view) send(out *eventWriter, accounts []account.Account) {
	for _, id := range slices.Sorted(maps.Keys(v.sent)) {
		if !slices.ContainsFunc(accounts, func(a account.Account) bool { return a.ID == id }) {
			delete(v.sent, id)
			out.put(v.id(), "removed", api.RemovedEvent{AccountId: string(id)})
		}
	}
	for _, a := range accounts {
		now := v.toJSON(a)
		before, known := v.sent[a.ID]
		t := digest(now)
		v.sent[a.ID] = t
		if !known || before.rest != t.rest {
			out.put(v.id(), "account", now)
		}
		if known && before.progress != t.progress && a.Status.State == account.Fetching {
			out.put(v.id(), "progress", api.ProgressEvent{
				AccountId: now.Id, Folder: t.progress.Folder, BytesDone: t.progress.BytesDone,
				MessagesDone: t.progress.MessagesDone, MessagesTotal: t.progress.MessagesTotal,
			})
		}
	}
}

// maxIDsInEvent is for how many accounts an event's id lists their ids.
const maxIDsInEvent = 64

// id identifies the client's whole state: a digest, the same in every process, and the ids
// of its accounts. So the server stores nothing per client to resume a stream.
func (v *view) id() string {
	sum := sha256.New()
	var ids []byte
	for _, id := range slices.Sorted(maps.Keys(v.sent)) {
		t := v.sent[id]
		fmt.Fprintf(sum, "%s %x %v\n", id, t.rest, t.progress)
		if u, err := uuid.Parse(string(id)); err == nil && len(v.sent) <= maxIDsInEvent {
			ids = append(ids, u[:]...)
		}
	}
	enc := base64.RawURLEncoding
	return enc.EncodeToString(sum.Sum(nil)[:12]) + "." + enc.EncodeToString(ids)
}

// resume restores the client's state from the id of its last event: everything, if nothing
// changed since; else the ids of its accounts, so that it can be sent which of them were
// removed. A forged id does no harm: it is only ever sent back to the client that sent it.
func (v *view) resume(last string, accounts []account.Account) {
	if last == "" {
		return
	}
	for _, a := range accounts {
		v.sent[a.ID] = digest(v.toJSON(a))
	}
	if v.id() == last {
		return
	}
	clear(v.sent)
	_, ids, _ := strings.Cut(last, ".")
	b, err := base64.RawURLEncoding.DecodeString(ids)
	if err != nil || len(b)%16 != 0 || len(b) > 16*maxIDsInEvent {
		return
	}
	for chunk := range slices.Chunk(b, 16) {
		v.sent[account.ID(uuid.UUID(chunk).String())] = sentAccount{}
	}
}
