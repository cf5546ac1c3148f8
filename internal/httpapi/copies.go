package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/hostname"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/words"
)

// copies returns what knows of copies; where they are switched off, transfer.ErrDisabled.
func (s *server) copies() (transfer.Service, error) {
	if s.Copies == nil {
		return nil, transfer.ErrDisabled
	}
	return s.Copies, nil
}

// planPatience is how long looking at both mailboxes of a copy may take: at one with millions of messages, minutes.
const planPatience = 15 * time.Minute

// PlanCopy says what a copy would do.
func (s *server) PlanCopy(ctx context.Context, r api.PlanCopyRequestObject) (api.PlanCopyResponseObject, error) {
	copies, err := s.copies()
	if err != nil {
		return nil, err
	}
	d, err := copyDraft(ctx, *r.Body)
	if err != nil {
		return nil, err
	}
	d.AskedAt = caller(ctx).asked
	lasts(ctx, planPatience)
	var p transfer.Plan
	err = s.tested(ctx, func() error {
		return within(ctx, planPatience, func(ctx context.Context) (err error) {
			p, err = copies.Plan(ctx, caller(ctx).Owner, d)
			return err
		})
	})
	if err != nil {
		return nil, s.atSide(ctx, err, tried(sideOf(d.Source)), tried(sideOf(d.Target)))
	}
	return api.PlanCopy200JSONResponse{Body: CopyPlanJSON(p, languageOf(ctx))}, nil
}

// StartCopy saves a copy.
func (s *server) StartCopy(ctx context.Context, r api.StartCopyRequestObject) (api.StartCopyResponseObject, error) {
	copies, err := s.copies()
	if err != nil {
		return nil, err
	}
	d, err := copyDraft(ctx, *r.Body)
	if err != nil {
		return nil, err
	}
	d.AskedAt = caller(ctx).asked
	lasts(ctx, planPatience)
	made, err := once(ctx, s, "copies", r.Params.IdempotencyKey,
		func(ctx context.Context, id string) (api.StartCopy201JSONResponse, error) {
			d.ID = transfer.ID(id)
			c, code, err := s.start(ctx, copies, caller(ctx).Owner, d)
			if err != nil {
				return api.StartCopy201JSONResponse{}, err
			}
			return api.StartCopy201JSONResponse{
				Body: startedJSON(s.copyJSON(ctx, c), code),
				Headers: api.StartCopy201ResponseHeaders{
					Location: basePath + "/copies/" + string(c.ID), ETag: etag(c.Version()),
				},
			}, nil
		})
	if err != nil {
		return nil, s.atSide(ctx, err, tried(sideOf(d.Source)), tried(sideOf(d.Target)))
	}
	return made, nil
}

// start saves a copy, unless another attempt at the same request did, whose answer was lost with the code in it.
func (s *server) start(ctx context.Context, copies transfer.Service, o owner.Owner, d transfer.Draft,
) (c transfer.Copy, code string, err error) {
	if d.ID != "" {
		if c, err = copies.Copy(ctx, o, d.ID); !errors.Is(err, transfer.ErrNotFound) {
			return c, "", err
		}
	}
	begin := func() (err error) {
		c, code, err = copies.Start(ctx, o, d)
		return err
	}
	if d.SkipTest {
		err = begin()
	} else {
		err = s.tested(ctx, begin)
	}
	var exists *transfer.ExistsError
	if d.ID != "" && errors.As(err, &exists) && exists.ID == d.ID {
		c, err = copies.Copy(ctx, o, d.ID)
	}
	return c, code, err
}

// ListCopies returns a page of the caller's copies.
func (s *server) ListCopies(ctx context.Context, r api.ListCopiesRequestObject) (api.ListCopiesResponseObject, error) {
	copies, err := s.copies()
	if err != nil {
		return nil, err
	}
	page, err := copies.Copies(ctx, caller(ctx).Owner, transfer.Filter{
		Source: value(r.Params.Source), State: transfer.State(value(r.Params.State)), Limit: value(r.Params.Limit),
		Cursor: value(r.Params.Cursor),
	})
	if err != nil {
		return nil, err
	}
	out := api.CopyList{
		Copies: make([]api.Copy, len(page.Copies)), Limit: copies.MostPerUser(), NextCursor: text(page.Next),
	}
	for i, c := range page.Copies {
		out.Copies[i] = s.copyJSON(ctx, c)
	}
	return api.ListCopies200JSONResponse{Body: out}, nil
}

