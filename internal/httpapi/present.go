package httpapi

import (
	"context"
	"time"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/diagnose"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// What is written here is all that leaves the API: the generated types have no
// place for a secret.

// accountJSON writes an account for the reader of ctx.
func (s *server) accountJSON(ctx context.Context, a account.Account) api.Account {
	return AccountJSON(a, s.explainer(ctx), languageOf(ctx))
}

type adminKey struct{}

// forAdmin marks that an administrator reads the answer, of what is others'.
func forAdmin(ctx context.Context) context.Context { return context.WithValue(ctx, adminKey{}, true) }

// explainer finds words for the reader of ctx.
func (s *server) explainer(ctx context.Context) Explainer {
	if ctx.Value(adminKey{}) != nil {
		return s.ExplainAdmin
	}
	return s.Explain
}

func (s *server) skippedJSON(ctx context.Context, m account.Skipped, a account.Account) api.SkippedMessage {
	code := m.Code
	if code == fault.FolderFailed {
		code = fault.MessageFailed // It is one message that is meant here, whatever kept it away.
	}
	a.Status.Diagnosis = &account.Diagnosis{Code: m.Code, Detail: m.Detail}
	a.Status.NextPollAt = m.NextAt
	title, advice := s.explainer(ctx).Explain(code, a, languageOf(ctx))
	if ctx.Value(adminKey{}) != nil { // What mail says is its owner's alone.
		m.Sender, m.Subject = "", ""
	}
	return api.SkippedMessage{
		Sid: m.SID, Folder: m.Folder, LocalFolder: m.LocalFolder, Message: m.Message, Size: m.Size, Code: api.FaultCode(
			m.Code), Title: title,
		Detail: diagnose.TellDetail(m.Detail, languageOf(ctx)), Advice: advice, Attempts: m.Attempts,
		FirstAt: utc(m.FirstAt), LastAt: utc(m.LastAt), NextAt: when(
			m.NextAt),
		Sender: text(m.Sender), Subject: text(m.Subject), Date: when(m.SentAt),
	}
}

func serverJSON(s remote.Server) api.Server {
	return api.Server{Host: s.Host, Port: s.Port, Security: api.Security(s.Security)}
}

func protocolsJSON(servers map[remote.Protocol]remote.Server) api.Protocols {
	var p api.Protocols
	if s, ok := servers[remote.IMAP]; ok {
		p.Imap = ptr(serverJSON(s))
	}
	if s, ok := servers[remote.POP3]; ok {
		p.Pop3 = ptr(serverJSON(s))
	}
	return p
}

// diagnosis writes an account's diagnosis for the reader of ctx.
func (s *server) diagnosis(ctx context.Context, d *account.Diagnosis, a account.Account) *api.Diagnosis {
	return DiagnosisJSON(d, a, s.explainer(ctx), languageOf(ctx))
}

// delayJSON writes what delays an account; nil when nothing does.
func delayJSON(a account.Account, explain Explainer, lang words.Language) *api.Delay {
	d := a.Status.Delay
	if d == nil {
		return nil
	}
	w := explain.ExplainDelay(a, lang)
	out := &api.Delay{Kind: api.DelayKind(d.Kind), Title: w.Title, Evidence: w.Evidence, Advice: w.Advice, Since: when(
		d.Since), Until: when(d.Until)}
	if w.Help != "" {
		out.Help = ptr(api.DelayHelp(w.Help))
	}
	return out
}

// DiagnosisJSON writes an account's diagnosis as the contract has it; nil stays
// nil.
func DiagnosisJSON(d *account.Diagnosis, a account.Account, explain Explainer, lang words.Language) *api.Diagnosis {
	if d == nil {
		return nil
	}
	if now := a.Status.Diagnosis; now == nil || now.Code != d.Code || !now.Since.Equal(d.Since) {
		// An earlier one's words are wanted: when the next visit is, is no matter of it.
		a.Status.Diagnosis, a.Status.NextPollAt = d, time.Time{}
	}
	title, advice := explain.Explain(d.Code, a, lang)
	return &api.Diagnosis{
		Code: api.FaultCode(d.Code), Title: title, Detail: diagnose.TellDetail(d.Detail, lang), Advice: advice,
		Retryable: d.Code.Retryable(),
		Since:     when(d.Since),
	}
}

func stepsJSON(steps []remote.Step, lang words.Language) []api.TestStep {
	out := make([]api.TestStep, len(steps))
	for i, st := range steps {
		out[i] = api.TestStep{
			Name: api.TestStepName(st.Name), Ok: st.OK, Millis: st.Took.Milliseconds(),
			Detail: diagnose.TellDetail(st.Detail, lang),
		}
	}
	return out
}

func (s *server) testJSON(ctx context.Context, r account.TestReport, a account.Account) api.ConnectionTest {
	return api.ConnectionTest{
		Ok: r.OK, Steps: stepsJSON(r.Steps, languageOf(ctx)), Folders: list(r.Folders), OtherFolders: list(r.Shared),
		Messages: r.Messages, Diagnosis: s.diagnosis(ctx, r.Diagnosis, a), Warning: s.diagnosis(ctx, r.Warning, a),
	}
}

func quotaJSON(q owner.Quota) api.Quota {
	usage := make([]api.AccountUsage, len(q.Accounts))
	for i, a := range q.Accounts {
		usage[i] = api.AccountUsage{AccountId: a.ID, Name: a.Name, Bytes: a.Bytes, Messages: a.Messages}
	}
	out := api.Quota{
		UsedBytes: q.UsedBytes, LimitBytes: q.LimitBytes, UsedMessages: q.UsedMessages, LimitMessages: q.LimitMessages,
		LimitSource: limitSource(q.Source()), LimitBytesSource: limitSource(q.SourceIn(owner.InBytes)),
		LimitMessagesSource: limitSource(q.SourceIn(owner.InMessages)),
		State:               api.QuotaState(q.State()), Accounts: usage,
		MailboxMissing: ptr(q.Gone), MailboxLocked: ptr(q.Locked),
	}
	if by, percent := q.Nearest(); by != "" {
		out.NearestLimit, out.NearestPercent = ptr(api.LimitDimension(by)), &percent
	}
	return out
}

func userQuotaJSON(q owner.Quota) api.UserQuota {
	b := quotaJSON(q)
	return api.UserQuota{
		User: q.Owner.String(), UsedBytes: b.UsedBytes, LimitBytes: b.LimitBytes, UsedMessages: b.UsedMessages,
		LimitMessages: b.LimitMessages, LimitSource: b.LimitSource, LimitBytesSource: b.LimitBytesSource,
		LimitMessagesSource: b.LimitMessagesSource, NearestLimit: b.NearestLimit, NearestPercent: b.NearestPercent,
		State: b.State, Accounts: b.Accounts,
		Set: api.SetLimits{
			LimitBytes: q.Set.Bytes, LimitMessages: q.Set.Messages, Source: (*api.LimitSource)(text(string(q.SetBy))),
		},
		MailboxMissing: b.MailboxMissing, MailboxLocked: b.MailboxLocked,
	}
}

func limitSource(by owner.LimitSource) *api.LimitSource {
	if by != "" {
		return ptr(api.LimitSource(by))
	}
	return nil
}

// utc writes a time as the contract does: UTC, to the millisecond.
func utc(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// when is null for a time that is not.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return ptr(utc(t))
}

// text is null for an empty text.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// list is never null.
func list(ss []string) []string {
	if ss == nil {
		return []string{}
	}
	return ss
}

func ptr[T any](v T) *T { return &v }

type languageKey struct{}

func withLanguage(ctx context.Context, lang words.Language) context.Context {
	return context.WithValue(ctx, languageKey{}, lang)
}

func languageOf(ctx context.Context) words.Language {
	if lang, ok := ctx.Value(languageKey{}).(words.Language); ok {
		return lang
	}
	return words.English
}
