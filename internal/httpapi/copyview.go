package httpapi

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/transfer"
	"github.com/mailbrook/mailbrook/internal/words"
)

// What is written here is all that leaves the API of a copy: the generated types have no place for a secret.

// copyJSON writes a copy for the reader of ctx.
func (s *server) copyJSON(ctx context.Context, c transfer.Copy) api.Copy {
	return CopyJSON(c, s.explainer(ctx), languageOf(ctx))
}

// CopyJSON writes a copy as the contract has it.
func CopyJSON(c transfer.Copy, explain Explainer, lang words.Language) api.Copy {
	st := c.Status
	return api.Copy{
		Id: string(c.ID), Source: copyEnd(c.Source), Target: copyTarget(c), Options: chosenOptions(c.Options),
		State: api.CopyState(st.State), Title: c.Title(lang),
		Phase: phaseJSON(st.State, st.Phase), Reason: reasonJSON(st.State, st.Reason), Until: when(st.Until),
		Diagnosis: copyDiagnosis(c, explain, lang), ConsecutiveFailures: st.Failures, Progress: copyProgressJSON(st.Progress),
		Totals: api.CopyTotals{
			Folders: st.Totals.Folders, Messages: st.Totals.Messages, Bytes: st.Totals.Bytes,
			AlreadyThere: st.Totals.AlreadyThere, Skipped: st.Totals.Skipped, Ambiguous: st.Totals.Ambiguous,
			KeywordsRefused: st.Totals.KeywordsRefused, MovedOrDeleted: st.Totals.MovedOrDeleted,
			Missing: st.Totals.Missing, Altered: st.Totals.Altered, VerifiedByDigest: st.Totals.VerifiedByDigest,
		},
		Grade: gradeJSON(st.Grade), CreatedAt: utc(c.CreatedAt), StartedAt: when(c.StartedAt), EndedAt: when(c.EndedAt),
		CredentialsUntil: when(c.CredentialsUntil),
	}
}

func startedJSON(c api.Copy, code string) api.StartedCopy {
	return api.StartedCopy{
		StatusCode: text(code),
		Id:         c.Id, Source: c.Source, Target: c.Target, Options: c.Options, State: c.State, Title: c.Title,
		Phase: c.Phase, Reason: c.Reason, Until: c.Until, Diagnosis: c.Diagnosis,
		ConsecutiveFailures: c.ConsecutiveFailures, Progress: c.Progress, Totals: c.Totals, Grade: c.Grade,
		CreatedAt: c.CreatedAt, StartedAt: c.StartedAt, EndedAt: c.EndedAt, CredentialsUntil: c.CredentialsUntil,
	}
}

func adminCopyJSON(c api.Copy, o owner.Owner) api.AdminCopy {
	return api.AdminCopy{
		User: o.String(),
		Id:   c.Id, Source: c.Source, Target: c.Target, Options: c.Options, State: c.State, Title: c.Title,
		Phase: c.Phase, Reason: c.Reason, Until: c.Until, Diagnosis: c.Diagnosis,
		ConsecutiveFailures: c.ConsecutiveFailures, Progress: c.Progress, Totals: c.Totals, Grade: c.Grade,
		CreatedAt: c.CreatedAt, StartedAt: c.StartedAt, EndedAt: c.EndedAt, CredentialsUntil: c.CredentialsUntil,
	}
}

func copyEnd(m remote.Mailbox) api.CopyEnd {
	return api.CopyEnd{
		Email: m.Email, Provider: text(m.Provider), Protocol: api.CopyEndProtocol(m.Protocol),
		Server: ptr(serverJSON(m.Server)), Username: text(m.Username), Auth: (*api.CopyEndAuth)(text(string(m.Auth))),
	}
}

func copyTarget(c transfer.Copy) api.CopyEnd {
	if c.Local() {
		return api.CopyEnd{Email: c.TargetAddress(), Protocol: api.CopyByLocal}
	}
	return copyEnd(c.Target)
}