// AdminListCopies returns a page of everybody's copies.
func (s *server) AdminListCopies(ctx context.Context,
	r api.AdminListCopiesRequestObject,
) (api.AdminListCopiesResponseObject, error) {
	copies, err := s.copies()
	if err != nil {
		return nil, err
	}
	var o owner.Owner
	if r.Params.User != nil {
		if o, err = anyOwner(*r.Params.User); err != nil {
			bad := &account.InvalidError{}
			bad.Add("user", "invalid", "must be a full mailbox address, such as anna@example.org")
			return nil, bad
		}
	}
	f := transfer.Filter{
		State: transfer.State(value(r.Params.State)), Limit: value(r.Params.Limit), Cursor: value(r.Params.Cursor),
	}
	if r.Params.Host != nil {
		f.Host = hostname.Normal(*r.Params.Host)
	}
	page, err := copies.All(ctx, o, f)
	if err != nil {
		return nil, err
	}
	out := api.AdminCopyList{Copies: make([]api.AdminCopy, len(page.Copies)), NextCursor: text(page.Next)}
	for i, c := range page.Copies {
		out.Copies[i] = adminCopyJSON(s.copyJSON(forAdmin(ctx), c), c.Owner)
	}
	return api.AdminListCopies200JSONResponse{Body: out}, nil
}

// GetCopy returns one copy.
func (s *server) GetCopy(ctx context.Context, r api.GetCopyRequestObject) (api.GetCopyResponseObject, error) {
	copies, err := s.copies()
	if err != nil {
		return nil, err
	}
	c, err := copies.Copy(ctx, caller(ctx).Owner, transfer.ID(r.Id))
	if err != nil {
		return nil, err
	}
	return api.GetCopy200JSONResponse{
		Body: s.copyJSON(ctx, c), Headers: api.GetCopy200ResponseHeaders{ETag: etag(c.Version())},
	}, nil
}

// UpdateCopy changes a copy.
func (s *server) UpdateCopy(ctx context.Context, r api.UpdateCopyRequestObject) (api.UpdateCopyResponseObject, error) {
	copies, err := s.copies()
	if err != nil {
		return nil, err
	}
	in := r.JSONBody
	if in == nil {
		in = r.ApplicationMergePatchPlusJSONBody
	}
	p, err := copyPatch(ctx, *in)
	if err != nil {
		return nil, err
	}
	if p.Match, err = matchOf(r.Params.IfMatch); err != nil {
		return nil, err
	}
	o, id := caller(ctx).Owner, transfer.ID(r.Id)
	saved, err := copies.Copy(ctx, o, id) // Its settings word the advice.
	if err != nil {
		return nil, err
	}
	var c transfer.Copy
	change := func() (err error) {
		c, err = copies.Update(ctx, o, id, p)
		return err
	}
	if p.SkipTest || !signsIn(p) {
		err = change()
	} else {
		lasts(ctx, planPatience)
		err = s.tested(ctx, change)
	}
	if err != nil {
		return nil, s.atSide(ctx, err, accountAt(saved, transfer.Source), accountAt(saved, transfer.Target))
	}
	return api.UpdateCopy200JSONResponse{
		Body: s.copyJSON(ctx, c), Headers: api.UpdateCopy200ResponseHeaders{ETag: etag(c.Version())},
	}, nil
}

// DeleteCopy forgets a copy.
func (s *server) DeleteCopy(ctx context.Context, r api.DeleteCopyRequestObject) (api.DeleteCopyResponseObject, error) {
	copies, err := s.copies()
	if err != nil {
		return nil, err
	}
	match, err := matchOf(r.Params.IfMatch)
	if err != nil {
		return nil, err
	}
	if err := copies.Delete(ctx, caller(ctx).Owner, transfer.ID(r.Id), match); err != nil {
		return nil, err
	}
	return api.DeleteCopy204Response{}, nil
}

// ListCopyFolders returns the folders of a copy.
func (s *server) ListCopyFolders(ctx context.Context,
	r api.ListCopyFoldersRequestObject,
) (api.ListCopyFoldersResponseObject, error) {
	copies, err := s.copies()
	if err != nil {
		return nil, err
	}
	fs, err := copies.Folders(ctx, caller(ctx).Owner, transfer.ID(r.Id))
	if err != nil {
		return nil, err
	}
	return api.ListCopyFolders200JSONResponse{Folders: copyFolders(fs)}, nil
}

// ListCopyMessages returns a page of a copy's messages.
func (s *server) ListCopyMessages(ctx context.Context,
	r api.ListCopyMessagesRequestObject,
) (api.ListCopyMessagesResponseObject, error) {
	copies, err := s.copies()
	if err != nil {
		return nil, err
	}
	o, id := caller(ctx).Owner, transfer.ID(r.Id)
	c, err := copies.Copy(ctx, o, id) // Its settings word the advice.
	if err != nil {
		return nil, err
	}
	page, err := copies.Messages(ctx, o, id, transfer.MessageState(value(r.Params.State)), value(r.Params.Limit),
		value(r.Params.Cursor))
	if err != nil {
		return nil, err
	}
	out := api.CopyMessageList{
		Messages: make([]api.CopyMessage, len(page.Messages)), Total: page.Total, NextCursor: text(page.Next),
	}
	for i, m := range page.Messages {
		out.Messages[i] = s.copyMessageJSON(ctx, m, c)
	}
	return api.ListCopyMessages200JSONResponse{Body: out}, nil
}

