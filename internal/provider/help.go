package provider

import (
	"strconv"
	"strings"

	"github.com/mailbrook/mailbrook/internal/account"
)

// What Help says, by what is known of a provider. {name} is its name.
var (
	sayOAuth = words{
		"{name} lets other programs in only when you sign in on its own page (OAuth2). " +
			"That is not switched on here: the mailbox cannot be added for now.",
		"{name} wpuszcza inne programy tylko po zalogowaniu na własnej stronie (OAuth2). " +
			"Tego tu nie włączono: na razie tej skrzynki nie można dodać.",
	}
	sayForward = words{
		"Have its mail forwarded to your own mailbox instead.",
		"Zamiast tego włącz u dostawcy przekazywanie poczty do swojej skrzynki.",
	}
	saySignIn = words{
		"Sign in on {name}'s own page: your password stays there.",
		"Zaloguj się na stronie {name}: hasło zostaje tylko tam.",
	}
	sayAppPassword = words{
		"{name} refuses the mailbox's own password here: make an app password (one for programs) and enter that.",
		"{name} nie przyjmuje tu zwykłego hasła skrzynki: utwórz hasło do aplikacji i wpisz je.",
	}
	sayEitherPassword = words{
		"With two-step sign-in on, or if your own password is refused, make an app password " +
			"(one for programs) and enter that.",
		"Przy włączonym logowaniu dwuetapowym, albo gdy zwykłe hasło jest odrzucane, utwórz hasło do aplikacji " +
			"i wpisz je.",
	}
	sayAccess = words{
		"Access for mail programs (IMAP, POP3) has to be switched on in the mailbox's settings first.",
		"Najpierw trzeba włączyć dostęp dla programów pocztowych (IMAP, POP3) w ustawieniach skrzynki.",
	}
	sayAccessPOP3 = words{
		"POP3 has to be switched on in the mailbox's settings first.",
		"POP3 trzeba najpierw włączyć w ustawieniach skrzynki.",
	}
	sayLocalPart = words{
		"The user name is what stands before the @ of the address.",
		"Nazwą użytkownika jest część adresu przed znakiem @.",
	}
	sayNewest = words{
		"By IMAP, {name} shows programs only the newest {count} messages of a folder.",
		"Przez IMAP {name} pokazuje programom tylko {count} najnowszych wiadomości z każdego folderu.",
	}
)

// What Steps say: one action a sentence.
var (
	sayOpen = words{
		"Open the security settings at {name}.",
		"Otwórz ustawienia bezpieczeństwa konta {name}.",
	}
	sayOpenSettings = words{
		"Open the mailbox's settings at {name}.",
		"Otwórz ustawienia skrzynki na stronie {name}.",
	}
	saySwitchOn = words{
		"Switch on access for mail programs.",
		"Włącz dostęp dla programów pocztowych.",
	}
	sayMake = words{
		"Make an app password there.",
		"Utwórz tam hasło do aplikacji.",
	}
	saySwitchOnAt = words{
		"Switch on access for mail programs at {name}.",
		"Włącz dostęp dla programów pocztowych w ustawieniach {name}.",
	}
	sayPaste = words{
		"Paste it here.",
		"Wklej je tutaj.",
	}
	sayComeBack = words{
		"Enter the mailbox's password here.",
		"Wpisz tutaj hasło do skrzynki.",
	}
)

// Steps returns what a user has to do, in "en" or "pl", before a password is
// accepted, in three sentences; none where nothing has to be done or no password
// is ever accepted.
func (p Provider) Steps(lang string) []string {
	var say []words
	switch both := p.access == "both"; {
	case p.unsupported, p.NeedsOAuth():
	case p.NeedsAppPassword() && both:
		say = []words{saySwitchOnAt, sayMake, sayPaste}
	case p.NeedsAppPassword():
		say = []words{sayOpen, sayMake, sayPaste}
	case both:
		say = []words{sayOpenSettings, saySwitchOn, sayComeBack}
	}
	return p.fill(say, lang)
}

// POP3 returns what is only of use to who chooses POP3, or "".
func (p Provider) POP3(lang string) string {
	var say []words
	if p.access == "pop3" {
		say = append(say, sayAccessPOP3)
	}
	if p.pop3 != (words{}) {
		say = append(say, p.pop3)
	}
	return strings.Join(p.fill(say, lang), " ")
}

func (p Provider) fill(say []words, lang string) []string {
	fill := strings.NewReplacer("{name}", p.DisplayName(lang), "{count}", strconv.Itoa(p.Limits.MessagesPerFolder))
	parts := make([]string, len(say))
	for i, w := range say {
		parts[i] = fill.Replace(w.in(lang))
	}
	return parts
}

// Help returns what a user has to know before adding a mailbox, in "en" or
// "pl", whichever protocol is chosen. signIn says whether the operator lets users sign in on its page.
func (p Provider) Help(lang string, signIn bool) string {
	var say []words
	if !p.unsupported {
		say = p.advice(signIn && p.OAuth != "")
	}
	if p.note != (words{}) {
		say = append(say, p.note)
	}
	return strings.Join(p.fill(say, lang), " ")
}

func (p Provider) advice(signIn bool) (say []words) {
	if signIn {
		say = append(say, saySignIn)
	}
	switch {
	case signIn && p.NeedsOAuth(), signIn && p.NeedsAppPassword():
	case p.NeedsOAuth():
		return append(say, sayOAuth, sayForward) // There is nothing to switch on for it.
	case p.NeedsAppPassword():
		say = append(say, sayAppPassword)
	case p.accepts(AppPassword):
		say = append(say, sayEitherPassword)
	}
	if p.access == "both" {
		say = append(say, sayAccess)
	}
	if p.username == "local" {
		say = append(say, sayLocalPart)
	}
	if p.Limits.MessagesPerFolder > 0 {
		say = append(say, sayNewest)
	}
	return say
}

// DisplayName returns the name as a list of providers shows it.
func (p Provider) DisplayName(lang string) string {
	if p.ID == account.OtherProvider && lang == "pl" {
		return "Inny"
	}
	return p.Name
}

// Note returns what is peculiar to this provider, or "".
func (p Provider) Note(lang string) string { return p.note.in(lang) }
