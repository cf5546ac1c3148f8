package transfer

import (
	"time"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Document is a report as programs read it, report.json: times by RFC 3339 in UTC, sizes in octets, durations in
// seconds, words as their types have them, lists never null. Summary is in a person's language. It has no secret, and
// nothing of what any message says.
type Document struct {
	ID          ID                     `json:"id"`
	Pass        int64                  `json:"pass"`
	Source      string                 `json:"source"` // Addresses.
	Target      string                 `json:"target"`
	State       State                  `json:"state"`
	Grade       *Grade                 `json:"grade"` // null: it was not verified yet.
	CreatedAt   *time.Time             `json:"created_at"`
	StartedAt   *time.Time             `json:"started_at"`
	EndedAt     *time.Time             `json:"ended_at"`
	VerifiedAt  *time.Time             `json:"verified_at"`
	Verify      Verify                 `json:"verify"`
	Seconds     int64                  `json:"duration_seconds"` // At work.
	Totals      DocumentTotals         `json:"totals"`
	States      map[MessageState]int64 `json:"messages_by_state"`
	Reasons     []DocumentReason       `json:"reasons"`
	Keywords    []DocumentKeyword      `json:"refused_keywords"`
	Folders     []DocumentFolder       `json:"folders"` // The chosen ones.
	LeftOut     []string               `json:"left_out_folders"`
	Rewrites    bool                   `json:"target_rewrites"`
	NotIncluded []string               `json:"not_included"`
	Summary     Summary                `json:"summary"`
}

// DocumentTotals are Totals, with what is not there. NotThereAtLeast says that it may be more: see NotThere.
type DocumentTotals struct {
	Folders          int64 `json:"folders"`
	Messages         int64 `json:"messages"`
	Bytes            int64 `json:"bytes"`
	AlreadyThere     int64 `json:"already_there"`
	NotThere         int64 `json:"not_there"`
	NotThereAtLeast  bool  `json:"not_there_at_least"`
	Skipped          int64 `json:"skipped"`
	Missing          int64 `json:"missing"`
	Altered          int64 `json:"altered"`
	MovedOrDeleted   int64 `json:"moved_or_deleted"`
	KeywordsRefused  int64 `json:"keywords_refused"`
	Ambiguous        int64 `json:"ambiguous"`
	VerifiedByDigest int64 `json:"verified_by_digest"`
}

// DocumentReason is how many messages were skipped for a reason.
type DocumentReason struct {
	Code     Why   `json:"code"`
	Messages int64 `json:"messages"`
}

// DocumentKeyword is how often the target refused a keyword.
type DocumentKeyword struct {
	Keyword  string `json:"keyword"`
	Messages int64  `json:"messages"`
}

// DocumentFolder is one folder that was chosen.
type DocumentFolder struct {
	Source     string      `json:"source"`
	Target     string      `json:"target"`
	SpecialUse string      `json:"special_use"`
	Renamed    Renamed     `json:"renamed"` // "": it is not.
	Messages   int64       `json:"messages"`
	Copied     int64       `json:"copied"`
	Bytes      int64       `json:"bytes"`
	Skipped    int64       `json:"skipped"`
	Pending    *int64      `json:"pending"`   // null: nobody knows.
	Diagnosis  *fault.Code `json:"diagnosis"` // null: it could be copied.
}

// Document returns the report in the form of report.json.
func (r Report) Document(lang words.Language) Document {
	c, t := r.Copy, r.Copy.Status.Totals
	d := Document{
		ID: c.ID, Pass: c.Pass, Source: c.Source.Email, Target: c.TargetAddress(), State: c.Status.State,
		CreatedAt: utc(c.CreatedAt), StartedAt: utc(c.StartedAt), EndedAt: utc(c.EndedAt), VerifiedAt: utc(r.VerifiedAt),
		Verify: r.How, Seconds: int64(r.Duration / time.Second), States: map[MessageState]int64{},
		Reasons: []DocumentReason{}, Keywords: []DocumentKeyword{}, Folders: []DocumentFolder{}, LeftOut: []string{},
		Rewrites: r.Rewritten, NotIncluded: NotIncluded(), Summary: r.Summary(lang),
	}
	if r.Grade != "" {
		d.Grade = &r.Grade
	}
	gone, known := NotThere(t, r.Folders)
	d.Totals = DocumentTotals{
		Folders: t.Folders, Messages: t.Messages, Bytes: t.Bytes, AlreadyThere: t.AlreadyThere,
		NotThere: gone, NotThereAtLeast: !known, Skipped: t.Skipped, Missing: t.Missing, Altered: t.Altered,
		MovedOrDeleted: t.MovedOrDeleted, KeywordsRefused: t.KeywordsRefused, Ambiguous: t.Ambiguous,
		VerifiedByDigest: t.VerifiedByDigest,
	}
	for state, n := range r.Lists {
		d.States[state] = n
	}
	for _, c := range r.Reasons {
		d.Reasons = append(d.Reasons, DocumentReason(c))
	}
	for _, k := range r.Keywords {
		d.Keywords = append(d.Keywords, DocumentKeyword(k))
	}
	for _, f := range r.Folders {
		if f.Selected {
			d.Folders = append(d.Folders, f.document())
		}
	}
	d.LeftOut = append(d.LeftOut, r.LeftOut...)
	return d
}

func (f FolderState) document() DocumentFolder {
	d := DocumentFolder{
		Source: f.Source, Target: f.Target, SpecialUse: f.SpecialUse, Renamed: f.Renamed, Messages: f.Messages,
		Copied: f.Copied, Bytes: f.Bytes, Skipped: f.Skipped,
	}
	if f.Pending >= 0 {
		d.Pending = &f.Pending
	}
	if f.Diagnosis != nil {
		d.Diagnosis = &f.Diagnosis.Code
	}
	return d
}

// utc is a time for programs; nil for the zero one.
func utc(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Second)
	return &t
}
