package words

// RetrySoon ends the advice on what passes by itself, where it is not known when. The
// same words stand in connection tests, where nothing is saved yet.
var RetrySoon = Phrase{
	"Try again in a few minutes; a saved account is tried again by itself.",
	"Spróbuj ponownie za kilka minut; po zapisaniu będziemy próbować sami.",
}

// RetriedIn ends it where it is known when that is, and RetryIn where nobody may try
// sooner. {wait} is filled in, as in "15 minutes".
var (
	RetriedIn = Phrase{"It is tried again by itself in {wait}.", "Następna próba nastąpi automatycznie za {wait}."}
	RetryIn   = Phrase{
		"Try again in {wait}; a saved account is tried again by itself.",
		"Spróbuj ponownie za {wait}; po zapisaniu będziemy próbować sami.",
	}
	RetryLater = Phrase{
		"Try again later; a saved account is tried again by itself.",
		"Spróbuj ponownie później; po zapisaniu będziemy próbować sami.",
	}
)

// Faults say what each code means and what to do. {provider}, {protocol} and
// {host} are filled in.
var Faults = map[string]Text{
	"dns_failure": {
		Phrase{"The server's name was not found", "Nie znaleziono serwera o tej nazwie"},
		Phrase{"Check the server's name for typing errors.", "Sprawdź, czy nazwa serwera jest wpisana bez błędów."},
	},
	"host_not_allowed": {
		Phrase{"This server may not be used", "Tego serwera nie można użyć"},
		Phrase{
			"This host or port is not one that an external account may name. Enter the public name of the provider's mail " +
				"server and one of its usual ports: 993 for IMAP, 995 for POP3.",
			"Konto zewnętrzne nie może wskazywać tego adresu lub portu. Wpisz publiczną nazwę serwera poczty dostawcy i jeden " +
				"ze zwykłych portów: 993 dla IMAP, 995 dla POP3.",
		},
	},
	"connect_refused": {
		Phrase{"The server refused the connection", "Serwer odrzucił połączenie"},
		Phrase{"Check the server's name and the port: usually 993 for IMAP, 995 for POP3.", "Sprawdź nazwę serwera i port: " +
			"zwykle 993 dla IMAP, 995 dla POP3."},
	},
	"connect_timeout": {
		Phrase{"The server did not answer in time", "Serwer nie odpowiedział na czas"},
		Phrase{
			"Check the server's name, the port and the encryption. If they are right, the server is overloaded or cannot be " +
				"reached for now.",
			"Sprawdź nazwę serwera, port i szyfrowanie. Jeśli są poprawne, serwer jest przeciążony lub chwilowo nieosiągalny.",
		},
	},
	"tls_failure": {
		Phrase{"No encrypted connection could be made", "Nie udało się nawiązać szyfrowanego połączenia"},
		Phrase{
			"Check that the encryption matches the port: TLS on 993 and 995, STARTTLS on 143 and 110.",
			"Sprawdź, czy szyfrowanie pasuje do portu: TLS na 993 i 995, STARTTLS na 143 i 110.",
		},
	},
	"tls_certificate_invalid": {
		Phrase{"The server's certificate is not valid", "Certyfikat serwera jest nieprawidłowy"},
		Phrase{
			"The connection was ended before the password was sent. Enter the server's name exactly as the provider gives it. " +
				"If it is right, ask the provider to put its certificate in order.",
			"Połączenie przerwano przed wysłaniem hasła. Wpisz nazwę serwera dokładnie tak, jak podaje ją dostawca. Jeśli " +
				"jest poprawna, poproś dostawcę o naprawę certyfikatu.",
		},
	},
	"starttls_unsupported": {
		Phrase{"The server does not offer STARTTLS", "Serwer nie oferuje STARTTLS"},
		Phrase{"Choose TLS instead, with port 993 for IMAP or 995 for POP3.", "Wybierz zamiast tego TLS, z portem 993 dla " +
			"IMAP lub 995 dla POP3."},
	},
	"protocol_error": {
		Phrase{"The server does not answer as {protocol} should", "Serwer nie odpowiada zgodnie z protokołem {protocol}"},
		Phrase{
			"Check that protocol and port belong together: IMAP uses 993 or 143, POP3 uses 995 or 110.",
			"Sprawdź, czy protokół i port do siebie pasują: IMAP używa portu 993 lub 143, POP3 portu 995 lub 110.",
		},
	},
	"auth_failed": {
		Phrase{"The user name or the password was refused", "Nazwa użytkownika lub hasło zostały odrzucone"},
		Phrase{"Enter the password again and check the user name.", "Wpisz hasło jeszcze raz i sprawdź nazwę użytkownika."},
	},
	"app_password_required": {
		Phrase{"An app password is needed", "Potrzebne jest hasło do aplikacji"},
		Phrase{
			"{provider} refuses the ordinary password here. Make an app password (one for programs) on its pages and enter " +
				"that. If you did, it has been cancelled or mistyped: make a new one.",
			"{provider} nie przyjmuje tu zwykłego hasła. Utwórz na stronach dostawcy hasło do aplikacji i " +
				"wpisz je. Jeśli to było już takie hasło, zostało unieważnione lub źle wpisane: utwórz kolejne.",
		},
	},
	"oauth_reauthorization_required": {
		Phrase{"Signing in at the provider is needed", "Potrzebne jest zalogowanie u dostawcy"},
		onlyOAuth.then(
			"That is not switched on here: this mailbox cannot be fetched for now.",
			"Tego tu nie włączono: na razie tej skrzynki nie można pobierać.",
		),
	},
	"auth_mechanism_unsupported": {
		Phrase{"The server wants to be signed in to in a way that is not known here", "Serwer wymaga sposobu logowania, " +
			"którego tu nie obsługujemy"},
		notSent.then(
			"choose TLS or STARTTLS. Otherwise try the provider's other protocol (IMAP or POP3), or ask the provider to allow "+
				"signing in with a password.",
			"wybierz TLS lub STARTTLS. W przeciwnym razie spróbuj drugiego protokołu (IMAP lub POP3) albo poproś dostawcę o "+
				"zezwolenie na logowanie hasłem.",
		),
	},
	"access_disabled": {
		Phrase{"Access by {protocol} is switched off at the provider", "Dostęp przez {protocol} jest wyłączony u dostawcy"},
		Phrase{
			"Switch on access for mail programs ({protocol}) in the mailbox's settings at the provider, then try again.",
			"Włącz dostęp dla programów pocztowych ({protocol}) w ustawieniach skrzynki u dostawcy i spróbuj ponownie.",
		},
	},
	"account_locked": {
		Phrase{"The provider has locked the account", "Dostawca zablokował konto"},
		Phrase{
			"Sign in to the mailbox on the provider's own page and do what it asks for. Then try again.",
			"Zaloguj się do skrzynki na stronie dostawcy i zrób to, o co prosi. Potem spróbuj ponownie.",
		},
	},
	"mailbox_in_use": {
		Phrase{"Another program is using the mailbox", "Skrzynki używa teraz inny program"},
		Phrase{
			"If this keeps happening, let the other program check for mail less often.",
			"Jeśli to się powtarza, ustaw w tamtym programie rzadsze sprawdzanie poczty.",
		},
	},
	"too_many_connections": {
		Phrase{"Too many connections to the mailbox", "Zbyt wiele połączeń ze skrzynką"},
		Phrase{
			"The provider limits how many programs may be connected at once. Close some that you do not need.",
			"Dostawca ogranicza liczbę programów połączonych naraz. Zamknij te, których nie potrzebujesz.",
		},
	},
	"rate_limited": {
		Phrase{"The provider asks for a pause", "Dostawca prosi o przerwę"},
		tooMuch.then("choose a longer time between checks.", "wybierz rzadsze sprawdzanie."),
	},
	"server_unavailable": {
		Phrase{"The server is out of order for now", "Serwer chwilowo nie działa"},
		Phrase{"The trouble is at the provider: there is nothing for you to change.", "Problem leży po stronie dostawcy: " +
			"niczego nie trzeba zmieniać."},
	},
	"folder_failed": {
		Phrase{"Some folders could not be read", "Niektórych folderów nie dało się odczytać"},
		Phrase{
			"Whatever could be read was fetched. If this keeps happening, leave those folders out in the account's settings.",
			"Pobraliśmy to, co dało się odczytać. Jeśli to się powtarza, pomiń te foldery w ustawieniach konta.",
		},
	},
	"message_failed": {
		Phrase{"Some messages could not be fetched", "Niektórych wiadomości nie dało się pobrać"},
		Phrase{
			"They stay at the provider, and hold up nothing else. What could not be read is tried again by itself, " +
				"once a day in the end, and whenever you ask for a fetch; what is too large you fetch with the button “Fetch”.",
			"Są nadal u dostawcy i nie wstrzymują reszty poczty. Te, których nie dało się odczytać, spróbujemy pobrać " +
				"ponownie: z czasem raz na dobę, a także za każdym razem, gdy zlecisz pobranie. Zbyt duże pobierzesz " +
				"przyciskiem „Pobierz”.",
		},
	},
	"local_over_quota": {
		Phrase{"Your own mailbox is full", "Twoja własna skrzynka jest pełna"},
		Phrase{
			"Delete mail that you do not need, or ask your administrator for more room. Fetching then resumes by itself; " +
				"nothing is lost at the provider.",
			"Usuń niepotrzebną pocztę albo poproś administratora o więcej miejsca. Pobieranie ruszy wtedy samo; u " +
				"dostawcy nic nie ginie.",
		},
	},
	"local_mailbox_unavailable": {
		Phrase{"Your own mailbox cannot be written to", "Nie można zapisywać w twojej własnej skrzynce"},
		Phrase{
			"The trouble is on our side, and nothing is lost at the provider. If it lasts, tell your administrator.",
			"Problem leży po naszej stronie, a u dostawcy nic nie ginie. Jeśli potrwa dłużej, powiadom administratora.",
		},
	},
	"visit_aborted": {
		Phrase{"Fetching broke off on our side several times", "Pobieranie kilkakrotnie zostało przerwane po naszej stronie"},
		Phrase{
			"The account is tried again by itself, after longer and longer pauses. A very large mailbox can be the reason: " +
				"leaving out folders that you do not need may help. If the trouble lasts, tell your administrator.",
			"Będziemy ponawiać próby automatycznie, coraz rzadziej. Przyczyną może być bardzo duża skrzynka: pomóc może " +
				"pominięcie niepotrzebnych folderów. Jeśli problem potrwa dłużej, powiadom administratora.",
		},
	},
	"mail_loop": {
		Phrase{"Mail would be fetched back into where it came from", "Wiadomości krążyłyby w kółko"},
		Phrase{
			"This account reads a mailbox of this same service. Mail that was fetched into that mailbox from elsewhere is not " +
				"fetched again: add the account it comes from instead. Your own mailbox cannot be fetched into itself: if " +
				"that is what this account is, delete it.",
			"To konto pobiera pocztę ze skrzynki w tej samej usłudze. Wiadomości, które trafiły tam z innych kont, nie są " +
				"pobierane ponownie: dodaj bezpośrednio konto, z którego pochodzą. Jeśli to twoja własna skrzynka, usuń to konto.",
		},
	},
	"internal": {
		Phrase{"Something went wrong on our side", "Coś poszło źle po naszej stronie"},
		Phrase{
			"If the saved password cannot be read, enter it again. If the trouble lasts, tell your administrator.",
			"Jeśli zapisanego hasła nie da się odczytać, wpisz je jeszcze raz. Jeśli problem potrwa dłużej, powiadom " +
				"administratora.",
		},
	},
}

