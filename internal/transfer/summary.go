package transfer

import (
	"cmp"
	"slices"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Bounds of what a summary shows of what other people named, and of how many single folders and keywords.
const (
	mostName   = 200
	mostListed = 50
)

// Summary is what people read of a report, in one language: pages, mail and programs show the same. Keys are stable;
// texts are plain, and what others named in them can be shown as it is.
type Summary struct {
	Title  string `json:"title"` // How the copy is, on one line.
	Text   string `json:"text"`  // What that means, in sentences; may be "".
	Grade  Graded `json:"grade"`
	Facts  []Fact `json:"facts"`
	Parts  []Part `json:"parts"` // In the order in which they are shown; none is empty.
	source string // Addresses, for the mail's subject and lead.
	target string
}

// Graded is a grade with what is said of it.
type Graded struct {
	Grade Grade  `json:"grade"` // "": it was not verified yet.
	Title string `json:"title"`
	Text  string `json:"text"`
}

// Fact is a line such as "Copied: 12,345 messages, 1.2 GB".
type Fact struct {
	Key   string `json:"key"`
	Label string `json:"label"`
	Value string `json:"value"`
}

// Part is a list of a report, under a head: what is not there, what differs, what was left out, what a copy does not
// bring, and what to do next.
type Part struct {
	Key   string `json:"key"`
	Title string `json:"title"`
	Text  string `json:"text"` // Below the head; may be "".
	Items []Item `json:"items"`
}

// Item is a line of such a list, and what can be done about it.
type Item struct {
	Key    string `json:"key"`
	Text   string `json:"text"`
	Advice string `json:"advice"`          // May be "".
	Count  int64  `json:"count,omitempty"` // Of messages; 0: it is not about a number of them.
}

// NotIncluded returns what a copy never brings, by the words that words.CopyLeaves explains.
func NotIncluded() []string { return []string{"calendars", "contacts", "rules", "sharing", "settings"} }

// Summary says in a person's language what came of the copy.
func (r Report) Summary(lang words.Language) Summary {
	at := r.VerifiedAt
	if r.Copy.EndedAt.After(at) {
		at = r.Copy.EndedAt
	}
	s := Summary{source: clean(r.Copy.Source.Email), target: clean(r.Copy.TargetAddress())}
	s.Title, s.Text = r.Copy.Explain(at, lang)
	grade := r.Grade.text()
	s.Grade = Graded{r.Grade, grade.Title.In(lang), grade.Advice.In(lang)}
	if s.Text == s.Grade.Text {
		s.Text = "" // It stands beside the grade.
	}
	s.Facts = r.facts(s, lang)
	for _, p := range []struct {
		key   string
		items []Item
	}{
		{"not_there", r.notThere(lang)},
		{"differs", r.differs(lang)},
		{"left_out", r.leftOut(lang)},
		{"not_included", notIncluded(lang)},
		{"next", r.next(lang)},
	} {
		if len(p.items) > 0 {
			head := words.CopyParts[p.key]
			s.Parts = append(s.Parts, Part{p.key, head.Title.In(lang), head.Advice.In(lang), p.items})
		}
	}
	return s
}

// clean makes fit to show what other people named.
func clean(name string) string { return words.Clean(name, mostName) }

func (r Report) facts(s Summary, lang words.Language) (facts []Fact) {
	add := func(key, value string) {
		if value != "" {
			facts = append(facts, Fact{key, words.CopyFacts[key].In(lang), value})
		}
	}
	t := r.Copy.Status.Totals
	add("from", s.source)
	add("to", s.target)
	if !r.Copy.StartedAt.IsZero() {
		add("began", words.Moment(r.Copy.StartedAt, lang))
	}
	if !r.Copy.EndedAt.IsZero() {
		add("ended", words.Moment(r.Copy.EndedAt, lang))
	}
	if r.Duration > 0 {
		add("took", words.Took(r.Duration, lang))
	}
	add("folders", words.Number(t.Folders, lang))
	add("copied", fill(words.CopyOf.In(lang),
		"{messages}", words.Messages(t.Messages, lang), "{size}", words.SizeIn(t.Bytes, lang)))
	if t.AlreadyThere > 0 {
		add("already_there", words.Messages(t.AlreadyThere, lang))
	}
	gone, known := NotThere(t, r.Folders)
	missing := words.Messages(gone, lang)
	switch {
	case known:
	case gone == 0:
		missing = words.CopyUnknown.In(lang)
	default:
		missing = fill(words.CopyAtLeast.In(lang), "{messages}", missing)
	}
	add("not_there", missing)
	add("grade", s.Grade.Title)
	if !r.VerifiedAt.IsZero() {
		add("checked", fill(words.CopyChecked[string(r.How)].In(lang),
			"{messages}", words.Messages(t.VerifiedByDigest, lang)))
	}
	return facts
}

// notThere are the reasons why messages are not at the target, as Reasons has them, and the folders that could not be
// copied. What was skipped for no reason that is known is counted all the same.
func (r Report) notThere(lang words.Language) (items []Item) {
	t := r.Copy.Status.Totals
	counts := slices.Clone(r.Reasons)
	unexplained := t.Skipped
	for _, c := range counts {
		unexplained -= c.Messages
	}
	counts = append(counts, ReasonCount{"", max(0, unexplained)}, ReasonCount{WhyMissing, t.Missing},
		ReasonCount{WhyNotReached, pending(r.Folders)})
	for _, c := range counts {
		if c.Messages > 0 {
			text := c.Code.text()
			items = append(items, counted(or(string(c.Code), "other"), text, c.Messages, lang))
		}
	}
	folders := 0
	for _, f := range r.Folders {
		if f.Diagnosis == nil || !f.Selected {
			continue
		}
		if folders++; folders <= mostListed {
			text := fill(words.CopyFolder.In(lang), "{folder}", clean(f.Source))
			advice := join(" ", WhyFolderFailed.text().Advice.In(lang), f.Diagnosis.Detail.In(lang, account.Letters))
			items = append(items, Item{Key: "folder", Text: text, Advice: advice})
		}
	}
	return append(items, more("folder", folders, lang)...)
}

// text is what is said of a reason, and of one that is not known.
func (w Why) text() words.Text {
	if text, ok := words.CopyWhy[string(w)]; ok {
		return text
	}
	return words.CopyWhyOther
}

func (r Report) differs(lang words.Language) (items []Item) {
	t := r.Copy.Status.Totals
	state := func(s MessageState, n int64) {
		if n > 0 {
			items = append(items, counted(string(s), words.CopyMessages[string(s)], n, lang))
		}
	}
	state(MessageAltered, t.Altered)
	if r.Rewritten && t.Altered == 0 {
		items = append(items, Item{Key: "rewritten", Text: words.CopyRewritten.In(lang)})
	}
	state(MessageMovedOrDeleted, t.MovedOrDeleted)
	items = append(items, r.keywords(lang)...)
	return append(items, r.renamed(lang)...)
}

func (r Report) keywords(lang words.Language) (items []Item) {
	keywords := slices.Clone(r.Keywords)
	slices.SortStableFunc(keywords, func(a, b KeywordCount) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Keyword, b.Keyword))
	})
	for _, k := range keywords[:min(len(keywords), mostListed)] {
		text := fill(words.CopyKeyword.In(lang), "{keyword}", clean(k.Keyword),
			"{messages}", words.Messages(k.Messages, lang))
		items = append(items, Item{Key: "keyword", Text: text, Count: k.Messages})
	}
	return append(items, more("keyword", len(keywords), lang)...)
}