func chosenOptions(o transfer.Options) api.CopyChosenOptions {
	return api.CopyChosenOptions{
		Folders: api.ChosenFolders{Include: list(o.Folders.Include), Exclude: list(o.Folders.Exclude)},
		Prefix:  text(o.Prefix), StartAt: when(o.StartAt), Existing: api.CopyExisting(o.Existing),
		Labels: api.CopyLabels(o.Labels), Order: api.CopyOrder(o.Order), Verify: api.CopyVerify(o.Verify),
		MaxBytes: above0(o.MaxBytes), Since: when(o.Since), Before: when(o.Before), NotifyEmail: text(o.NotifyEmail),
		Language: api.CopyLanguage(o.Language), BytesPerSecond: above0(o.BytesPerSec),
	}
}

// above0 is null for 0, which stands for what is not known or not set.
func above0(n int64) *int64 {
	if n <= 0 {
		return nil
	}
	return &n
}

// wholeSecondsOf is null for no time at all.
func wholeSecondsOf(d time.Duration) *int64 { return above0(int64(wholeSeconds(d))) }

func phaseJSON(state transfer.State, p transfer.Phase) *api.CopyPhase {
	if state != transfer.Running {
		return nil
	}
	return (*api.CopyPhase)(text(string(p)))
}

func reasonJSON(state transfer.State, r transfer.Reason) *api.CopyReason {
	if state != transfer.Waiting {
		return nil
	}
	return (*api.CopyReason)(text(string(r)))
}

func gradeJSON(g transfer.Grade) *api.CopyGrade { return (*api.CopyGrade)(text(string(g))) }

func copyProgressJSON(p transfer.Progress) api.CopyProgress {
	return api.CopyProgress{
		Folder: p.Folder, MessagesDone: p.MessagesDone, MessagesTotal: p.MessagesTotal, BytesDone: p.BytesDone,
		BytesTotal: above0(p.BytesTotal), MessagesPerMinute: above0(p.MessagesPerMinute),
		SecondsLeft: wholeSecondsOf(p.Left),
	}
}

// copyDiagnosis writes why a copy waits, needs attention or failed; nil where nothing is wrong.
func copyDiagnosis(c transfer.Copy, explain Explainer, lang words.Language) *api.CopyDiagnosis {
	d := c.Status.Diagnosis
	if d == nil {
		return nil
	}
	a := accountAt(c, d.Side)
	a.Status.Diagnosis = &d.Diagnosis
	w := DiagnosisJSON(&d.Diagnosis, a, explain, lang)
	return &api.CopyDiagnosis{
		Code: w.Code, Title: w.Title, Detail: w.Detail, Advice: w.Advice, Retryable: w.Retryable, Since: w.Since,
		Side: (*api.CopySide)(text(string(d.Side))),
	}
}

func copyFolders(fs []transfer.FolderState) []api.CopyFolder {
	out := make([]api.CopyFolder, len(fs))
	for i, f := range fs {
		out[i] = api.CopyFolder{
			Source: f.Source, Target: f.Target, SpecialUse: text(f.SpecialUse), Selected: f.Selected, Shared: f.Shared,
			Renamed: (*api.CopyRenamed)(text(string(f.Renamed))), Messages: f.Messages, Copied: f.Copied, Bytes: f.Bytes,
			Skipped: f.Skipped,
		}
	}
	return out
}

// messageName is how a source names a message, for people.
func messageName(m transfer.Message) string {
	if m.ID.UID != 0 {
		return fmt.Sprintf("UID %d", m.ID.UID)
	}
	return words.Clean("UIDL "+m.ID.UIDL, 300)
}

// messageDigest is a message's digest in hexadecimal; "" where it was not read.
func messageDigest(m transfer.Message) string {
	if m.Digest == [32]byte{} {
		return ""
	}
	return hex.EncodeToString(m.Digest[:])
}

// whyNot writes why a message of a copy is not there.
func whyNot(m transfer.Message, c transfer.Copy, explain Explainer, lang words.Language) *api.Diagnosis {
	if m.Diagnosis == nil {
		return nil
	}
	d := *m.Diagnosis
	if d.Code == fault.FolderFailed {
		d.Code = fault.MessageFailed // It is one message that is meant here, whatever kept it away.
	}
	return DiagnosisJSON(&d, accountAt(c, transfer.Source), explain, lang)
}

