package words

// serverDetails are what is rarely said of a server, of a sign-in service and of the local mailbox, as details are.
var serverDetails = []Phrase{
	// Names of servers.
	{"There is no public server named %s.", "W internecie nie ma serwera o nazwie %s."},
	{"Looking up %s took too long.", "Szukanie serwera %s trwało zbyt długo."},
	{"The name %s could not be looked up.", "Nie udało się sprawdzić nazwy %s."},
	{"Only https addresses are followed.", "Dozwolone są tylko adresy https."},
	{
		"The server must be a host name or an address and nothing else, such as imap.example.org.",
		"Jako serwer podaj samą nazwę, na przykład imap.example.org, lub adres IP.",
	},

	// Sign-in services of providers.
	{
		"The sign-in service of %s gives no answer that can be used.",
		"Usługa logowania dostawcy %s odpowiada w sposób, którego nie da się odczytać.",
	},
	{
		"The sign-in service of %s refuses for a reason of its own.",
		"Usługa logowania dostawcy %s odmawia z własnych powodów.",
	},
	{"The sign-in service of %s is out of order for now.", "Usługa logowania dostawcy %s chwilowo nie działa."},
	{
		"The sign-in service of %s may not be asked from here.",
		"Stąd nie wolno łączyć się z usługą logowania dostawcy %s.",
	},
	{
		"The sign-in service of %s does not renew the permission to read the mailbox.",
		"Usługa logowania dostawcy %s nie odnawia zgody na odczyt skrzynki.",
	},
	{"The sign-in service of %s cannot be reached for now.", "Usługa logowania dostawcy %s jest chwilowo nieosiągalna."},
	{"This server is not one of %s's own.", "To nie jest własny serwer dostawcy %s."},
	{
		"This account has no password: it signs in by what its user allowed on the provider's page.",
		"To konto nie ma hasła: loguje się dzięki zgodzie udzielonej na stronie dostawcy.",
	},

	// The local mailbox.
	{
		"The folder %s there is the one into which this account is fetched.",
		"Folder %s w tej skrzynce to ten sam, do którego trafia poczta z tego konta.",
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
	{"The server refuses %s.", "Serwer odrzuca %s."},
	{"Folder %s could not be read.", "Nie udało się odczytać folderu %s."},
	{"The server does not come to an end of signing in.", "Serwer nie kończy logowania."},
	{
		"The server gives more than %d messages no identity of their own (%s), and there are too many to read them " +
			"all at each visit.",
		"Liczba wiadomości, którym serwer nie nadaje własnego oznaczenia, przekracza %d (%s): to za dużo, by czytać " +
			"je wszystkie za każdym razem.",
	},
	{
		"The server gives %d messages no identity of their own (%s), and there are too many to read them all at each " +
			"visit; at most %d are.",
		"Liczba wiadomości, którym serwer nie nadaje własnego oznaczenia: %d (%s). To za dużo, by czytać je " +
			"wszystkie za każdym razem; limit to %d.",
	},
	{"The server does not say how many messages there are.", "Serwer nie podaje, ile jest wiadomości."},
	{
		"The server sends a notice of its own instead of this message.",
		"Zamiast tej wiadomości serwer wysyła własne powiadomienie.",
	},
	{"The server stopped in the middle of the message.", "Serwer przerwał w środku wiadomości."},
	{"The message is larger than %s.", "Wiadomość jest większa niż %s."},
	{"The message does not end after %s.", "Wiadomość nie kończy się po %s."},
	{"The server sent other bytes the second time.", "Za drugim razem serwer wysłał inną treść."},
	{"The server took a question for the credential.", "Serwer wziął pytanie za dane logowania."},
	{"More was asked for than is needed.", "Poproszono o więcej, niż trzeba."},
	{"The server kept sending other lines and never answered.", "Serwer wysyłał inne wiersze i nie odpowiedział."},
	{
		"The server claims that we are signed in already, which nobody asked of it.",
		"Serwer twierdzi, że już nas zalogował, choć nikt o to nie prosił.",
	},
	{"The server sent data ahead of the TLS handshake.", "Serwer wysłał dane, zanim nawiązano połączenie TLS."},
	{"The server sent a line of more than %d bytes.", "Serwer wysłał wiersz dłuższy niż %d bajtów."},
	{
		"The server sent more than %d MiB on one connection; the rest is left for the next visit.",
		"Serwer wysłał ponad %d MiB w jednym połączeniu; resztę pobierzemy następnym razem.",
	},
	{
		"The server is too slow: in %d seconds of waiting it sent neither a message nor what a folder holds.",
		"Serwer jest zbyt wolny: po %d s czekania nie wysłał ani wiadomości, ani listy z folderu.",
	},
	{"The server asks for more than user name and password.", "Serwer żąda czegoś więcej niż nazwy użytkownika i hasła."},
	{"The server asks for more than signing in takes.", "Serwer żąda więcej, niż wymaga logowanie."},
	{"The server's challenge is empty.", "Wezwanie serwera do logowania jest puste."},
	{"The server's challenge cannot be used.", "Wezwania serwera do logowania nie da się użyć."},
	{
		"The server asks for %d rounds, which is not an acceptable number.",
		"Serwer żąda %d powtórzeń obliczeń, a to niewiarygodna liczba.",
	},

	// What a provider wants of its user.
	{
		"%s does not know this service any more: its administrator has to mend that.",
		"Dostawca %s nie rozpoznaje już tej usługi: musi to naprawić jej administrator.",
	},
	{"%s has withdrawn the permission to read the mailbox.", "Dostawca %s wycofał zgodę na odczyt skrzynki."},
	{"%s's permission to read the mailbox has run out.", "Zgoda dostawcy %s na odczyt skrzynki wygasła."},
	{"%s wants the user to sign in again.", "Dostawca %s wymaga ponownego zalogowania."},
	{
		"%s wants the user to sign in again, and something done there.",
		"Dostawca %s wymaga ponownego zalogowania i dokończenia czegoś na jego stronie.",
	},
	{
		"%s has a message for the user, which it shows at signing in.",
		"Dostawca %s ma wiadomość dla użytkownika i pokaże ją przy logowaniu.",
	},
	{"%s wants the user's consent again.", "Dostawca %s wymaga ponownej zgody użytkownika."},

	{"The server's answer to %s is no IMAP.", "Odpowiedź serwera na %s nie jest zgodna z IMAP."},
	{"the server's list has more than %d lines", "lista z serwera ma ponad %d wierszy"},
	{
		"what the server says of messages here cannot be read (%d)",
		"nie da się odczytać tego, co serwer podaje o wiadomościach (%d)",
	},
	{
		"This mailbox belongs to another user; the mailbox setting should name {user}, or {domain} and {local}.",
		"Ta skrzynka należy do innego użytkownika; ustawienie mailbox powinno zawierać {user} albo {domain} i {local}.",
	},

	// Defects of ours, and what is interrupted.
	{"%d visits in a row began and did not end", "Liczba kolejnych pobrań, które się rozpoczęły i nie zakończyły: %d"},
	{"the visit took too long and was ended", "pobieranie trwało zbyt długo i zostało przerwane"},
	{"the visit took long, and its slot was needed", "pobieranie trwało długo, a potrzebne było jego miejsce"},
	{"the destination confirmed not all of the messages", "nie potwierdzono zapisu wszystkich wiadomości"},
	{"the destination did not answer for each message", "nie o każdej wiadomości wiadomo, czy została zapisana"},
	{"a message was not staged", "wiadomości nie zapisano w buforze"},
	{"a part of the folder's name is empty", "część nazwy folderu jest pusta"},
	{"the folder's name does not fit the local mailbox", "nazwa folderu nie pasuje do skrzynki"},
	{"the journal's name cannot be a file name", "nazwa dziennika nie może być nazwą pliku"},
	{"the token cannot be a file name", "znacznik nie może być nazwą pliku"},
	{"the placement is not one of a staged message", "wskazane miejsce nie dotyczy wiadomości zapisanej w buforze"},
	{"this folder is no account folder", "ten folder nie jest folderem konta"},
	{"no user is named", "nie podano użytkownika"},

	// The server of the users' mailboxes, and what reaches it.
	{"Nobody answers on the socket of the server.", "Na gnieździe tego serwera nikt nie odpowiada."},
	{
		"No name and no password are saved with which this user's own mailbox could be opened.",
		"Brak zapisanej nazwy i hasła, którymi można by otworzyć skrzynkę tego użytkownika.",
	},
	{
		"The server shares the folder %s with others, or it is theirs: give the account another folder.",
		"Serwer udostępnia folder %s innym osobom albo należy on do kogoś innego: wybierz dla tego konta inny folder.",
	},
	{
		"The address holds %s, which divides it from the name of who signs in for all: nobody could be signed in to safely.",
		"Adres zawiera %s, czyli znak oddzielający go od nazwy logującego się za wszystkich: to nie byłoby bezpieczne.",
	},
	{
		"There is no access token for the server of the users' mailboxes.",
		"Brak tokenu dostępu do serwera skrzynek użytkowników.",
	},
	{
		"The server of the users' mailboxes cannot be reached, or does not do what it should.",
		"Serwer skrzynek jest nieosiągalny albo nie działa jak należy.",
	},
	{
		"The server of the users' mailboxes lets Mailbrook into no mailbox.",
		"Serwer skrzynek nie wpuszcza Mailbrook do żadnej skrzynki.",
	},
	{
		"The server of the users' mailboxes has no mailbox of this user, or does not let Mailbrook into it.",
		"Serwer skrzynek nie ma skrzynki tego użytkownika albo nie wpuszcza do niej Mailbrook.",
	},
	{
		"The server of the users' mailboxes refuses to open this user's mailbox.",
		"Serwer skrzynek odmawia otwarcia skrzynki tego użytkownika.",
	},
	{
		"The server of the users' mailboxes refuses the password that is kept for this user's mailbox.",
		"Serwer skrzynek odrzuca zapisane hasło do skrzynki tego użytkownika.",
	},

	{"The message is empty.", "Wiadomość jest pusta."},
	{
		"The message is %s large; the server of the mailbox takes %s.",
		"Wiadomość ma rozmiar %s; serwer skrzynki przyjmuje %s.",
	},
	{"The server answers before it has the message.", "Serwer odpowiada, zanim otrzyma wiadomość."},
	{"The server answers what was not asked.", "Serwer odpowiada na coś, o co nie był pytany."},
	{"The server sends more than can be read.", "Serwer wysyła więcej, niż można odczytać."},
}
