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

// view is what a reader was told so far.
type view struct {
	write func(account.Account) api.Account
	known map[account.ID]told
}

// told is what was told of one account: its progress, and a digest of all else.
type told struct {
	rest     [sha256.Size]byte
	progress api.Progress
}

func newView(write func(account.Account) api.Account) *view {
	return &view{write: write, known: map[account.ID]told{}}
}

func tellingOf(a api.Account) told {
	t := told{progress: a.Status.Progress}
	a.Status.Progress = api.Progress{}
	// Advice says how long there is to wait, which is another number by the minute. All
	// that it depends on stands beside it.
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

// tell writes what the reader does not know yet.
func (v *view) tell(out *events, accounts []account.Account) {
	for _, id := range slices.Sorted(maps.Keys(v.known)) {
		if !slices.ContainsFunc(accounts, func(a account.Account) bool { return a.ID == id }) {
			delete(v.known, id)
			out.put(v.id(), "removed", api.RemovedEvent{AccountId: string(id)})
		}
	}
	for _, a := range accounts {
		now := v.write(a)
		before, known := v.known[a.ID]
		t := tellingOf(now)
		v.known[a.ID] = t
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

// inID is for how many accounts an event's id names them all.
const inID = 64

// id stands for all that the reader knows: a digest, the same in every
// process, and the accounts it is about. Hence nobody has to remember what was
// told to whom.
func (v *view) id() string {
	sum := sha256.New()
	var names []byte
	for _, id := range slices.Sorted(maps.Keys(v.known)) {
		t := v.known[id]
		fmt.Fprintf(sum, "%s %x %v\n", id, t.rest, t.progress)
		if u, err := uuid.Parse(string(id)); err == nil && len(v.known) <= inID {
			names = append(names, u[:]...)
		}
	}
	enc := base64.RawURLEncoding
	return enc.EncodeToString(sum.Sum(nil)[:12]) + "." + enc.EncodeToString(names)
}

// resume begins with what a reader knows by the id of its last event: all, if
// nothing changed since; else the accounts' names, so that it can be told which
// of them are no more. An id of anybody's making does no harm: it is only ever
// told back to who sent it.
func (v *view) resume(last string, accounts []account.Account) {
	if last == "" {
		return
	}
	for _, a := range accounts {
		v.known[a.ID] = tellingOf(v.write(a))
	}
	if v.id() == last {
		return
	}
	clear(v.known)
	_, names, _ := strings.Cut(last, ".")
	b, err := base64.RawURLEncoding.DecodeString(names)
	if err != nil || len(b)%16 != 0 || len(b) > 16*inID {
		return
	}
	for chunk := range slices.Chunk(b, 16) {
		v.known[account.ID(uuid.UUID(chunk).String())] = told{}
	}
}
