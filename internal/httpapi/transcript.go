package httpapi

import (
	"context"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
)

func (s *server) transcriptJSON(t Transcript) api.Transcript {
	return api.Transcript{Active: t.Until.After(s.Now()), Until: when(t.Until), Bytes: t.Bytes}
}

// AdminGetTranscript describes an account's transcript, or sends it.
func (s *server) AdminGetTranscript(
	ctx context.Context, r api.AdminGetTranscriptRequestObject,
) (api.AdminGetTranscriptResponseObject, error) {
	a, err := s.Admin.Account(ctx, account.ID(r.Id))
	if err != nil {
		return nil, err
	}
	t, err := s.Transcripts.Status(a.ID)
	if err != nil {
		return nil, err
	}
	if !value(r.Params.Download) {
		return api.AdminGetTranscript200JSONResponse(s.transcriptJSON(t)), nil
	}
	text, err := s.Transcripts.Read(a.ID)
	if err == nil {
		err = s.Audit.Record(ctx, audit.Entry{Action: audit.TranscriptRead, User: a.Owner, Account: a.ID})
	}
	if err != nil {
		return nil, err
	}
	s.Log.InfoContext(ctx, "transcript downloaded", "account", a.ID, "by", caller(ctx).Owner)
	return api.AdminGetTranscript200TextResponse(text), nil
}

// AdminStartTranscript has what is said with an account's server written down
// for a day.
func (s *server) AdminStartTranscript(
	ctx context.Context, r api.AdminStartTranscriptRequestObject,
) (api.AdminStartTranscriptResponseObject, error) {
	a, err := s.Admin.Account(ctx, account.ID(r.Id))
	if err != nil {
		return nil, err
	}
	if err := s.Audit.Record(ctx, audit.Entry{Action: audit.TranscriptBegun, User: a.Owner, Account: a.ID}); err != nil {
		return nil, err
	}
	t, err := s.Transcripts.SwitchOn(a.ID)
	if err != nil {
		return nil, err
	}
	s.Log.InfoContext(ctx, "transcript switched on", "account", a.ID, "by", caller(ctx).Owner, "until", t.Until)
	return api.AdminStartTranscript200JSONResponse(s.transcriptJSON(t)), nil
}

// AdminDeleteTranscript ends and removes an account's transcript.
func (s *server) AdminDeleteTranscript(
	ctx context.Context, r api.AdminDeleteTranscriptRequestObject,
) (api.AdminDeleteTranscriptResponseObject, error) {
	a, err := s.Admin.Account(ctx, account.ID(r.Id))
	if err != nil {
		return nil, err
	}
	if err := s.Audit.Record(ctx, audit.Entry{Action: audit.TranscriptRemoved, User: a.Owner, Account: a.ID}); err != nil {
		return nil, err
	}
	if err := s.Transcripts.SwitchOff(a.ID); err != nil {
		return nil, err
	}
	s.Log.InfoContext(ctx, "transcript removed", "account", a.ID, "by", caller(ctx).Owner)
	return api.AdminDeleteTranscript204Response{}, nil
}
