package diagnose

// serverDetails are what is rarely said of a server, of a sign-in service and of the local mailbox, as details are.
var serverDetails = []phrase{
	// Names of servers.
	{"There is no public server named {}.", "W internecie nie ma serwera o nazwie {}."},
	{"Looking up {} took too long.", "Szukanie serwera {} trwało zbyt długo."},
	{"The name {} could not be looked up.", "Nie udało się sprawdzić nazwy {}."},
	{"Only https addresses are followed.", "Dozwolone są tylko adresy https."},
	{
		"The server must be a host name or an address and nothing else, such as imap.example.org.",
		"Jako serwer podaj tylko nazwę, na przykład imap.example.org, lub jego numer IP.",
	},

	// Sign-in services of providers.
	{
		"The sign-in service of {} gives no answer that can be used.",
		"Usługa logowania dostawcy {} odpowiada w sposób, którego nie da się odczytać.",
	},
	{
		"The sign-in service of {} refuses for a reason of its own.",
		"Usługa logowania dostawcy {} odmawia z własnych powodów.",
	},
	{"The sign-in service of {} is out of order for now.", "Usługa logowania dostawcy {} chwilowo nie działa."},
	{"The sign-in service of {} may not be asked from here.", "Stąd nie wolno łączyć się z usługą logowania dostawcy {}."},
	{
		"The sign-in service of {} does not renew the permission to read the mailbox.",
		"Usługa logowania dostawcy {} nie odnawia zgody na odczyt skrzynki.",
	},
	{"The sign-in service of {} cannot be reached for now.", "Usługa logowania dostawcy {} jest chwilowo nieosiągalna."},
	{"This server is not one of {}'s own.", "To nie jest własny serwer dostawcy {}."},
	{
		"This account has no password: it signs in by what its user allowed on the provider's page.",
		"To konto nie ma hasła: loguje się dzięki zgodzie udzielonej na stronie dostawcy.",
	},

	// The local mailbox.
	{
		"The folder {} there is the one into which this account is fetched.",
		"Folder {} w tej skrzynce to ten sam, do którego trafia poczta z tego konta.",
	},
	{
		"A part of the local mailbox lies on another disk, or is a mount point.",
		"Część skrzynki leży na innym dysku albo jest punktem montowania.",
	},
	{
		"Something in the local mailbox is no plain file where one is expected.",
		"W skrzynce zamiast zwykłego pliku jest coś innego.",
	},
	{
		"A folder of the local mailbox was moved out of it, or replaced, while mail was put there.",
		"Folder przeniesiono poza skrzynkę lub podmieniono, gdy trafiała do niego poczta.",
	},
	{"This mailbox belongs to another installation of Mailbrook.", "Ta skrzynka należy do innej instalacji Mailbrook."},
	{"Another program keeps the list of subscriptions locked.", "Inny program blokuje listę subskrypcji folderów."},
	{
		"The local mailbox changes faster than it can be measured.",
		"Skrzynka zmienia się szybciej, niż można ją zmierzyć.",
	},
	{
		"The local mailbox was moved, replaced or removed while Mailbrook was at work in it.",
		"Skrzynkę przeniesiono, podmieniono lub usunięto w trakcie pracy.",
	},
	{
		"Something in the local mailbox is a link; links are not followed.",
		"W skrzynce jest dowiązanie, a dowiązania są pomijane.",
	},
	{
		"Something in the local mailbox is a file or a link where a directory is expected.",
		"W skrzynce zamiast katalogu jest plik lub dowiązanie.",
	},
	{
		"A folder's name is too long for the disk that holds the local mailbox.",
		"Nazwa folderu jest za długa dla dysku, na którym leży skrzynka.",
	},

	// What servers do.
	{"The server refuses {}.", "Serwer odrzuca {}."},
	{"Folder {} could not be read.", "Nie udało się odczytać folderu {}."},
	{"The server does not come to an end of signing in.", "Serwer nie kończy logowania."},
	{
		"The server gives more than {} messages no identity of their own ({}), and there are too many to read them all " +
			"at each visit.",
		"Liczba wiadomości, którym serwer nie nadaje własnego oznaczenia, przekracza {} ({}): to za dużo, by czytać je " +
			"wszystkie za każdym razem.",
	},
	{
		"The server gives {} messages no identity of their own ({}), and there are too many to read them all at each " +
			"visit; at most {} are.",
		"Liczba wiadomości, którym serwer nie nadaje własnego oznaczenia: {} ({}). To za dużo, by czytać je wszystkie za " +
			"każdym razem; limit to {}.",
	},
	{
		"The server does not say how many messages there are.",
		"Serwer nie podaje, ile jest wiadomości.",
	},
	{
		"The server sends a notice of its own instead of this message.",
		"Zamiast tej wiadomości serwer wysyła własne powiadomienie.",
	},
	{"The server stopped in the middle of the message.", "Serwer przerwał w środku wiadomości."},
	{"The message is larger than {}.", "Wiadomość jest większa niż {}."},
	{"The message does not end after {}.", "Wiadomość nie kończy się po {}."},
	{"The server sent other bytes the second time.", "Za drugim razem serwer wysłał inną treść."},
	{"The server took a question for the credential.", "Serwer wziął pytanie za dane logowania."},
	{"More was asked for than is needed.", "Poproszono o więcej, niż trzeba."},
	{"The server kept sending other lines and never answered.", "Serwer wysyłał inne wiersze i nie odpowiedział."},
	{
		"The server claims that we are signed in already, which nobody asked of it.",
		"Serwer twierdzi, że już nas zalogował, choć nikt o to nie prosił.",
	},
	{
		"The server sent data ahead of the TLS handshake.",
		"Serwer wysłał dane, zanim nawiązano połączenie TLS.",
	},
	{"The server sent a line of more than {} bytes.", "Serwer wysłał wiersz dłuższy niż {} bajtów."},
	{
		"The server sent more than {} MiB on one connection; the rest is left for the next visit.",
		"Serwer wysłał ponad {} MiB w jednym połączeniu; resztę pobierzemy następnym razem.",
	},
	{
		"The server is too slow: in {} of waiting it sent neither a message nor what a folder holds.",
		"Serwer jest zbyt wolny: po {} czekania nie wysłał ani wiadomości, ani listy z folderu.",
	},
	{
		"The server asks for more than user name and password.",
		"Serwer żąda czegoś więcej niż nazwy użytkownika i hasła.",
	},
	{"The server asks for more than signing in takes.", "Serwer żąda więcej, niż wymaga logowanie."},
	{"The server's challenge is empty.", "Wezwanie serwera do logowania jest puste."},
	{"The server's challenge cannot be used.", "Wezwania serwera do logowania nie da się użyć."},
	{
		"The server asks for {} rounds, which is not an acceptable number.",
		"Serwer żąda {} powtórzeń obliczeń, a to niewiarygodna liczba.",
	},
}
