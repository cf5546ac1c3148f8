package httpapi

import (
	"context"
	"errors"
	"regexp"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// ListAccounts returns the caller's accounts.
func (s *server) ListAccounts(ctx context.Context, _ api.ListAccountsRequestObject) (api.ListAccountsResponseObject,
	error,
) {
	as, err := s.Accounts.List(ctx, caller(ctx).Owner)
	if err != nil {
		return nil, err
	}
	out := make([]api.Account, len(as))
	for i, a := range as {
		out[i] = s.accountJSON(ctx, a)
	}
	return api.ListAccounts200JSONResponse{Body: api.AccountList{Accounts: out, Limit: s.Accounts.MaxPerUser()}}, nil
}

// CreateAccount adds an account.
func (s *server) CreateAccount(ctx context.Context, r api.CreateAccountRequestObject) (api.CreateAccountResponseObject,
	error,
) {
	d := draftOf(ctx, sameMembers(*r.Body))
	d.AskedAt = caller(ctx).asked
	made, err := once(ctx, s, "accounts", r.Params.IdempotencyKey,
		func(ctx context.Context, id string) (api.CreateAccount201JSONResponse, error) {
			d.ID = account.ID(id)
			a, err := s.create(ctx, caller(ctx).Owner, d)
			if err != nil {
				return api.CreateAccount201JSONResponse{}, err
			}
			return api.CreateAccount201JSONResponse{
				Body: s.accountJSON(ctx, a),
				Headers: api.CreateAccount201ResponseHeaders{
					Location: basePath + "/accounts/" + string(a.ID), ETag: etag(a.Version()),
				},
			}, nil
		})
	if err != nil {
		return nil, s.at(ctx, err, tried(d))
	}
	return made, nil
}

// create adds an account, unless another attempt at the same request did: its
// process died before it could answer, or was taken for dead.
func (s *server) create(ctx context.Context, o owner.Owner, d account.Draft) (a account.Account, err error) {
	if d.ID != "" {
		if a, err = s.Accounts.Get(ctx, o, d.ID); !errors.Is(err, account.ErrNotFound) {
			return a, err
		}
	}
	add := func() (err error) {
		a, err = s.Accounts.Create(ctx, o, d)
		return err
	}
	if d.SkipTest {
		err = add()
	} else {
		err = s.tested(ctx, add)
	}
	if d.ID != "" && errors.Is(err, account.ErrExists) {
		if made, found := s.Accounts.Get(ctx, o, d.ID); found == nil {
			return made, nil
		}
	}
	return a, err
}

// GetAccount returns one account.
func (s *server) GetAccount(ctx context.Context, r api.GetAccountRequestObject) (api.GetAccountResponseObject, error) {
	a, err := s.Accounts.Get(ctx, caller(ctx).Owner, account.ID(r.Id))
	if err != nil {
		return nil, err
	}
	return api.GetAccount200JSONResponse{
		Body: s.accountJSON(ctx, a), Headers: api.GetAccount200ResponseHeaders{ETag: etag(a.Version())},
	}, nil
}

// UpdateAccount changes an account.
func (s *server) UpdateAccount(ctx context.Context, r api.UpdateAccountRequestObject) (api.UpdateAccountResponseObject,
	error,
) {
	in := r.JSONBody
	if in == nil {
		in = r.ApplicationMergePatchPlusJSONBody
	}
	p := patchOf(ctx, *in)
	var err error
	if p.Match, err = matchOf(r.Params.IfMatch); err != nil {
		return nil, err
	}
	o, id := caller(ctx).Owner, account.ID(r.Id)
	var a account.Account
	change := func() (err error) {
		a, err = s.Accounts.Update(ctx, o, id, p)
		return err
	}
	if p.SkipTest || p.Password == nil && p.Grant == "" && !p.Connects() {
		if err := change(); err != nil {
			return nil, err
		}
		return s.updated(ctx, a), nil
	}
	saved, err := s.Accounts.Get(ctx, o, id) // Its settings word the advice.
	if err != nil {
		return nil, err
	}
	if err := s.tested(ctx, change); err != nil {
		return nil, s.at(ctx, err, p.Merge(saved))
	}
	return s.updated(ctx, a), nil
}

func (s *server) updated(ctx context.Context, a account.Account) api.UpdateAccountResponseObject {
	return api.UpdateAccount200JSONResponse{
		Body: s.accountJSON(ctx, a), Headers: api.UpdateAccount200ResponseHeaders{ETag: etag(a.Version())},
	}
}

// DeleteAccount removes an account, and its mail if that is said.
func (s *server) DeleteAccount(ctx context.Context, r api.DeleteAccountRequestObject) (api.DeleteAccountResponseObject,
	error,
) {
	keep := r.Params.Mail == nil || *r.Params.Mail != api.Delete
	match, err := matchOf(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := s.Accounts.Delete(ctx, caller(ctx).Owner, account.ID(r.Id), keep, match); err != nil {
		return nil, err
	}
	return api.DeleteAccount204Response{}, nil
}

// FetchAccount makes an account due and answers with it.
func (s *server) FetchAccount(ctx context.Context, r api.FetchAccountRequestObject) (api.FetchAccountResponseObject,
	error,
) {
	o, id := caller(ctx).Owner, account.ID(r.Id)
	if err := s.Accounts.FetchNow(ctx, o, id); err != nil {
		return nil, err
	}
	a, err := s.Accounts.Get(ctx, o, id)
	if err != nil {
		return nil, err
	}
	return api.FetchAccount202JSONResponse{Body: s.accountJSON(ctx, a)}, nil
}

// ListAccountFolders returns the remote folders.
func (s *server) ListAccountFolders(ctx context.Context,
	r api.ListAccountFoldersRequestObject,
) (api.ListAccountFoldersResponseObject, error) {
	fs, err := s.Accounts.FolderTree(ctx, caller(ctx).Owner, account.ID(r.Id))
	if err != nil {
		return nil, err
	}
	out := make([]api.RemoteFolder, len(fs))
	for i, f := range fs {
		out[i] = api.RemoteFolder{
			RemoteName: f.RemoteName, LocalName: f.LocalName, SpecialUse: text(f.SpecialUse), Selected: f.Selected,
			Messages: f.Messages, Fetched: f.Fetched, Shared: f.Shared, LeftOut: leftOut(f),
		}
	}
	return api.ListAccountFolders200JSONResponse{Folders: out}, nil
}

// leftOut is why a folder that the account's rules choose is not fetched.
func leftOut(f account.FolderInfo) *api.FaultCode {
	if !f.LeadsBack {
		return nil
	}
	return ptr(api.FaultCode(fault.MailLoop))
}

// ListAccountRuns returns past visits.
func (s *server) ListAccountRuns(ctx context.Context,
	r api.ListAccountRunsRequestObject,
) (api.ListAccountRunsResponseObject, error) {
	a, err := s.Accounts.Get(ctx, caller(ctx).Owner, account.ID(r.Id))
	if err != nil {
		return nil, err
	}
	runs, err := s.runs(ctx, a, value(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return api.ListAccountRuns200JSONResponse{Body: runs}, nil
}

// runs returns an account's past visits; its settings word the advice.
func (s *server) runs(ctx context.Context, a account.Account, limit int) (api.RunList, error) {
	runs, err := s.Accounts.Runs(ctx, a.Owner, a.ID, limit)
	if err != nil {
		return api.RunList{}, err
	}
	out := make([]api.Run, len(runs))
	for i, v := range runs {
		out[i] = api.Run{
			Id: v.ID, StartedAt: utc(v.StartedAt), FinishedAt: when(v.FinishedAt), Ok: v.OK, Messages: v.Messages,
			Bytes: v.Bytes, Diagnosis: s.diagnosis(ctx, v.Diagnosis, a),
		}
	}
	return api.RunList{Runs: out}, nil
}

// ListAccountSkipped returns a page of what could not be fetched.
func (s *server) ListAccountSkipped(ctx context.Context,
	r api.ListAccountSkippedRequestObject,
) (api.ListAccountSkippedResponseObject, error) {
	a, err := s.Accounts.Get(ctx, caller(ctx).Owner, account.ID(r.Id))
	if err != nil {
		return nil, err
	}
	page, err := s.skipped(ctx, a, value(r.Params.Limit), value(r.Params.Cursor))
	if err != nil {
		return nil, err
	}
	return api.ListAccountSkipped200JSONResponse{Body: page}, nil
}

// skipped returns a page of what of an account could not be fetched; its settings
// word the advice.
func (s *server) skipped(ctx context.Context, a account.Account, limit int, cursor string) (api.SkippedList, error) {
	page, err := s.Accounts.Skipped(ctx, a.Owner, a.ID, limit, cursor)
	if err != nil {
		return api.SkippedList{}, err
	}
	out := make([]api.SkippedMessage, len(page.Messages))
	for i, m := range page.Messages {
		out[i] = s.skippedJSON(ctx, m, a)
	}
	return api.SkippedList{Skipped: out, NextCursor: text(page.Next), Total: page.Total}, nil
}

// RetryAllSkipped has all of them tried again.
func (s *server) RetryAllSkipped(ctx context.Context,
	r api.RetryAllSkippedRequestObject,
) (api.RetryAllSkippedResponseObject, error) {
	n, err := s.Accounts.RetryAllSkipped(ctx, caller(ctx).Owner, account.ID(r.Id))
	if err != nil {
		return nil, err
	}
	return api.RetryAllSkipped202JSONResponse{Messages: n}, nil
}

// RetrySkipped has one of them tried again.
func (s *server) RetrySkipped(ctx context.Context, r api.RetrySkippedRequestObject) (api.RetrySkippedResponseObject,
	error,
) {
	o, id := caller(ctx).Owner, account.ID(r.Id)
	a, err := s.Accounts.Get(ctx, o, id)
	if err != nil {
		return nil, err
	}
	m, err := s.Accounts.RetrySkipped(ctx, o, id, r.Sid)
	if err != nil {
		return nil, err
	}
	return api.RetrySkipped202JSONResponse{Body: s.skippedJSON(ctx, m, a)}, nil
}

// TestConnection tries settings, saved or not, and saves nothing.
func (s *server) TestConnection(ctx context.Context,
	r api.TestConnectionRequestObject,
) (api.TestConnectionResponseObject, error) {
	if wantsEvents(ctx) {
		return s.streamTest(ctx, *r.Body)
	}
	out, err := s.testConnection(ctx, *r.Body)
	if err != nil {
		return nil, err
	}
	return api.TestConnection200JSONResponse{Body: out}, nil
}

// testConnection tries settings, and tells its steps to whom remote.WithSteps names.
func (s *server) testConnection(ctx context.Context, in api.ConnectionTestRequest) (out api.ConnectionTest, err error) {
	o := caller(ctx).Owner
	var report account.TestReport
	var tested account.Account
	try := func(f func() (account.TestReport, error)) error {
		return s.tested(ctx, func() (err error) {
			report, err = f()
			return err
		})
	}
	if in.AccountId == nil {
		if err := complete(in); err != nil {
			return out, err
		}
		d := draftOf(ctx, sameMembers(in))
		tested = tried(d)
		if err := try(func() (account.TestReport, error) { return s.Accounts.Test(ctx, o, d) }); err != nil {
			return out, err
		}
	} else {
		id := account.ID(*in.AccountId)
		if !uuidForm.MatchString(string(id)) {
			return out, account.ErrNotFound
		}
		saved, err := s.Accounts.Get(ctx, o, id)
		if err != nil {
			return out, err
		}
		p := patchOf(ctx, sameMembers(in))
		tested = p.Merge(saved)
		if err := try(func() (account.TestReport, error) { return s.Accounts.TestExisting(ctx, o, id, p) }); err != nil {
			return out, err
		}
	}
	if report.Diagnosis != nil {
		tested = s.recognised(ctx, tested)
	}
	return s.testJSON(ctx, report, tested), nil
}

var uuidForm = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func value[T any](p *T) T {
	var zero T
	if p == nil {
		return zero
	}
	return *p
}

// diagnosisIn returns the diagnosis of a connection test that failed before saving.
func diagnosisIn(err error) *account.Diagnosis {
	var failed *account.TestFailedError
	if errors.As(err, &failed) {
		return failed.Report.Diagnosis
	}
	return nil
}

// at adds to a failed connection test of which account it was.
func (s *server) at(ctx context.Context, err error, a account.Account) error {
	if diagnosisIn(err) == nil {
		return err
	}
	return &testedAt{s.recognised(ctx, a), err}
}

// recognised fills in what an account leaves to its address: the provider, and
// its server.
func (s *server) recognised(ctx context.Context, a account.Account) account.Account {
	if a.Provider != "" {
		return a
	}
	found, err := s.Accounts.Discover(ctx, caller(ctx).Owner, a.Email)
	if err != nil {
		return a // It only words the advice.
	}
	a.Provider = found.Provider
	if a.Server.Host == "" {
		a.Server.Host = found.Servers[a.Protocol].Host
	}
	return a
}
