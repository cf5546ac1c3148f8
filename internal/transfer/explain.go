package transfer

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Explain says in a person's language how a copy is at a time, on one line, and what that means or what to do about it:
// sentences, or "". What a diagnosis advises about a password or a server is for package diagnose to say.
func (c Copy) Explain(now time.Time, lang words.Language) (title, advice string) {
	s := c.Status
	text := words.CopyStates[string(s.State)]
	title, advice = text.Title.In(lang), text.Advice.In(lang)
	switch s.State {
	case Queued:
		if c.Options.StartAt.After(now) {
			begins := words.Moment(c.Options.StartAt, lang)
			advice = join(" ", fill(words.CopyBegins.In(lang), "{time}", begins), advice)
		}
	case Running:
		if p, ok := words.CopyPhases[string(s.Phase)]; ok {
			title += ": " + lower(p.In(lang))
		}
	case Waiting:
		why := words.CopyReasons[string(s.Reason)]
		if t := why.Title.In(lang); t != "" {
			title += ": " + lower(t)
		}
		continues := words.AdminRetried.In(lang)
		if s.Until.After(now) {
			continues = fill(words.RetriedIn.In(lang), "{wait}", words.Wait(s.Until.Sub(now), lang))
		}
		advice = join(" ", why.Advice.In(lang), continues)
	case NeedsAttention, Failed:
		what, detail := c.diagnosed(s.Diagnosis, lang)
		advice = join(" ", what, advice, detail)
	case Completed, CompletedWithWarnings:
		advice = s.Grade.text().Advice.In(lang)
	case Paused, Cancelled:
	}
	return title, advice
}

// Explain says the same to whoever has a copy's code, without what failed and where.
func (p PublicStatus) Explain(now time.Time, lang words.Language) (title, advice string) {
	s := Status{State: p.State, Phase: p.Phase, Reason: p.Reason, Until: p.Until, Grade: p.Grade}
	return Copy{Status: s}.Explain(now, lang)
}

// text is what is said of a grade, and of none.
func (g Grade) text() words.Text {
	if text, ok := words.CopyGrades[string(g)]; ok {
		return text
	}
	return words.CopyNotGraded
}

// diagnosed says in a sentence at which end something failed, and what; and its detail, which stands last, as a
// server's own words may end without a full stop. "" for nil.
func (c Copy) diagnosed(d *Diagnosis, lang words.Language) (what, detail string) {
	if d == nil {
		return "", ""
	}
	box := c.Source
	if d.Side == Target {
		box = c.Target
	}
	why := or(words.CopyFaults[string(d.Code)].In(lang), faultTitle(d.Code, box.Protocol, lang))
	if side, ok := words.CopySides[string(d.Side)]; ok {
		return fill(side.In(lang), "{why}", lower(why)), d.Detail.In(lang, account.Letters)
	}
	return why + ".", d.Detail.In(lang, account.Letters)
}

// faultTitle is what a code means, on one line without a full stop. One that is not known is a defect of ours.
func faultTitle(code fault.Code, protocol remote.Protocol, lang words.Language) string {
	text, ok := words.Faults[string(code)]
	if !ok {
		text = words.Faults[string(fault.Internal)]
	}
	name := strings.ToUpper(string(protocol))
	if name == "" {
		name = words.EitherProtocol.In(lang)
	}
	return fill(text.Title.In(lang), "{provider}", words.TheProvider.In(lang), "{protocol}", name)
}

// fill puts values into a text. What stands in a value is not filled in again.
func fill(text string, pairs ...string) string { return strings.NewReplacer(pairs...).Replace(text) }

// or is a text, or another where it says nothing.
func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

// lower is a text that does not begin a sentence any more. Names in capitals stay.
func lower(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if second, _ := utf8.DecodeRuneInString(text[size:]); unicode.IsUpper(second) {
		return text
	}
	return string(unicode.ToLower(first)) + text[size:]
}

// join joins texts that are not empty.
func join(sep string, texts ...string) string {
	var some []string
	for _, t := range texts {
		if t != "" {
			some = append(some, t)
		}
	}
	return strings.Join(some, sep)
}

// Title says on one line how a copy is.
func (c Copy) Title(lang words.Language) string {
	title, _ := c.Explain(time.Time{}, lang)
	return title
}

// Title says the same to whoever has a copy's code.
func (p PublicStatus) Title(lang words.Language) string {
	title, _ := p.Explain(time.Time{}, lang)
	return title
}

// In says what a grade means, in a sentence; of "" that nothing was compared yet.
func (g Grade) In(lang words.Language) string { return g.text().Advice.In(lang) }

// Explain says why a message is not at the target, and what can be done about it.
func (w Why) Explain(lang words.Language) (title, advice string) {
	text := w.text()
	return text.Title.In(lang), text.Advice.In(lang)
}

// NextSteps are what is best done now, each in a sentence or two.
func (r Report) NextSteps(lang words.Language) []string {
	items := r.next(lang)
	steps := make([]string, len(items))
	for i, item := range items {
		steps[i] = item.Text
	}
	return steps
}
