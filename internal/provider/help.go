package provider

import (
	"strconv"
	"strings"

	"github.com/mailbrook/mailbrook/internal/account"
)

// What Help says, by what is known of a provider. {name} is its name.
var (
	sayOAuth = words{
		"{name} lets other programs in only when you sign in on its own page (OAuth2). That is not switched on here: the mailbox cannot be added for now.",
		"{name} wpuszcza inne programy tylko po zalogowaniu na własnej stronie (OAuth2). Tego tu nie włączono: na razie tej skrzynki nie można dodać.",
	}
	saySignIn = words{
		"Sign in on {name}'s own page: your password stays there.",
		"Zaloguj się na stronie {name}: hasło zostaje tylko tam.",
	}
	sayAppPassword = words{
		"{name} refuses the mailbox's own password here: make an app password (one for programs) and enter that.",
		"{name} nie przyjmuje tu zwykłego hasła skrzynki: utwórz hasło do aplikacji (dla programów) i wpisz je.",
	}
	sayEitherPassword = words{
		"With two-step sign-in on, or if your own password is refused, make an app password (one for programs) and enter that.",
		"Przy włączonym logowaniu dwuetapowym, albo gdy zwykłe hasło jest odrzucane, utwórz hasło do aplikacji (dla programów) i wpisz je.",
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
	sayNoPOP3 = words{
		"POP3 is not offered, or its settings are not known: choose IMAP.",
		"POP3 nie jest dostępny albo jego ustawienia nie są znane: wybierz IMAP.",
	}
)

// Help returns what a user has to know before adding a mailbox, in "en" or
// "pl". signIn says whether the operator lets users sign in on its page.
func (p Provider) Help(lang string, signIn bool) string {
	var say []words
	if !p.unsupported {
		say = p.advice(signIn && p.OAuth != "")
	}
	if p.note != (words{}) {
		say = append(say, p.note)
	}
	var parts []string
	for _, w := range say {
		fill := strings.NewReplacer("{name}", p.DisplayName(lang), "{count}", strconv.Itoa(p.Limits.MessagesPerFolder))
		parts = append(parts, fill.Replace(w.in(lang)))
	}
	return strings.Join(parts, " ")
}

func (p Provider) advice(signIn bool) (say []words) {
	if signIn {
		say = append(say, saySignIn)
	}
	switch {
	case signIn && p.NeedsOAuth(), signIn && p.NeedsAppPassword():
	case p.NeedsOAuth():
		say = append(say, sayOAuth)
	case p.NeedsAppPassword():
		say = append(say, sayAppPassword)
	case p.accepts(AppPassword):
		say = append(say, sayEitherPassword)
	}
	switch p.access {
	case "both":
		say = append(say, sayAccess)
	case "pop3":
		say = append(say, sayAccessPOP3)
	}
	if p.username == "local" {
		say = append(say, sayLocalPart)
	}
	_, imap := p.Servers[account.IMAP]
	if _, pop3 := p.Servers[account.POP3]; imap && !pop3 {
		say = append(say, sayNoPOP3)
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