// Unreachable is said where a server that the provider gives cannot be reached.
var Unreachable = Text{
	Phrase{"We cannot reach {provider} at the moment", "Nie możemy teraz połączyć się z serwerem {provider}"},
	Phrase{"There is nothing for you to change.", "Niczego nie trzeba zmieniać."},
}

// LoginsPaused is what is said where too many logins failed, so that for a while we
// make none.
var LoginsPaused = Text{
	Phrase{"Too many logins failed: we pause for a while", "Zbyt wiele nieudanych logowań: robimy przerwę"},
	Phrase{
		"So that nobody guesses passwords, and the provider does not lock the mailbox, we do not sign in there for a " +
			"while, not even with the right password. Check the user name and the password meanwhile.",
		"Dla bezpieczeństwa i po to, by dostawca nie zablokował skrzynki, przez pewien czas nie logujemy się do niej, " +
			"nawet z poprawnym hasłem. W tym czasie sprawdź nazwę użytkownika i hasło.",
	},
}

// SignInAgain is what a user can do where signing in on the provider's page is
// offered.
var SignInAgain = Phrase{
	"Sign in on {provider}'s own page, with the button for it. What was fetched stays, and fetching resumes where it " +
		"stopped.",
	"Zaloguj się na stronie dostawcy jeszcze raz. To, co pobrano, zostaje, a pobieranie ruszy tam, gdzie się " +
		"zatrzymało.",
}

