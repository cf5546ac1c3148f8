package httpapi

import (
	"context"
	"encoding/json"
	"time"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Where an account's settings come in and go out: each once. A request to add an account, to change one and to test
// a connection has the same members, and what is said of one setting is said of it in all of them.

// sameMembers reads a request as the widest of the three, of which every member may be left out.
func sameMembers[T api.NewAccount | api.ConnectionTestRequest](in T) (out api.AccountPatch) {
	data, err := json.Marshal(in)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil { // It was read from JSON: it cannot.
		panic(err)
	}
	return out
}

// settingsOf reads settings. The generated type cannot tell null from absent; null was checked to stand only where it
// empties something.
func settingsOf(ctx context.Context, in api.AccountPatch) account.Settings {
	s := account.Settings{
		Email: in.Email, Name: in.Name, SenderName: in.SenderName, Provider: in.Provider,
		Protocol: (*remote.Protocol)(in.Protocol), Username: in.Username, Folder: in.Folder, Start: startOf(in.Start),
		MaxMessageBytes: in.MaxMessageBytes, PollInterval: seconds(in.PollIntervalSeconds), Enabled: in.Enabled,
	}
	if in.Server != nil {
		s.Host, s.Port, s.Security = in.Server.Host, in.Server.Port, (*remote.Security)(in.Server.Security)
	}
	if in.Folders != nil {
		s.Include, s.Exclude = in.Folders.Include, in.Folders.Exclude
	}
	if isNull(ctx, "sender_name") {
		s.SenderName = ptr("")
	}
	if isNull(ctx, "folders") || isNull(ctx, "folders.include") {
		s.Include = &[]string{}
	}
	if isNull(ctx, "folders") || isNull(ctx, "folders.exclude") {
		s.Exclude = &[]string{}
	}
	return s
}

// draftOf reads an account as a caller asks for it.
func draftOf(ctx context.Context, in api.AccountPatch) account.Draft {
	return account.Draft{
		Settings: settingsOf(ctx, in), Password: remote.NewSecret(value(in.Password)), Grant: value(in.OauthGrant),
		ConfirmAddress: value(in.ConfirmAddress), SkipTest: value(in.SkipTest),
	}
}

// patchOf reads a merge patch.
func patchOf(ctx context.Context, in api.AccountPatch) account.Patch {
	p := account.Patch{
		Settings: settingsOf(ctx, in), Grant: value(in.OauthGrant), ConfirmAddress: value(in.ConfirmAddress),
		SkipTest: value(in.SkipTest),
	}
	if in.Password != nil {
		p.Password = ptr(remote.NewSecret(*in.Password))
	}
	return p
}

// complete refuses settings to be tried, of no saved account, without an address or what to sign in with.
func complete(in api.ConnectionTestRequest) error {
	bad := &account.InvalidError{}
	if in.Email == nil {
		bad.Add("email", "required", "is needed where no account_id is given")
	}
	if in.Password == nil && in.OauthGrant == nil {
		bad.Add("password", "required", "is needed where no account_id is given")
	}
	return bad.OrNil()
}

// tried is what words of advice need to know of an account that is not saved.
func tried(d account.Draft) account.Account {
	return d.Merge(account.Account{Protocol: remote.IMAP})
}

// startOf reads a start, which was checked to have one of its forms.
func startOf(in *api.Start) *route.Start {
	if in == nil {
		return nil
	}
	if d, err := in.AsStartDays(); err == nil {
		return ptr(route.Start(d.Days))
	}
	if word, err := in.AsStartWord(); err == nil && word == api.StartNew {
		return ptr(route.StartNew)
	}
	return ptr(route.StartAll)
}

func seconds(n *int64) *time.Duration {
	if n == nil {
		return nil
	}
	return ptr(time.Duration(*n) * time.Second)
}

// What is written here is all that leaves the API of an account: the generated types have no place for a secret.

// AccountJSON writes an account as the contract has it.
func AccountJSON(a account.Account, explain Explainer, lang words.Language) api.Account {
	return api.Account{
		Id: string(a.ID), Email: a.Email, Name: a.Name, SenderName: a.SenderName,
		Provider: a.Provider, Protocol: api.Protocol(a.Protocol), Server: serverJSON(a.Server),
		Username: a.Username, Auth: api.AccountAuth(a.Auth), Folder: a.Folder,
		Folders: api.ChosenFolders{Include: list(a.Folders.Include), Exclude: list(a.Folders.Exclude)},
		Start:   startJSON(a.Start), MaxMessageBytes: a.MaxMessageBytes,
		PollIntervalSeconds: int64(a.PollInterval / time.Second), Enabled: a.Enabled,
		CreatedAt: utc(a.CreatedAt), UpdatedAt: utc(a.UpdatedAt),
		Status: api.AccountStatus{
			State:               api.AccountState(a.Status.State),
			LastAttemptAt:       when(a.Status.LastAttemptAt),
			LastSuccessAt:       when(a.Status.LastSuccessAt),
			NextPollAt:          when(a.Status.NextPollAt),
			ConsecutiveFailures: a.Status.Failures,
			Diagnosis:           DiagnosisJSON(a.Status.Diagnosis, a, explain, lang),
			Delay:               delayJSON(a, explain, lang),
			Progress: api.Progress{
				Folder: a.Status.Progress.Folder, MessagesDone: a.Status.Progress.MessagesDone,
				MessagesTotal: a.Status.Progress.MessagesTotal, BytesDone: a.Status.Progress.BytesDone,
			},
			Totals: api.Totals{
				Folders: a.Status.Totals.Folders, Messages: a.Status.Totals.Messages,
				Bytes: a.Status.Totals.Bytes,
			},
		},
	}
}

func (s *server) adminAccountJSON(ctx context.Context, a account.Account) api.AdminAccount {
	b := s.accountJSON(forAdmin(ctx), a)
	return api.AdminAccount{
		User: a.Owner.String(),
		Id:   b.Id, Email: b.Email, Name: b.Name, SenderName: b.SenderName, Provider: b.Provider, Protocol: b.Protocol,
		Server:   b.Server,
		Username: b.Username, Auth: api.AdminAccountAuth(b.Auth), Folder: b.Folder, Folders: b.Folders, Start: b.Start,
		MaxMessageBytes:     b.MaxMessageBytes,
		PollIntervalSeconds: b.PollIntervalSeconds, Enabled: b.Enabled, CreatedAt: b.CreatedAt, UpdatedAt: b.UpdatedAt,
		Status: b.Status,
	}
}

// startJSON writes "all", "new" or a number of days.
func startJSON(s route.Start) (out api.Start) {
	word := map[route.Start]api.StartWord{route.StartAll: api.StartAll, route.StartNew: api.StartNew}[s]
	var err error
	if word != "" {
		err = out.FromStartWord(word)
	} else {
		err = out.FromStartDays(api.StartDays{Days: int(s)})
	}
	if err != nil { // A word and a number: it cannot.
		panic(err)
	}
	return out
}