func (r Report) renamed(lang words.Language) (items []Item) {
	renamed := 0
	for _, f := range r.Folders {
		if f.Renamed == "" || !f.Selected {
			continue
		}
		if renamed++; renamed <= mostListed {
			text := fill(words.CopyName.In(lang), "{from}", clean(f.Source), "{to}", clean(f.Target),
				"{why}", words.CopyRenamed[string(f.Renamed)].In(lang))
			items = append(items, Item{Key: "renamed", Text: text})
		}
	}
	return append(items, more("renamed", renamed, lang)...)
}

func (r Report) leftOut(lang words.Language) (items []Item) {
	for _, name := range r.LeftOut[:min(len(r.LeftOut), mostListed)] {
		items = append(items, Item{Key: "shared", Text: clean(name)})
	}
	return append(items, more("shared", len(r.LeftOut), lang)...)
}

func notIncluded(lang words.Language) (items []Item) {
	for _, key := range NotIncluded() {
		items = append(items, Item{Key: key, Text: words.CopyLeaves[key].In(lang)})
	}
	return items
}

// next is what is best done now. Whose copy has not come to its end keeps the old mailbox as it is.
func (r Report) next(lang words.Language) (items []Item) {
	keys := []string{"check", "forward", "source", "passwords"}
	if s := r.Copy.Status.State; s != Completed && s != CompletedWithWarnings {
		keys = []string{"source", "passwords"}
	}
	until := r.Copy.CredentialsUntil
	for _, key := range keys {
		text := words.CopyNext[key].In(lang)
		if key == "passwords" && !until.IsZero() {
			text = fill(words.CopyNext["passwords_until"].In(lang), "{time}", words.Moment(until, lang))
		}
		items = append(items, Item{Key: key, Text: text})
	}
	return items
}

// counted is a line that says of how many messages something is so.
func counted(key string, text words.Text, n int64, lang words.Language) Item {
	line := fill(words.CopyItem.In(lang), "{what}", text.Title.In(lang), "{messages}", words.Messages(n, lang))
	return Item{key, line, text.Advice.In(lang), n}
}

// more is the line that ends a list of which not all is shown, if there is need of one.
func more(key string, n int, lang words.Language) []Item {
	if n <= mostListed {
		return nil
	}
	return []Item{{Key: key, Text: fill(words.CopyMore.In(lang), "{n}", words.Number(int64(n-mostListed), lang))}}
}
