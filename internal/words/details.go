package words

// details are what is said of failures, and of steps that went well. The English is the format that is kept. What is
// filled in comes in both languages in the same order, unless "%[2]s" takes another.
var details = []Phrase{
	{"The mailbox does not take the report.", "Skrzynka nie przyjmuje raportu."},
	{"The server says: %s", "Serwer odpowiada: %s"},
	{"The server gave no reason.", "Serwer nie podał przyczyny."},
	{"folder %s:", "folder %s:"},
	{"a message in %s:", "wiadomość w %s:"},
	{"Chosen folders that the provider does not have: %s", "Wybrane foldery, których nie ma u dostawcy: %s"},
	{
		"The mailbox has too many folders: more than %d, so nothing was fetched.",
		"Skrzynka ma za dużo folderów: ponad %d, więc niczego nie pobrano.",
	},
	{"The password has expired.", "Hasło wygasło."},

	// The own mailbox.
	{
		"This is your own mailbox, and would be fetched into itself.",
		"To twoja własna skrzynka: poczta byłaby pobierana z niej do niej samej.",
	},
	{"Its messages are those of your inbox.", "Są w niej wiadomości z twojej skrzynki odbiorczej."},
	{
		"Folders that hold mail fetched from elsewhere are left out: %s and %d more.",
		"Pominięto foldery z pocztą pobraną z innych kont: %s i jeszcze %d.",
	},
	{
		"Folders that hold mail fetched from elsewhere are left out: %s.",
		"Pominięto foldery z pocztą pobraną z innych kont: %s.",
	},
	{
		"Messages that were fetched there from elsewhere are skipped: %d.",
		"Liczba pominiętych wiadomości pobranych tam z innych kont: %d.",
	},
	{
		"It was fetched into that mailbox from another one, and its user moved or copied it.",
		"Pobrano ją do tamtej skrzynki z innej, a użytkownik ją przeniósł lub skopiował.",
	},
	{"This server holds the mailboxes of this service itself.", "Na tym serwerze leżą skrzynki tej samej usługi."},
	{
		"The user's own mailbox was there and is gone. It is not made again: nothing is fetched until it is back, or " +
			"the user is removed.",
		"Własna skrzynka użytkownika istniała, a teraz jej nie ma. Nie utworzymy jej ponownie: do jej powrotu nic " +
			"nie będzie pobierane.",
	},
	{
		"The user has no mailbox of its own yet: nothing is fetched until the mail system has made it.",
		"Użytkownik nie ma jeszcze własnej skrzynki: nic nie będzie pobierane, dopóki system pocztowy jej nie utworzy.",
	},
	{
		"%d messages were on their way when the mailbox was moved to a server: nothing is fetched until the " +
			"administrator has moved them over, too (mailbrook migrate-destination).",
		"Gdy przenoszono skrzynkę na serwer, część poczty była jeszcze w drodze (liczba wiadomości: %d). Dopóki " +
			"administrator też jej nie przeniesie (mailbrook migrate-destination), nic nie będzie pobierane.",
	},
	{"The user has no mailbox where it should lie.", "W miejscu, w którym powinna być skrzynka użytkownika, nic nie ma."},
	{
		"The mailbox holds %s of the %s allowed; the next %s do not fit.",
		"Skrzynka zajmuje %s z dozwolonych %s; następne %s się nie zmieści.",
	},
	{
		"The mailbox holds %s of the %s allowed: nothing more fits.",
		"Skrzynka zajmuje %s z dozwolonych %s: nic więcej się nie zmieści.",
	},
	{"The mailbox holds %d of the %d messages allowed.", "Liczba wiadomości w skrzynce: %d, limit: %d."},
	{
		"The mailbox is nearly full; what is left is kept free for the mail that comes there by itself.",
		"Skrzynka jest prawie pełna; resztę miejsca zostawiamy na pocztę, która przychodzi do niej bezpośrednio.",
	},
	{"The disk quota of the local mailbox is used up.", "Wykorzystano cały przydział dysku skrzynki."},
	{"There is no space left on the disk that holds the local mailbox.", "Na dysku ze skrzynką zabrakło miejsca."},
	{"The local mailbox cannot be written.", "Nie można zapisywać w skrzynce."},
	{
		"The local mailbox may not be written: its permissions are wrong.",
		"Nie można zapisywać w skrzynce: ma złe uprawnienia.",
	},
	{"The disk that holds the local mailbox is read-only.", "Dysk ze skrzynką jest tylko do odczytu."},
	{"The disk that holds the local mailbox reports errors.", "Dysk ze skrzynką zgłasza błędy."},

	// Signing in.
	{
		"The saved password cannot be read any more: enter it again.",
		"Zapisanego hasła nie da się już odczytać: podaj je jeszcze raz.",
	},
	{"The saved permission cannot be read any more.", "Zapisanej zgody nie da się już odczytać."},
	{
		"Signing in on this provider's page is not offered here any more.",
		"Logowanie na stronie tego dostawcy nie jest tu już dostępne.",
	},
	{"The user name or password is empty.", "Nazwa użytkownika lub hasło są puste."},
	{
		"The user name or password is too long or holds a line break.",
		"Nazwa użytkownika lub hasło są za długie albo zawierają podział wiersza.",
	},
	{
		"The user name or the password is empty or has a line break in it.",
		"Nazwa użytkownika lub hasło są puste albo zawierają podział wiersza.",
	},
	{"The server takes no passwords, only OAuth 2.0.", "Serwer nie przyjmuje haseł, tylko OAuth 2.0."},
	{"The server does not offer signing in by OAuth 2.0.", "Serwer nie oferuje logowania przez OAuth 2.0."},
	{"The server wants an encrypted connection.", "Serwer wymaga szyfrowanego połączenia."},
	{
		"The server offers no way to sign in over a connection that is not encrypted.",
		"Serwer nie pozwala logować się przez połączenie bez szyfrowania.",
	},
	{"The server offers no way to sign in with a password.", "Serwer nie pozwala logować się hasłem."},
	{"The server offers only %s.", "Serwer oferuje tylko: %s."},
	{"This service knows %s.", "Ta usługa obsługuje: %s."},
	{"The server did not prove that it knows the password.", "Serwer nie udowodnił, że zna hasło."},

	// Connecting.
	{"The server has no address.", "Serwer nie ma adresu."},
	{"The server did not answer.", "Serwer nie odpowiedział."},
	{"The server did not answer in time.", "Serwer nie odpowiedział na czas."},
	{"The server takes no connections on this port.", "Serwer nie przyjmuje połączeń na tym porcie."},
	{"The connection to the server broke.", "Połączenie z serwerem zostało zerwane."},
	{"The connection is not encrypted.", "Połączenie nie jest szyfrowane."},
	{"The server broke the connection off again and again.", "Serwer raz po raz zrywał połączenie."},
	{
		"The server answers, but too slowly: after %d seconds the test was given up.",
		"Serwer odpowiada, ale zbyt wolno: test przerwano po %d s.",
	},
	{
		"The server is too slow: what it was asked for did not come in time.",
		"Serwer jest zbyt wolny: to, o co został poproszony, nie przyszło na czas.",
	},
	{
		"The server is too slow: it was waited for %d minutes in all. The rest is left for the next visit.",
		"Serwer jest zbyt wolny: łączny czas oczekiwania to %d min. Resztę pobierzemy następnym razem.",
	},
	{"The test was stopped before it ended.", "Test przerwano przed końcem."},
	{"This host or port is not one that an account may name.", "Konto nie może wskazywać tego serwera lub portu."},
	{"This server is not one that an account may name.", "Konto nie może wskazywać tego serwera."},
	{"Port %d is not one that an account may name.", "Konto nie może wskazywać portu %d."},
	{"Unencrypted connections are not allowed here.", "Połączenia bez szyfrowania są tu niedozwolone."},
	{
		"This port seems to speak plaintext: it does not begin with TLS.",
		"Na tym porcie połączenie nie zaczyna się od TLS: wygląda na nieszyfrowane.",
	},
	{"The server did not finish the TLS handshake in time.", "Serwer nie zakończył na czas nawiązywania połączenia TLS."},
	{"The server ended the connection during the TLS handshake.", "Serwer zerwał połączenie podczas nawiązywania TLS."},
	{"The server refused the TLS handshake.", "Serwer odrzucił połączenie TLS."},
	{"The TLS handshake failed.", "Nie udało się nawiązać połączenia TLS."},
	{"The server offers only versions of TLS older than 1.2.", "Serwer oferuje tylko wersje TLS starsze niż 1.2."},
	{"The server's certificate comes from an unknown issuer.", "Certyfikat serwera wystawił nieznany urząd."},
	{
		"The server's certificate has expired or is not valid yet.",
		"Certyfikat serwera wygasł albo nie jest jeszcze ważny.",
	},
	{"The server's certificate is not valid.", "Certyfikat serwera jest nieprawidłowy."},
	{"The server's certificate was issued for another name.", "Certyfikat serwera wystawiono na inną nazwę."},
	{"The server does not offer STARTTLS.", "Serwer nie oferuje STARTTLS."},
	{
		"The server does not offer to encrypt the connection on this port (STLS).",
		"Serwer nie oferuje szyfrowania połączenia na tym porcie (STLS).",
	},
	{"This port does not speak POP3.", "Na tym porcie nie działa POP3."},
	{"This port speaks IMAP, not POP3.", "Na tym porcie działa IMAP, a nie POP3."},
	{
		"This port speaks POP3, not IMAP: choose POP3, or IMAP's own port.",
		"Na tym porcie działa POP3, a nie IMAP: wybierz POP3 albo właściwy port IMAP.",
	},
	{"What answers on this port is not an IMAP server.", "Na tym porcie nie odpowiada serwer IMAP."},
	{"The server's answer is not one of POP3.", "Odpowiedź serwera nie jest zgodna z POP3."},
	{"The server's answers cannot be used.", "Odpowiedzi serwera nie nadają się do użytku."},
	{"The server sent an answer that cannot be used.", "Serwer przysłał odpowiedź, która nie nadaje się do użytku."},

	// Folders and messages.
	{"By POP3 there is only the inbox.", "Przez POP3 jest dostępna tylko skrzynka odbiorcza."},
	{"The server does not list its folders.", "Serwer nie podaje listy folderów."},
	{"The server does not list all of its folders.", "Serwer nie podaje listy wszystkich folderów."},
	{
		"The server lists no folders, not even this one, which it had before.",
		"Serwer nie podaje żadnych folderów, nawet tego, który wcześniej miał.",
	},
	{
		"The server counts %d messages in folder %s and lists none.",
		"Liczba wiadomości według serwera: %d, folder: %s, a na jego liście nie ma żadnej.",
	},
	{
		"Folder %s was recreated on the server after it was listed.",
		"Folder %s utworzono na serwerze od nowa po odczytaniu listy.",
	},
	{"The folder has too many messages to be listed.", "W folderze jest za dużo wiadomości, by odczytać ich listę."},
	{"The folder has too many messages to be compared.", "W folderze jest za dużo wiadomości, by je porównać."},
	{
		"The account has more than %d messages that are not fetched yet.",
		"Na koncie jest ponad %d wiadomości, których jeszcze nie pobrano.",
	},
	{"More than %d messages of the account cannot be fetched.", "Nie można pobrać ponad %d wiadomości z tego konta."},
	{"The message is %s large; the limit is %s.", "Wiadomość ma rozmiar %s; limit to %s."},
	{
		"The message is larger than %s, the most that is fetched.",
		"Wiadomość jest większa niż %s, czyli największy pobierany rozmiar.",
	},
	{"The message is no longer there.", "Tej wiadomości już nie ma."},
	{"The server refuses to send this message.", "Serwer odmawia wysłania tej wiadomości."},
	{
		"The server breaks off the connection when it is asked for this message.",
		"Serwer zrywa połączenie, gdy prosimy o tę wiadomość.",
	},
	{"The server sends nothing instead of this message.", "Zamiast tej wiadomości serwer nie wysyła nic."},
	{
		"The server did not send this message, though it was asked for it three times.",
		"Serwer nie wysłał tej wiadomości, choć prosiliśmy o nią trzy razy.",
	},

	// Steps of a test that went well.
	{"1 folder", "Liczba folderów: 1"},
	{"%d folders", "Liczba folderów: %d"},
	{"1 address", "Liczba adresów: 1"},
	{"%d addresses", "Liczba adresów: %d"},

	// What failed, without its reason.
	{"folder %s", "folder %s"},
	{"a message in %s", "wiadomość w %s"},

	// Names of folders.
	{
		"This folder cannot be fetched: a part of its name is \".\" or \"..\".",
		"Tego folderu nie można pobrać: część jego nazwy to „.” lub „..”.",
	},
	{
		"This folder cannot be fetched: a part of its name is empty.",
		"Tego folderu nie można pobrać: część jego nazwy jest pusta.",
	},
	{
		"This folder cannot be fetched: its name holds a control character.",
		"Tego folderu nie można pobrać: jego nazwa zawiera znak sterujący.",
	},
	{
		"This folder cannot be fetched: its name holds a line break or NUL.",
		"Tego folderu nie można pobrać: jego nazwa zawiera podział wiersza lub znak NUL.",
	},
	{
		"This folder cannot be fetched: its name holds the account's password: rename the folder, or change the " +
			"password.",
		"Tego folderu nie można pobrać: jego nazwa zawiera hasło do konta. Zmień nazwę folderu albo hasło.",
	},
	{
		"This folder cannot be fetched: its name is longer than 1000 octets.",
		"Tego folderu nie można pobrać: jego nazwa jest dłuższa niż 1000 bajtów.",
	},
	{
		"This folder cannot be fetched: the server's answer about it cannot be read: %s.",
		"Tego folderu nie można pobrać: nie da się odczytać tego, co podaje o nim serwer: %s.",
	},
	{
		"This folder cannot be fetched: the server's answers about it and %d others cannot be read.",
		"Tego folderu nie można pobrać: nie da się odczytać tego, co serwer podaje o nim i o innych (ich liczba: %d).",
	},

	{"The message has no number (UID).", "Wiadomość nie ma numeru (UID)."},
	{"The message is larger (%s) than allowed (%s).", "Rozmiar wiadomości (%s) przekracza dozwolony (%s)."},
	{
		"As much was fetched within a day as the provider allows: %s.",
		"W ciągu doby pobrano tyle, na ile pozwala dostawca: %s.",
	},
	{
		"Folder %s cannot be fetched: the server gives its messages no lasting numbers (UIDVALIDITY).",
		"Nie można pobrać folderu %s: serwer nie nadaje wiadomościom trwałych numerów (UIDVALIDITY).",
	},
}
