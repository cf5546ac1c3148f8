package words

// What administrators read speaks of the user, and not to the user; and says what
// an administrator can do.

// What users and administrators both read; what each can do follows.
var (
	onlyOAuth = Phrase{
		"{provider} takes no password here, only signing in on its own page (OAuth2). ",
		"{provider} nie przyjmuje tu haseł, tylko logowanie na własnej stronie (OAuth2). ",
	}
	notSent = Phrase{
		"The password was not sent, so it need not be wrong. If the connection is not encrypted, ",
		"Hasło nie zostało wysłane, więc nie musi być błędne. Jeśli połączenie nie jest szyfrowane, ",
	}
	tooMuch = Phrase{
		"There were too many logins or too much traffic. If this keeps happening, ",
		"Było zbyt wiele logowań lub zbyt duży ruch. Jeśli to się powtarza, ",
	}
	severalFailed = Phrase{
		"Several accounts at {host} failed one after the other, and none has worked since.",
		"Kilka kont na {host} zawiodło jedno po drugim i od tego czasu żadne nie zadziałało.",
	}
	whenOn = Phrase{
		"Nothing is lost at the provider: everything is fetched when fetching resumes.",
		"U dostawcy nic nie ginie: po wznowieniu wszystko zostanie pobrane.",
	}
)

// AdminRetried ends the advice on what passes by itself.
var AdminRetried = Phrase{"It is tried again by itself.", "Kolejne próby nastąpią automatycznie."}

