package httpapi

import (
	"context"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
)

// AdminGetAccount returns anybody's account.
func (s *server) AdminGetAccount(ctx context.Context,
	r api.AdminGetAccountRequestObject,
) (api.AdminGetAccountResponseObject, error) {
	a, err := s.Admin.Account(ctx, account.ID(r.Id))
	if err != nil {
		return nil, err
	}
	return api.AdminGetAccount200JSONResponse{
		Body: s.adminAccountJSON(ctx, a), Headers: api.AdminGetAccount200ResponseHeaders{ETag: etag(a.Version())},
	}, nil
}

// AdminListRuns returns past visits of anybody's account.
func (s *server) AdminListRuns(ctx context.Context,
	r api.AdminListRunsRequestObject,
) (api.AdminListRunsResponseObject, error) {
	a, err := s.Admin.Account(ctx, account.ID(r.Id))
	if err != nil {
		return nil, err
	}
	runs, err := s.runs(forAdmin(ctx), a, value(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	return api.AdminListRuns200JSONResponse{Body: runs}, nil
}

// AdminListSkipped returns a page of what of anybody's account could not be fetched.
func (s *server) AdminListSkipped(ctx context.Context,
	r api.AdminListSkippedRequestObject,
) (api.AdminListSkippedResponseObject, error) {
	a, err := s.Admin.Account(ctx, account.ID(r.Id))
	if err != nil {
		return nil, err
	}
	page, err := s.skipped(forAdmin(ctx), a, value(r.Params.Limit), value(r.Params.Cursor))
	if err != nil {
		return nil, err
	}
	return api.AdminListSkipped200JSONResponse{Body: page}, nil
}

// AdminTestAccount tries anybody's account as it is saved.
func (s *server) AdminTestAccount(ctx context.Context,
	r api.AdminTestAccountRequestObject,
) (api.AdminTestAccountResponseObject, error) {
	a, err := s.Admin.Account(ctx, account.ID(r.Id))
	if err != nil {
		return nil, err
	}
	var report account.TestReport
	err = s.tested(ctx, func() (err error) {
		report, err = s.Accounts.TestExisting(ctx, a.Owner, a.ID, account.Patch{})
		return err
	})
	if err != nil {
		return nil, err
	}
	return api.AdminTestAccount200JSONResponse{Body: s.testJSON(forAdmin(ctx), report, a)}, nil
}