func (s *server) copyMessageJSON(ctx context.Context, m transfer.Message, c transfer.Copy) api.CopyMessage {
	return api.CopyMessage{
		Folder: m.Folder, TargetFolder: m.Target, Message: messageName(m), TargetUid: above0(int64(m.TargetUID)),
		ReceivedAt: when(m.Received), Size: m.Size, Sha256: text(messageDigest(m)), State: api.CopyMessageState(m.State),
		Diagnosis: whyNot(m, c, s.explainer(ctx), languageOf(ctx)), Sender: text(words.Clean(m.About.Sender, mostAbout)),
		Subject: text(words.Clean(m.About.Subject, mostAbout)), Date: when(m.About.Date),
	}
}

// mostAbout is how much of a message's sender and subject is shown.
const mostAbout = 200

// CopyPlanJSON writes what a copy would do as the contract has it.
func CopyPlanJSON(p transfer.Plan, lang words.Language) api.CopyPlan {
	out := api.CopyPlan{
		Folders: make([]api.CopyPlannedFolder, len(p.Folders)), Messages: p.Messages, Bytes: knownBytes(p.Bytes, p.Messages),
		TooLarge: make([]api.CopyTooLarge, len(p.TooLarge)), TooLargeCount: p.TooLargeCount, MaxBytes: above0(p.Limit),
		MaxBytesSource: api.CopyPlanMaxBytesSource(p.LimitSource), Room: roomJSON(p.Room), Writable: p.Writable,
		RefusedFlags: list(p.RefusedFlags), RefusedKeywords: list(p.RefusedKeywords),
		Clashes: make([]api.CopyClash, len(p.Clashes)), Shared: list(p.Shared), Seconds: wholeSecondsOf(p.Duration),
		NotIncluded: notIncluded(transfer.NotIncluded(), lang),
	}
	if p.Days > 0 {
		out.Days = &p.Days
	}
	for i, f := range p.Folders {
		out.Folders[i] = api.CopyPlannedFolder{
			Source: f.Source, Target: f.Target, SpecialUse: text(f.SpecialUse), Selected: f.Selected, Shared: f.Shared,
			Renamed: (*api.CopyRenamed)(text(string(f.Renamed))), Exists: f.Exists, Messages: f.Messages,
			Bytes: knownBytes(f.Bytes, f.Messages), TooLarge: f.TooLarge,
		}
	}
	for i, m := range p.TooLarge {
		out.TooLarge[i] = api.CopyTooLarge{
			Folder: m.Folder, Size: m.Size, ReceivedAt: when(m.Received),
			Sender: text(words.Clean(m.About.Sender, mostAbout)), Subject: text(words.Clean(m.About.Subject, mostAbout)),
			Date: when(m.About.Date),
		}
	}
	for i, c := range p.Clashes {
		out.Clashes[i] = api.CopyClash{Folders: list(c.Folders), Target: c.Target}
	}
	return out
}

// knownBytes is null where there are messages, and nobody knows how large they are.
func knownBytes(n, messages int64) *int64 {
	if n == 0 && messages > 0 {
		return nil
	}
	return &n
}

func roomJSON(r transfer.Room) api.CopyRoom {
	if !r.Known {
		return api.CopyRoom{Fits: api.CopyFitUnknown}
	}
	out := api.CopyRoom{
		Fits: api.CopyDoesNotFit, UsedBytes: ptr(r.Used.Bytes), UsedMessages: ptr(r.Used.Messages),
		LimitBytes: r.Limit.Bytes, LimitMessages: r.Limit.Messages,
	}
	if r.Fits {
		out.Fits = api.CopyFits
	}
	return out
}

func notIncluded(kinds []string, lang words.Language) []api.CopyNotIncluded {
	out := make([]api.CopyNotIncluded, len(kinds))
	for i, kind := range kinds {
		out[i] = api.CopyNotIncluded{Kind: kind, Text: words.CopyLeaves[kind].In(lang)}
	}
	return out
}