// AdminFaults are said to an administrator instead of Faults. An empty title is
// the one of Faults.
var AdminFaults = map[string]Text{
	"dns_failure": {Advice: Phrase{
		"The user should check the server's name for typing errors. If many users' accounts name it, the trouble is the " +
			"provider's, or this machine's resolver.",
		"Użytkownik powinien sprawdzić, czy nazwa serwera jest wpisana bez błędów. Jeśli ten serwer ma wielu użytkowników, " +
			"problem leży po stronie dostawcy albo w konfiguracji DNS tej maszyny.",
	}},
	"host_not_allowed": {Advice: Phrase{
		"An external account may not name this host or port. Which ones it may name is set by remote.allow_networks and " +
			"remote.allow_ports.",
		"Konto zewnętrzne nie może wskazywać tego adresu lub portu. O tym, co wolno, decydują ustawienia " +
			"remote.allow_networks i remote.allow_ports.",
	}},
	"connect_refused": {Advice: Phrase{
		"The user should check the server's name and the port: usually 993 for IMAP, 995 for POP3. If other accounts work " +
			"there, nothing is wrong with the server.",
		"Użytkownik powinien sprawdzić nazwę serwera i port: zwykle 993 dla IMAP, 995 dla POP3. Jeśli inne konta na tym " +
			"serwerze działają, sam serwer jest sprawny.",
	}},
	"connect_timeout": {Advice: Phrase{
		"The server is overloaded or cannot be reached from here, or its name, port or encryption is not right. If many " +
			"providers do not answer, look at this machine's network.",
		"Serwer jest przeciążony lub stąd nieosiągalny albo jego nazwa, port lub szyfrowanie są błędne. Jeśli nie " +
			"odpowiada wielu dostawców, sprawdź sieć tej maszyny.",
	}},
	"tls_failure": {Advice: Phrase{
		"The encryption should match the port: TLS on 993 and 995, STARTTLS on 143 and 110. The user can change both in " +
			"the account's settings.",
		"Szyfrowanie powinno pasować do portu: TLS na 993 i 995, STARTTLS na 143 i 110. Użytkownik może zmienić jedno i " +
			"drugie w ustawieniach konta.",
	}},
	"tls_certificate_invalid": {Advice: Phrase{
		"The connection was ended before the password was sent. The user should enter the server's name exactly as the " +
			"provider gives it. If it is right, the provider has to put its certificate in order; a further root is " +
			"added with remote.ca_file.",
		"Połączenie przerwano przed wysłaniem hasła. Użytkownik powinien wpisać nazwę serwera dokładnie tak, jak podaje ją " +
			"dostawca. Jeśli jest poprawna, certyfikat musi naprawić dostawca; własny urząd certyfikacji dodaje się w " +
			"remote.ca_file.",
	}},
	"starttls_unsupported": {Advice: Phrase{
		"The user can choose TLS instead, with port 993 for IMAP or 995 for POP3.",
		"Użytkownik może wybrać zamiast tego TLS, z portem 993 dla IMAP lub 995 dla POP3.",
	}},
	"protocol_error": {Advice: Phrase{
		"Protocol and port should belong together: IMAP uses 993 or 143, POP3 uses 995 or 110. If they do, a transcript of " +
			"the account shows what the server answers.",
		"Protokół i port powinny do siebie pasować: IMAP używa portu 993 lub 143, POP3 portu 995 lub 110. Jeśli tak jest, " +
			"zapis rozmowy z serwerem pokaże, co on odpowiada.",
	}},
	"auth_failed": {Advice: Phrase{
		"The user has to enter the password again and check the user name.",
		"Użytkownik musi ponownie wpisać hasło i sprawdzić nazwę użytkownika.",
	}},
	"app_password_required": {Advice: Phrase{
		"{provider} refuses the ordinary password here. The user has to make an app password (one for programs) on its " +
			"pages and enter that. If it was one, it has been cancelled or mistyped.",
		"{provider} nie przyjmuje tu zwykłego hasła. Użytkownik musi utworzyć na stronach dostawcy hasło do aplikacji i " +
			"wpisać je. Jeśli to było już takie hasło, zostało unieważnione lub źle wpisane.",
	}},
	"oauth_reauthorization_required": {Advice: onlyOAuth.then(
		"Unless this is set up (oauth.*), the mailbox cannot be fetched.",
		"Bez skonfigurowania go (oauth.*) tej skrzynki nie można pobierać.",
	)},
	"auth_mechanism_unsupported": {Advice: notSent.then(
		"TLS or STARTTLS may help; otherwise the other protocol (IMAP or POP3). Both are settings of the account.",
		"może pomóc TLS lub STARTTLS, a jeśli jest, drugi protokół (IMAP lub POP3). To ustawienia konta.",
	)},
	"access_disabled": {Advice: Phrase{
		"The user has to switch on access for mail programs ({protocol}) in the mailbox's settings at the provider.",
		"Użytkownik musi włączyć dostęp dla programów pocztowych ({protocol}) w ustawieniach skrzynki u dostawcy.",
	}},
	"account_locked": {Advice: Phrase{
		"The user has to sign in to the mailbox on the provider's own page and do what it asks for.",
		"Użytkownik musi zalogować się do skrzynki na stronie dostawcy i zrobić to, o co prosi.",
	}},
	"mailbox_in_use": {Advice: Phrase{
		"If this keeps happening, the user's other program should check for mail less often.",
		"Jeśli to się powtarza, drugi program użytkownika powinien rzadziej sprawdzać pocztę.",
	}},
	"too_many_connections": {Advice: Phrase{
		"The provider limits how many programs may be connected at once: this service, or other programs of the user, are " +
			"more than that.",
		"Dostawca ogranicza liczbę programów połączonych naraz, a ta usługa lub inne programy użytkownika ją przekraczają.",
	}},
	"rate_limited": {Advice: tooMuch.then(
		"the account should be checked less often.", "konto powinno być sprawdzane rzadziej.",
	)},
	"server_unavailable": {Advice: Phrase{
		"The trouble is at the provider: there is nothing to change here.",
		"Problem leży po stronie dostawcy: tutaj niczego nie trzeba zmieniać.",
	}},
	"folder_failed": {Advice: Phrase{
		"Whatever could be read was fetched. The user can leave those folders out in the account's settings.",
		"Pobrano to, co dało się odczytać. Użytkownik może pominąć te foldery w ustawieniach konta.",
	}},
	"message_failed": {Advice: Phrase{
		"They stay at the provider; the rest of the mail keeps coming. What could not be read is tried again by itself, " +
			"once a day in the end; what is too large is fetched when the user asks for it.",
		"Są nadal u dostawcy; reszta poczty przychodzi normalnie. Te, których nie dało się odczytać, są pobierane " +
			"ponownie: z czasem raz na dobę; zbyt duże zostaną pobrane na żądanie użytkownika.",
	}},
	"local_over_quota": {
		Phrase{"The user's own mailbox is full", "Skrzynka użytkownika jest pełna"},
		Phrase{
			"The user can delete mail, or gets more room by a higher limit. Fetching then resumes by itself; nothing is lost " +
				"at the provider.",
			"Użytkownik może usunąć część poczty albo dostać więcej miejsca przez wyższy limit. Pobieranie ruszy wtedy samo; " +
				"u dostawcy nic nie ginie.",
		},
	},
	"local_mailbox_unavailable": {
		Phrase{"The user's own mailbox cannot be written to", "Nie można zapisywać w skrzynce użytkownika"},
		Phrase{
			"Look whether the mailbox is there and this service may write to it: that its server lets the service in, or " +
				"its file system is mounted and has room. “mailbrook doctor” and the log say what is wrong. Nothing is lost at " +
				"the provider.",
			"Sprawdź, czy skrzynka istnieje i czy ta usługa może w niej zapisywać: czy jej serwer wpuszcza usługę albo czy " +
				"system plików jest zamontowany i jest na nim miejsce. Przyczynę podają „mailbrook doctor” i dziennik. U " +
				"dostawcy nic nie ginie.",
		},
	},
	"visit_aborted": {
		Phrase{"The process ended during several fetches", "Usługa kilkakrotnie kończyła pracę podczas pobierania"},
		Phrase{
			"The account is tried again by itself, after longer and longer pauses. The log and the system's journal say why " +
				"the process ended; a very large mailbox and too little memory can be the reason.",
			"Kolejne próby nastąpią automatycznie, coraz rzadziej. O tym, dlaczego usługa kończyła pracę, mówią jej dziennik " +
				"i dziennik systemowy; przyczyną może być bardzo duża skrzynka i za mało pamięci.",
		},
	},
	"mail_loop": {Advice: Phrase{
		"This account reads a mailbox of this same service. What was fetched into that mailbox from elsewhere is not " +
			"fetched again, and nobody's own mailbox into itself: the user should add the account it comes from.",
		"To konto pobiera pocztę ze skrzynki w tej samej usłudze. Wiadomości, które trafiły tam z innych kont, nie są " +
			"pobierane ponownie, podobnie jak własna skrzynka do niej samej: użytkownik powinien dodać bezpośrednio konto, z " +
			"którego pochodzą.",
	}},
	"internal": {
		Phrase{"A fault of this service", "Błąd tej usługi"},
		Phrase{
			"The log has the reason. If the saved password cannot be read, the user has to enter it again.",
			"Przyczyna jest w dzienniku. Jeśli zapisanego hasła nie da się odczytać, użytkownik musi wpisać je ponownie.",
		},
	},
}

// What administrators read instead of LoginsPaused and SignInAgain.
var (
	AdminLoginsPaused = Text{
		Phrase{"Too many logins failed: a pause is made", "Zbyt wiele nieudanych logowań: trwa przerwa"},
		Phrase{
			"So that nobody guesses passwords, and the provider does not lock the mailbox, nobody signs in there from here " +
				"for a while. The user should check the user name and the password.",
			"Dla bezpieczeństwa i po to, by dostawca nie zablokował skrzynki, przez pewien czas nie ma do niej stąd logowań. " +
				"Użytkownik powinien sprawdzić nazwę użytkownika i hasło.",
		},
	}
	AdminSignInAgain = Phrase{
		"The user has to sign in on {provider}'s own page again, from the account's settings. What was fetched stays.",
		"Użytkownik musi ponownie zalogować się na stronie dostawcy, z ustawień konta. To, co pobrano, zostaje.",
	}
)
