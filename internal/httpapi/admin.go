package httpapi

import (
	"cmp"
	"context"
	"slices"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/hostname"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// AdminListQuotas returns a page of users' quotas.
func (s *server) AdminListQuotas(ctx context.Context,
	r api.AdminListQuotasRequestObject,
) (api.AdminListQuotasResponseObject, error) {
	page, next, err := s.Admin.Quotas(ctx, insight.QuotaFilter{
		Match: value(r.Params.Query), Domain: value(r.Params.Domain), State: owner.QuotaState(value(r.Params.State)),
		Sort: string(value(r.Params.Sort)), Limit: value(r.Params.Limit), Cursor: value(r.Params.Cursor),
	})
	if err != nil {
		return nil, err
	}
	out := make([]api.UserQuota, len(page))
	for i, u := range page {
		out[i] = userQuotaJSON(u)
		out[i].MailboxMissing, out[i].MailboxLocked = nil, nil // Not looked at.
	}
	return api.AdminListQuotas200JSONResponse{Quotas: out, NextCursor: text(next)}, nil
}

// AdminGetQuotaSummary counts all users by how full they are.
func (s *server) AdminGetQuotaSummary(ctx context.Context,
	_ api.AdminGetQuotaSummaryRequestObject,
) (api.AdminGetQuotaSummaryResponseObject, error) {
	q, err := s.Admin.QuotaSummary(ctx)
	if err != nil {
		return nil, err
	}
	out := api.AdminGetQuotaSummary200JSONResponse{Users: q.Unlimited, Unlimited: q.Unlimited, Bands: make([]api.QuotaBand,
		len(q.Bands))}
	for i, n := range q.Bands {
		out.Bands[i] = api.QuotaBand{FromPercent: 100 * i / (insight.QuotaBands - 1), Users: n}
		out.Users += n
	}
	return out, nil
}

// AdminGetQuota returns one user's quota.
func (s *server) AdminGetQuota(ctx context.Context, r api.AdminGetQuotaRequestObject) (api.AdminGetQuotaResponseObject,
	error,
) {
	o, err := owner.Parse(r.User)
	if err != nil {
		return nil, account.ErrNotFound
	}
	q, err := s.Quotas.Quota(ctx, o)
	if err != nil {
		return nil, err
	}
	return api.AdminGetQuota200JSONResponse{
		Body: userQuotaJSON(q), Headers: api.AdminGetQuota200ResponseHeaders{ETag: etag(q.Version())},
	}, nil
}

// AdminSetQuota replaces one user's limits.
func (s *server) AdminSetQuota(ctx context.Context, r api.AdminSetQuotaRequestObject) (api.AdminSetQuotaResponseObject,
	error,
) {
	o, err := owner.Parse(r.User)
	if err != nil {
		return nil, account.ErrNotFound
	}
	match, err := matchOf(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	q, err := s.Quotas.SetLimit(ctx, o, owner.Limit{Bytes: r.Body.LimitBytes, Messages: r.Body.LimitMessages}, match)
	if err != nil {
		return nil, err
	}
	s.hub.nudge(o)
	return api.AdminSetQuota200JSONResponse{
		Body: userQuotaJSON(q), Headers: api.AdminSetQuota200ResponseHeaders{ETag: etag(q.Version())},
	}, nil
}

// AdminDeleteUser removes a user, and the mail that was fetched if that is said.
func (s *server) AdminDeleteUser(ctx context.Context,
	r api.AdminDeleteUserRequestObject,
) (api.AdminDeleteUserResponseObject, error) {
	o, err := owner.Parse(r.User)
	if err != nil {
		// Nobody signs in as a user of an earlier version any more; it can be removed.
		if o, err = owner.Stored(r.User); err != nil {
			return nil, account.ErrNotFound
		}
	}
	deleteMail := value(r.Params.Mail) == api.DeleteUsersMail
	if err := s.Users.Remove(ctx, o, deleteMail, caller(ctx).Owner); err != nil {
		return nil, err
	}
	s.hub.nudge(o)
	return api.AdminDeleteUser204Response{}, nil
}

// AdminSetMailboxLogin saves how a user's own mailbox is signed in to.
func (s *server) AdminSetMailboxLogin(ctx context.Context,
	r api.AdminSetMailboxLoginRequestObject,
) (api.AdminSetMailboxLoginResponseObject, error) {
	o, err := owner.Parse(r.User)
	if err != nil {
		return nil, account.ErrNotFound
	}
	if err := s.MailboxLogins.Set(ctx, o, r.Body.Username, remote.NewSecret(r.Body.Password)); err != nil {
		return nil, err
	}
	return api.AdminSetMailboxLogin204Response{}, nil
}

// AdminForgetMailboxLogin forgets how a user's own mailbox is signed in to.
func (s *server) AdminForgetMailboxLogin(ctx context.Context,
	r api.AdminForgetMailboxLoginRequestObject,
) (api.AdminForgetMailboxLoginResponseObject, error) {
	o, err := owner.Parse(r.User)
	if err != nil {
		return nil, account.ErrNotFound
	}
	if err := s.MailboxLogins.Forget(ctx, o); err != nil {
		return nil, err
	}
	return api.AdminForgetMailboxLogin204Response{}, nil
}

// AdminListAccounts returns a page of accounts across users.
func (s *server) AdminListAccounts(ctx context.Context,
	r api.AdminListAccountsRequestObject,
) (api.AdminListAccountsResponseObject, error) {
	q := insight.AccountFilter{State: account.State(value(r.Params.State)), Limit: value(r.Params.Limit), Cursor: value(
		r.Params.Cursor)}
	q.Code = fault.Code(value(r.Params.Diagnosis))
	q.Overdue = value(r.Params.Sort) == api.AccountsByOverdue
	q.Match, q.Port, q.Affected = value(r.Params.Query), value(r.Params.Port), value(r.Params.Affected)
	if r.Params.Host != nil {
		q.Host = hostname.Normal(*r.Params.Host)
	}
	if r.Params.User != nil {
		var err error
		if q.Owner, err = owner.Parse(*r.Params.User); err != nil {
			bad := &account.InvalidError{}
			bad.Add("user", "invalid", "must be a full mailbox address, such as anna@example.org")
			return nil, bad
		}
	}
	page, next, err := s.Admin.Accounts(ctx, q)
	if err != nil {
		return nil, err
	}
	out := make([]api.AdminAccount, len(page))
	for i, a := range page {
		out[i] = s.adminAccountJSON(ctx, a)
	}
	return api.AdminListAccounts200JSONResponse{Body: api.AdminAccountList{Accounts: out, NextCursor: text(next)}},
		nil
}

// AdminGetStats returns counts over all users.
func (s *server) AdminGetStats(ctx context.Context, _ api.AdminGetStatsRequestObject) (api.AdminGetStatsResponseObject,
	error,
) {
	st, err := s.Admin.Stats(ctx)
	if err != nil {
		return nil, err
	}
	out := api.AdminGetStats200JSONResponse{
		LastHour: activityJSON(st.LastHour), LastDay: activityJSON(st.LastDay), Due: st.Due,
		LagSeconds: max(st.Lag.Seconds(), 0),
		Failures:   map[string]int64{}, MailboxesAvailable: s.MailboxesAvailable == nil || s.MailboxesAvailable(),
	}
	out.Accounts.ByState = map[string]int64{}
	for _, state := range account.States() {
		out.Accounts.ByState[string(state)] = st.Accounts[state]
		out.Accounts.Total += st.Accounts[state]
	}
	for code, n := range st.Failing {
		if n > 0 {
			out.Failures[string(code)] = n
		}
	}
	return out, nil
}

func activityJSON(a insight.Activity) api.Activity {
	out := api.Activity{
		Polls: a.Polls, Failed: a.Failed, Messages: a.Messages, Bytes: a.Bytes,
		Failures: map[string]int64{},
	}
	for code, n := range a.Failures {
		if n > 0 {
			out.Failures[string(code)] = n
		}
	}
	return out
}

// AdminUpdateAccount switches anybody's account off or on.
func (s *server) AdminUpdateAccount(ctx context.Context,
	r api.AdminUpdateAccountRequestObject,
) (api.AdminUpdateAccountResponseObject, error) {
	in := r.JSONBody
	if in == nil {
		in = r.ApplicationMergePatchPlusJSONBody
	}
	a, err := s.Admin.Account(ctx, account.ID(r.Id))
	if err != nil {
		return nil, err
	}
	p := account.Patch{Settings: account.Settings{Enabled: &in.Enabled}, Operator: true}
	if p.Match, err = matchOf(r.Params.IfMatch); err != nil {
		return nil, err
	}
	if a, err = s.Accounts.Update(ctx, a.Owner, a.ID, p); err != nil {
		return nil, err
	}
	s.hub.nudge(a.Owner)
	return api.AdminUpdateAccount200JSONResponse{
		Body: s.adminAccountJSON(ctx, a), Headers: api.AdminUpdateAccount200ResponseHeaders{ETag: etag(a.Version())},
	}, nil
}

// AdminFetchAccount makes anybody's account due and answers with it.
func (s *server) AdminFetchAccount(ctx context.Context,
	r api.AdminFetchAccountRequestObject,
) (api.AdminFetchAccountResponseObject, error) {
	a, err := s.Admin.Account(ctx, account.ID(r.Id))
	if err != nil {
		return nil, err
	}
	if err := s.Accounts.FetchNow(ctx, a.Owner, a.ID); err != nil {
		return nil, err
	}
	if a, err = s.Accounts.Get(ctx, a.Owner, a.ID); err != nil {
		return nil, err
	}
	s.hub.nudge(a.Owner)
	return api.AdminFetchAccount202JSONResponse{Body: s.adminAccountJSON(ctx, a)}, nil
}

// AdminListHosts returns how remote hosts are.
func (s *server) AdminListHosts(ctx context.Context,
	r api.AdminListHostsRequestObject,
) (api.AdminListHostsResponseObject, error) {
	hosts, err := s.Admin.Hosts(ctx, cmp.Or(value(r.Params.Limit), 100))
	if err != nil {
		return nil, err
	}
	out := make([]api.HostHealth, len(hosts))
	for i, h := range hosts {
		out[i] = api.HostHealth{
			Host: h.Host, Port: h.Port, Accounts: h.Accounts, Affected: h.Affected, Failing: h.Failing,
			FailingOtherwise: h.Others, OutOfOrder: h.Down, ByState: map[string]int64{},
			Diagnoses: []api.HostDiagnosis{}, OverdueSeconds: max(h.Overdue.Seconds(), 0),
		}
		for _, state := range account.States() {
			out[i].ByState[string(state)] = h.States[state]
		}
		for code, n := range h.Failures {
			out[i].Diagnoses = append(out[i].Diagnoses, api.HostDiagnosis{Code: api.FaultCode(code), Accounts: n})
		}
		slices.SortFunc(out[i].Diagnoses, func(a, b api.HostDiagnosis) int {
			return cmp.Or(cmp.Compare(b.Accounts, a.Accounts), cmp.Compare(a.Code, b.Code))
		})
	}
	return api.AdminListHosts200JSONResponse{Hosts: out}, nil
}