// CopyReportJSON writes what came of a copy as the contract has it.
func CopyReportJSON(r transfer.Report, explain Explainer, lang words.Language) api.CopyReport {
	out := api.CopyReport{
		Copy: CopyJSON(r.Copy, explain, lang), Grade: gradeJSON(r.Grade),
		GradeText:  r.Grade.In(lang),
		VerifiedAt: when(r.VerifiedAt), Folders: copyFolders(r.Folders), Messages: map[string]int64{},
		Seconds: int64(r.Duration / time.Second), LeftOut: list(r.LeftOut), Rewritten: r.Rewritten,
		NotIncluded: notIncluded(r.NotIncluded, lang), NextSteps: r.NextSteps(lang),
		Reasons: make([]api.CopySkipReason, len(r.Reasons)), Keywords: make([]api.CopyKeyword, len(r.Keywords)),
	}
	if !r.VerifiedAt.IsZero() {
		out.Verify = (*api.CopyVerify)(text(string(r.How)))
	}
	for _, state := range transfer.MessageStates() {
		out.Messages[string(state)] = r.Lists[state]
	}
	for i, reason := range r.Reasons {
		title, advice := reason.Code.Explain(lang)
		out.Reasons[i] = api.CopySkipReason{
			Code: api.CopyWhy(reason.Code), Title: title, Advice: advice, Messages: reason.Messages,
		}
	}
	for i, k := range r.Keywords {
		out.Keywords[i] = api.CopyKeyword{Keyword: k.Keyword, Messages: k.Messages}
	}
	return out
}

func publicJSON(p transfer.PublicStatus, lang words.Language) api.CopyPublicStatus {
	return api.CopyPublicStatus{
		State: api.CopyState(p.State), Title: p.Title(lang), Phase: phaseJSON(p.State, p.Phase),
		Reason: reasonJSON(p.State, p.Reason), Until: when(p.Until), MessagesDone: p.Messages,
		MessagesTotal: p.MessagesTotal, Grade: gradeJSON(p.Grade), CreatedAt: utc(p.CreatedAt),
		StartedAt: when(p.StartedAt), EndedAt: when(p.Ended),
	}
}

// atSide adds to what failed at a side of a copy which mailbox that is, so that the advice can be its provider's.
func (s *server) atSide(ctx context.Context, err error, source, target account.Account) error {
	var failed *transfer.TestFailedError
	if !errors.As(err, &failed) {
		return err
	}
	a := source
	if failed.Side == transfer.Target {
		a = target
	}
	return &transfer.TestFailedError{Side: failed.Side, Err: s.at(ctx, failed.Err, a)}
}

// copyProblem maps what only copies have: a side, and another copy.
func (s *server) copyProblem(err error, h http.Header, t teller) (api.Problem, bool) {
	var failed *transfer.TestFailedError
	var exists *transfer.ExistsError
	switch {
	case errors.As(err, &failed):
		p := s.problemOf(failed.Err, h, t)
		p.Side = ptr(api.CopySide(failed.Side))
		if p.Errors != nil {
			for i := range *p.Errors {
				(*p.Errors)[i].Field = join(string(failed.Side), (*p.Errors)[i].Field)
			}
		}
		return p, true
	case errors.As(err, &exists):
		p := t.problem(api.ProblemCodeCopyExists, sayExists(exists))
		if exists.ID != "" {
			p.Copy = &api.ProblemCopy{Id: string(exists.ID), State: api.CopyState(exists.State), Since: utc(exists.Since)}
		}
		return p, true
	}
	return api.Problem{}, false
}

// sayExists says which copy is in the way, and what to do about it.
func sayExists(e *transfer.ExistsError) words.Sentence {
	since := e.Since.UTC().Format("2006-01-02 15:04 UTC")
	switch {
	case e.ID == "":
		return words.Say("somebody else's copy writes into this target: wait until it has ended")
	case e.Target:
		return words.Say("another copy writes into this target since %s: wait until it has ended, or cancel it", since)
	}
	switch e.State {
	case transfer.Queued:
		return words.Say("a copy of this mailbox is waiting to begin since %s: see how it is, or cancel it", since)
	case transfer.Waiting:
		return words.Say("a copy of this mailbox is waiting since %s: see how it is, or cancel it", since)
	case transfer.Paused:
		return words.Say("a copy of this mailbox is paused since %s: let it continue, or cancel it", since)
	case transfer.NeedsAttention:
		return words.Say("a copy of this mailbox needs your attention since %s: see what it says, or cancel it", since)
	}
	return words.Say("a copy of this mailbox is running since %s: see how it is, or cancel it", since)
}