// What is added where the provider is known.
var (
	AddLocalPart = Phrase{
		"At {provider} the user name is what stands before the @ of the address.",
		"U tego dostawcy nazwą użytkownika jest część adresu przed znakiem @.",
	}
	AddAppPassword = Phrase{
		"With two-step sign-in on, an app password (one for programs) is needed in its place.",
		"Przy włączonym logowaniu dwuetapowym potrzebne jest zamiast niego hasło do aplikacji.",
	}
	AddAccess = Phrase{
		"Access for mail programs has to be switched on in the mailbox's settings too.",
		"Dostęp dla programów pocztowych musi być też włączony w ustawieniach skrzynki.",
	}
	AddServer = Phrase{"{provider}'s server for {protocol} is {server}.", "Serwer tego dostawcy dla {protocol} to " +
		"{server}."}
	AddCertified = Phrase{
		"At {provider}, {server} serves the same mailbox with a valid certificate: enter that name.",
		"U tego dostawcy tę samą skrzynkę obsługuje {server}, z ważnym certyfikatem: wpisz tę nazwę.",
	}
	See = Phrase{"See:", "Zobacz:"}
)

// What stands for a name that is not known.
var (
	TheProvider    = Phrase{"The provider", "Dostawca"}
	EitherProtocol = Phrase{"IMAP or POP3", "IMAP lub POP3"}
)
