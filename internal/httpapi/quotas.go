package httpapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"slices"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// AdminResetQuota takes one user's limits back.
func (s *server) AdminResetQuota(ctx context.Context,
	r api.AdminResetQuotaRequestObject,
) (api.AdminResetQuotaResponseObject, error) {
	o, err := owner.Parse(r.User)
	if err != nil {
		return nil, account.ErrNotFound
	}
	match, err := matchOf(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	q, err := s.Quotas.ClearLimit(ctx, o, match)
	if err != nil {
		return nil, err
	}
	return api.AdminResetQuota200JSONResponse{
		Body: userQuotaJSON(q), Headers: api.AdminResetQuota200ResponseHeaders{ETag: etag(q.Version())},
	}, nil
}

// AdminChangeQuotas counts the users that a filter chooses, or changes the limits
// of the next of them.
func (s *server) AdminChangeQuotas(ctx context.Context,
	r api.AdminChangeQuotasRequestObject,
) (api.AdminChangeQuotasResponseObject, error) {
	in := *r.Body
	f := insight.QuotaFilter{
		Match: value(in.Filter.Query), Domain: value(in.Filter.Domain), State: owner.QuotaState(value(in.Filter.State)),
	}
	change, after, err := limitChange(in)
	if err != nil {
		return nil, err
	}
	if in.Action == api.CountUsers {
		n, err := s.Admin.CountQuotas(ctx, f)
		if err != nil {
			return nil, err
		}
		return api.AdminChangeQuotas200JSONResponse{Matching: n}, nil
	}
	step, err := s.Admin.ChangeLimits(ctx, f, change, after)
	if err != nil {
		return nil, err
	}
	return api.AdminChangeQuotas200JSONResponse{
		Matching: step.Matching, Changed: step.Changed, NextCursor: text(cursorOf(step.Next)),
	}, nil
}

// limitChange reads what is to become of many users' limits, and where to continue.
func limitChange(in api.QuotaChange) (c owner.LimitChange, after string, err error) {
	bad := &account.InvalidError{}
	none := func(what api.QuotaChangeUnlimited) bool { return slices.Contains(value(in.Unlimited), what) }
	c.Inherit = in.Action == api.InheritLimits
	c.Limit = owner.Limit{Bytes: in.LimitBytes, Messages: in.LimitMessages}
	c.KeepBytes = in.LimitBytes == nil && !none(api.UnlimitedBytes)
	c.KeepMessages = in.LimitMessages == nil && !none(api.UnlimitedMessages)
	if in.LimitBytes != nil && none(api.UnlimitedBytes) || in.LimitMessages != nil && none(api.UnlimitedMessages) {
		bad.Add("unlimited", "invalid", "must not name a limit that is given too")
	}
	switch nothing := c.KeepBytes && c.KeepMessages; {
	case in.Action == api.SetLimitsOfUsers && nothing:
		bad.Add("limit_bytes", "required", "is needed")
	case in.Action != api.SetLimitsOfUsers && !nothing:
		bad.Add("action", "invalid", "must be set where a limit is given")
	}
	if in.Cursor != nil {
		if after, err = cursorIn(*in.Cursor); err != nil {
			return owner.LimitChange{}, "", err
		}
	}
	return c, after, bad.OrNil()
}

// cursorOf writes where a list continues; "" stays "".
func cursorOf(after string) string { return base64.RawURLEncoding.EncodeToString([]byte(after)) }

// cursorIn reads what cursorOf wrote.
func cursorIn(cursor string) (after string, err error) {
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
		return "", ErrCursor
	}
	return string(b), nil
}

// AdminListDefaultLimits returns a page of default limits.
func (s *server) AdminListDefaultLimits(ctx context.Context,
	r api.AdminListDefaultLimitsRequestObject,
) (api.AdminListDefaultLimitsResponseObject, error) {
	after := ""
	if r.Params.Cursor != nil {
		var err error
		if after, err = cursorIn(*r.Params.Cursor); err != nil {
			return nil, err
		}
	}
	page, next, err := s.Admin.DefaultLimits(ctx, after, value(r.Params.Limit))
	if err != nil {
		return nil, err
	}
	out := make([]api.DefaultLimit, len(page))
	for i, d := range page {
		out[i] = defaultJSON(d)
	}
	return api.AdminListDefaultLimits200JSONResponse{Defaults: out, NextCursor: text(cursorOf(next))}, nil
}

func defaultJSON(d insight.DefaultLimit) api.DefaultLimit {
	return api.DefaultLimit{Domain: d.Domain, LimitBytes: d.Limit.Bytes, LimitMessages: d.Limit.Messages}
}

// AdminSetDefaultLimit sets the limits of all users of a domain.
func (s *server) AdminSetDefaultLimit(ctx context.Context,
	r api.AdminSetDefaultLimitRequestObject,
) (api.AdminSetDefaultLimitResponseObject, error) {
	domain, err := defaultDomain(r.Domain)
	if err != nil {
		return nil, err
	}
	l := owner.Limit{Bytes: r.Body.LimitBytes, Messages: r.Body.LimitMessages}
	if err := s.Admin.SetDefaultLimit(ctx, domain, &l); err != nil {
		return nil, err
	}
	return api.AdminSetDefaultLimit200JSONResponse(defaultJSON(insight.DefaultLimit{Domain: domain, Limit: l})), nil
}

// AdminDeleteDefaultLimit takes a default back.
func (s *server) AdminDeleteDefaultLimit(ctx context.Context,
	r api.AdminDeleteDefaultLimitRequestObject,
) (api.AdminDeleteDefaultLimitResponseObject, error) {
	domain, err := defaultDomain(r.Domain)
	if err != nil {
		return nil, err
	}
	if err := s.Admin.SetDefaultLimit(ctx, domain, nil); err != nil {
		return nil, err
	}
	return api.AdminDeleteDefaultLimit204Response{}, nil
}

func defaultDomain(s string) (string, error) {
	if s == owner.EveryDomain {
		return s, nil
	}
	domain, err := owner.ParseDomain(s)
	if err != nil {
		return "", account.ErrNotFound
	}
	return domain, nil
}
