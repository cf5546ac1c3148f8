package provider

import (
	"strconv"
	"strings"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Steps returns what a user has to do, in "en" or "pl", before a password is
// accepted, in three sentences; none where nothing has to be done or no password
// is ever accepted.
func (p Provider) Steps(lang words.Language) []string {
	var say []words.Phrase
	switch both := p.access == "both"; {
	case p.unsupported, p.NeedsOAuth():
	case p.NeedsAppPassword() && both:
		say = []words.Phrase{words.StepSwitchOnAt, words.StepMake, words.StepPaste}
	case p.NeedsAppPassword():
		say = []words.Phrase{words.StepOpen, words.StepMake, words.StepPaste}
	case both:
		say = []words.Phrase{words.StepOpenSettings, words.StepSwitchOn, words.StepComeBack}
	}
	return p.fill(say, lang)
}

// POP3 returns what is only of use to who chooses POP3, or "".
func (p Provider) POP3(lang words.Language) string {
	var say []words.Phrase
	if p.access == "pop3" {
		say = append(say, words.HelpAccessPOP3)
	}
	if p.pop3 != (words.Phrase{}) {
		say = append(say, p.pop3)
	}
	return strings.Join(p.fill(say, lang), " ")
}

func (p Provider) fill(say []words.Phrase, lang words.Language) []string {
	fill := strings.NewReplacer("{name}", p.DisplayName(lang), "{count}", strconv.Itoa(p.Limits.MessagesPerFolder))
	parts := make([]string, len(say))
	for i, w := range say {
		parts[i] = fill.Replace(w.In(lang))
	}
	return parts
}

// Help returns what a user has to know before adding a mailbox, in "en" or
// "pl", whichever protocol is chosen. signIn says whether the operator lets users sign in on its page.
func (p Provider) Help(lang words.Language, signIn bool) string {
	var say []words.Phrase
	if !p.unsupported {
		say = p.advice(signIn && p.OAuth != "")
	}
	if p.note != (words.Phrase{}) {
		say = append(say, p.note)
	}
	return strings.Join(p.fill(say, lang), " ")
}

func (p Provider) advice(signIn bool) (say []words.Phrase) {
	if signIn {
		say = append(say, words.HelpSignIn)
	}
	switch {
	case signIn && p.NeedsOAuth(), signIn && p.NeedsAppPassword():
	case p.NeedsOAuth():
		return append(say, words.HelpOAuth, words.HelpForward) // There is nothing to switch on for it.
	case p.NeedsAppPassword():
		say = append(say, words.HelpAppPassword)
	case p.accepts(AppPassword):
		say = append(say, words.HelpEitherPassword)
	}
	if p.access == "both" {
		say = append(say, words.HelpAccess)
	}
	if p.username == "local" {
		say = append(say, words.HelpLocalPart)
	}
	if p.Limits.MessagesPerFolder > 0 {
		say = append(say, words.HelpNewest)
	}
	return say
}

// DisplayName returns the name as a list of providers shows it.
func (p Provider) DisplayName(lang words.Language) string {
	if p.ID == account.OtherProvider {
		return words.OtherProvider.In(lang)
	}
	return p.Name
}

// Note returns what is peculiar to this provider, or "".
func (p Provider) Note(lang words.Language) string { return p.note.In(lang) }
