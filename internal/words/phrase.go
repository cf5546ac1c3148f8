package words

// Phrase is one text in each language.
type Phrase struct{ En, Pl string }

// In returns the phrase in a language; in English where it is not written in that one.
func (p Phrase) In(lang Language) string {
	if lang == Polish {
		return p.Pl
	}
	return p.En
}

// then is p with more behind it.
func (p Phrase) then(en, pl string) Phrase { return Phrase{p.En + en, p.Pl + pl} }

// or returns p, and q where p says nothing.
func (p Phrase) or(q Phrase) Phrase {
	if p == (Phrase{}) {
		return q
	}
	return p
}

// Text is what is said of a failure: what it is, on one line without a full stop, and
// what a person can do about it.
type Text struct{ Title, Advice Phrase }

// Over returns t with what o says in its place.
func (t Text) Over(o Text) Text { return Text{o.Title.or(t.Title), o.Advice.or(t.Advice)} }

// DelayText is what is said of what keeps mail away: what it is, what shows it, and what
// a person can do about it.
type DelayText struct{ Title, Evidence, Advice Phrase }

// Over returns t with what o says in its place.
func (t DelayText) Over(o DelayText) DelayText {
	return DelayText{o.Title.or(t.Title), o.Evidence.or(t.Evidence), o.Advice.or(t.Advice)}
}
