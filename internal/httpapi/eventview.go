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
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/transfer"
)

// view is the state of one client: what it was sent so far.
type view struct {
	toJSON   func(account.Account) api.Account
	copyJSON func(transfer.Copy) api.Copy
	sent     map[account.ID]sentAccount
	copies   map[transfer.ID]sentCopy
}

// sentAccount is an account as it was sent: its progress, and a digest of everything else.
type sentAccount struct {
	rest     [sha256.Size]byte
	progress api.Progress
}

// sentCopy is a copy as it was sent: its progress, and a digest of everything else.
type sentCopy struct {
	rest     [sha256.Size]byte
	progress string // Its JSON: it has pointers.
}

func newView(toJSON func(account.Account) api.Account, copyJSON func(transfer.Copy) api.Copy) *view {
	return &view{
		toJSON: toJSON, copyJSON: copyJSON, sent: map[account.ID]sentAccount{}, copies: map[transfer.ID]sentCopy{},
	}
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
	t.rest = sha256.Sum256(encoded(a))
	return t
}

// encoded is one of our own types as JSON, which cannot fail.
func encoded(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// digestCopy tells what of a copy is news from what only says how far it is: what grows with each message is no news.
func digestCopy(c api.Copy) sentCopy {
	t := sentCopy{progress: string(encoded(c.Progress))}
	c.Progress = api.CopyProgress{}
	n := &c.Totals
	n.Messages, n.Bytes, n.AlreadyThere, n.VerifiedByDigest = 0, 0, 0, 0
	if d := c.Diagnosis; d != nil { // As of an account.
		quiet := *d
		quiet.Advice, c.Diagnosis = "", &quiet
	}
	t.rest = sha256.Sum256(encoded(c))
	return t
}

// send writes an event for each difference between what there is and what the client has.
func (v *view) send(out *eventWriter, now things) {
	if now.accounts != nil {
		v.sendAccounts(out, *now.accounts)
	}
	if now.copies != nil {
		v.sendCopies(out, *now.copies)
	}
}

func (v *view) sendCopies(out *eventWriter, copies []transfer.Copy) {
	for _, id := range slices.Sorted(maps.Keys(v.copies)) {
		if !slices.ContainsFunc(copies, func(c transfer.Copy) bool { return c.ID == id }) {
			delete(v.copies, id)
			if len(copies) < transfer.MostWatched { // Else it may be one that newer ones have displaced.
				out.put(v.id(), "copy_removed", api.CopyRemovedEvent{CopyId: string(id)})
			}
		}
	}
	for _, c := range copies {
		now := v.copyJSON(c)
		before, known := v.copies[c.ID]
		t := digestCopy(now)
		v.copies[c.ID] = t
		if !known || before.rest != t.rest {
			out.put(v.id(), "copy", now)
		} else if before.progress != t.progress && now.Phase != nil {
			p := now.Progress
			out.put(v.id(), "copy_progress", api.CopyProgressEvent{
				CopyId: now.Id, Phase: *now.Phase, Folder: p.Folder, MessagesDone: p.MessagesDone,
				MessagesTotal: p.MessagesTotal, BytesDone: p.BytesDone, BytesTotal: p.BytesTotal,
				MessagesPerMinute: p.MessagesPerMinute, SecondsLeft: p.SecondsLeft,
			})
		}
	}
}

func (v *view) sendAccounts(out *eventWriter, accounts []account.Account) {
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

// maxIDsInEvent is for how many accounts, and for how many copies, an event's id lists their ids.
const maxIDsInEvent = 64

// id identifies the client's whole state: a digest, the same in every process, and the ids of its accounts and copies.
// So the server stores nothing per client to resume a stream.
func (v *view) id() string {
	sum := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(v.sent)) {
		t := v.sent[id]
		fmt.Fprintf(sum, "%s %x %v\n", id, t.rest, t.progress)
	}
	for _, id := range slices.Sorted(maps.Keys(v.copies)) {
		t := v.copies[id]
		fmt.Fprintf(sum, "copy %s %x %s\n", id, t.rest, t.progress)
	}
	out := base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:12]) + "." + writeIDs(v.sent)
	if len(v.copies) > 0 {
		out += "." + writeIDs(v.copies)
	}
	return out
}

func writeIDs[T any](sent map[route.ID]T) string {
	var ids []byte
	for _, id := range slices.Sorted(maps.Keys(sent)) {
		if u, err := uuid.Parse(string(id)); err == nil && len(sent) <= maxIDsInEvent {
			ids = append(ids, u[:]...)
		}
	}
	return base64.RawURLEncoding.EncodeToString(ids)
}

// readIDs notes the ids that writeIDs wrote.
func readIDs[T any](sent map[route.ID]T, text string) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b)%16 != 0 || len(b) > 16*maxIDsInEvent {
		return
	}
	for chunk := range slices.Chunk(b, 16) {
		var nothing T
		sent[route.ID(uuid.UUID(chunk).String())] = nothing
	}
}

// resume restores the client's state from the id of its last event: everything, if nothing
// changed since; else the ids of what it has, so that it can be sent what of it was
// removed. A forged id does no harm: it is only ever sent back to the client that sent it.
func (v *view) resume(last string, now things) {
	if last == "" {
		return
	}
	for _, a := range *now.accounts {
		v.sent[a.ID] = digest(v.toJSON(a))
	}
	for _, c := range *now.copies {
		v.copies[c.ID] = digestCopy(v.copyJSON(c))
	}
	if v.id() == last {
		return
	}
	clear(v.sent)
	clear(v.copies)
	_, ids, _ := strings.Cut(last, ".")
	accounts, copies, _ := strings.Cut(ids, ".")
	readIDs(v.sent, accounts)
	readIDs(v.copies, copies)
}