// GetCopyReport returns what came of a copy.
func (s *server) GetCopyReport(ctx context.Context,
	r api.GetCopyReportRequestObject,
) (api.GetCopyReportResponseObject, error) {
	copies, err := s.copies()
	if err != nil {
		return nil, err
	}
	report, err := copies.Report(ctx, caller(ctx).Owner, transfer.ID(r.Id))
	if err != nil {
		return nil, err
	}
	return api.GetCopyReport200JSONResponse{Body: CopyReportJSON(report, s.explainer(ctx), languageOf(ctx))}, nil
}

// act has something done with a copy, which answers with it.
func (s *server) act(ctx context.Context, id api.CopyID,
	do func(transfer.Service, context.Context, owner.Owner, transfer.ID) (transfer.Copy, error),
) (api.Copy, error) {
	copies, err := s.copies()
	if err != nil {
		return api.Copy{}, err
	}
	c, err := do(copies, ctx, caller(ctx).Owner, transfer.ID(id))
	if err != nil {
		return api.Copy{}, err
	}
	return s.copyJSON(ctx, c), nil
}

// PauseCopy pauses a copy.
func (s *server) PauseCopy(ctx context.Context, r api.PauseCopyRequestObject) (api.PauseCopyResponseObject, error) {
	c, err := s.act(ctx, r.Id, transfer.Service.Pause)
	if err != nil {
		return nil, err
	}
	return api.PauseCopy202JSONResponse{Body: c}, nil
}

// ResumeCopy lets a copy continue.
func (s *server) ResumeCopy(ctx context.Context, r api.ResumeCopyRequestObject) (api.ResumeCopyResponseObject, error) {
	c, err := s.act(ctx, r.Id, transfer.Service.Resume)
	if err != nil {
		return nil, err
	}
	return api.ResumeCopy202JSONResponse{Body: c}, nil
}

// CancelCopy ends a copy.
func (s *server) CancelCopy(ctx context.Context, r api.CancelCopyRequestObject) (api.CancelCopyResponseObject, error) {
	c, err := s.act(ctx, r.Id, transfer.Service.Cancel)
	if err != nil {
		return nil, err
	}
	return api.CancelCopy202JSONResponse{Body: c}, nil
}

// SyncCopy brings what came since.
func (s *server) SyncCopy(ctx context.Context, r api.SyncCopyRequestObject) (api.SyncCopyResponseObject, error) {
	c, err := s.act(ctx, r.Id, transfer.Service.Sync)
	if err != nil {
		return nil, err
	}
	return api.SyncCopy202JSONResponse{Body: c}, nil
}

// VerifyCopy has a copy compared with its source.
func (s *server) VerifyCopy(ctx context.Context, r api.VerifyCopyRequestObject) (api.VerifyCopyResponseObject, error) {
	how := transfer.Verify(value(r.Params.Verify))
	c, err := s.act(ctx, r.Id, func(copies transfer.Service, ctx context.Context, o owner.Owner, id transfer.ID,
	) (transfer.Copy, error) {
		return copies.Verify(ctx, o, id, how)
	})
	if err != nil {
		return nil, err
	}
	return api.VerifyCopy202JSONResponse{Body: c}, nil
}

// RetryCopy has what was skipped tried again.
func (s *server) RetryCopy(ctx context.Context, r api.RetryCopyRequestObject) (api.RetryCopyResponseObject, error) {
	c, err := s.act(ctx, r.Id, transfer.Service.Retry)
	if err != nil {
		return nil, err
	}
	return api.RetryCopy202JSONResponse{Body: c}, nil
}

// GetCopyStatus says how a copy is to whoever has its code. What is wrong with an address or a code is said to nobody.
func (s *server) GetCopyStatus(ctx context.Context,
	r api.GetCopyStatusRequestObject,
) (api.GetCopyStatusResponseObject, error) {
	copies, err := s.copies()
	if err != nil {
		return nil, err
	}
	x, _ := ctx.Value(exchangeKey{}).(exchange)
	client := network(x.client, 32, 64)
	if wait := s.meters.codes.take(client); wait > 0 {
		return nil, &tooManyError{wait, words.Say("too many requests: wait for %d s", wholeSeconds(wait))}
	}
	status, err := copies.StatusByCode(ctx, r.Body.Source, r.Body.Code)
	if err != nil {
		return nil, err
	}
	s.meters.codes.untake(client) // Whoever knows the code may look as often as it likes.
	return api.GetCopyStatus200JSONResponse{Body: publicJSON(status, languageOf(ctx))}, nil
}

type exchangeKey struct{}

// exchange is what a handler may have to know of the connection of its request.
type exchange struct {
	client netip.Addr // As far as proxies vouch for it.
	answer *http.ResponseController
}

func (s *server) withExchange(ctx context.Context, c echo.Context) context.Context {
	return context.WithValue(ctx, exchangeKey{}, exchange{
		s.Web.SignIn.clientOf(c.Request()), http.NewResponseController(c.Response()),
	})
}

// lasts gives a request for longer than the server has for others until its answer is written. Where that cannot be
// said of a connection, it has no deadline either.
func lasts(ctx context.Context, d time.Duration) {
	if x, ok := ctx.Value(exchangeKey{}).(exchange); ok {
		_ = x.answer.SetWriteDeadline(time.Now().Add(d + exportPatience))
	}
}
