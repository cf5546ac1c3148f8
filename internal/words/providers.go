package words

// What a user has to know of a provider before adding a mailbox there. {name} is the
// provider's name. What is peculiar to one provider stands beside it in the presets.
var (
	HelpOAuth = Phrase{
		"{name} lets other programs in only when you sign in on its own page (OAuth2). " +
			"That is not switched on here: the mailbox cannot be added for now.",
		"{name} wpuszcza inne programy tylko po zalogowaniu na własnej stronie (OAuth2). " +
			"Tego tu nie włączono: na razie tej skrzynki nie można dodać.",
	}
	HelpForward = Phrase{
		"Have its mail forwarded to your own mailbox instead.",
		"Zamiast tego włącz u dostawcy przekazywanie poczty do swojej skrzynki.",
	}
	HelpSignIn = Phrase{
		"Sign in on {name}'s own page: your password stays there.",
		"Zaloguj się na stronie {name}: hasło zostaje tylko tam.",
	}
	HelpAppPassword = Phrase{
		"{name} refuses the mailbox's own password here: make an app password (one for programs) and enter that.",
		"{name} nie przyjmuje tu zwykłego hasła skrzynki: utwórz hasło do aplikacji i wpisz je.",
	}
	HelpEitherPassword = Phrase{
		"With two-step sign-in on, or if your own password is refused, make an app password " +
			"(one for programs) and enter that.",
		"Przy włączonym logowaniu dwuetapowym, albo gdy zwykłe hasło jest odrzucane, utwórz hasło do aplikacji " +
			"i wpisz je.",
	}
	HelpAccess = Phrase{
		"Access for mail programs (IMAP, POP3) has to be switched on in the mailbox's settings first.",
		"Najpierw trzeba włączyć dostęp dla programów pocztowych (IMAP, POP3) w ustawieniach skrzynki.",
	}
	HelpAccessPOP3 = Phrase{
		"POP3 has to be switched on in the mailbox's settings first.",
		"POP3 trzeba najpierw włączyć w ustawieniach skrzynki.",
	}
	HelpLocalPart = Phrase{
		"The user name is what stands before the @ of the address.",
		"Nazwą użytkownika jest część adresu przed znakiem @.",
	}
	HelpNewest = Phrase{
		"By IMAP, {name} shows programs only the newest {count} messages of a folder.",
		"Przez IMAP {name} pokazuje programom tylko {count} najnowszych wiadomości z każdego folderu.",
	}
)

// What a user has to do there before a password is accepted: one action a sentence.
var (
	StepOpen = Phrase{
		"Open the security settings at {name}.",
		"Otwórz ustawienia bezpieczeństwa konta {name}.",
	}
	StepOpenSettings = Phrase{
		"Open the mailbox's settings at {name}.",
		"Otwórz ustawienia skrzynki na stronie {name}.",
	}
	StepSwitchOn = Phrase{
		"Switch on access for mail programs.",
		"Włącz dostęp dla programów pocztowych.",
	}
	StepMake = Phrase{
		"Make an app password there.",
		"Utwórz tam hasło do aplikacji.",
	}
	StepSwitchOnAt = Phrase{
		"Switch on access for mail programs at {name}.",
		"Włącz dostęp dla programów pocztowych w ustawieniach {name}.",
	}
	StepPaste = Phrase{
		"Paste it here.",
		"Wklej je tutaj.",
	}
	StepComeBack = Phrase{
		"Enter the mailbox's password here.",
		"Wpisz tutaj hasło do skrzynki.",
	}
)

// OtherProvider is the name of the preset for a provider of which nothing is known.
var OtherProvider = Phrase{"Other", "Inny"}
