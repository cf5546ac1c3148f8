package words

import (
	"slices"
	"sync"
)

// Translate says a sentence in a person's language. One that is not known in it is
// said in English.
func Translate(s Sentence, lang Language) string {
	if w, known := byFormat()[s.Format]; known {
		return s.In(w.In(lang))
	}
	return s.Error()
}

// byFormat are the phrases of all sentences by what they are in English.
var byFormat = sync.OnceValue(func() map[string]Phrase {
	all := map[string]Phrase{}
	for _, w := range slices.Concat(sentences, details, serverDetails) {
		all[w.En] = w
	}
	return all
})

// sentences are what people read about their requests, in the order of the
// alphabet. Numbers come where no word must agree with them.
var sentences = []Phrase{
	{"%s does not offer %s: choose the other protocol", "%s nie oferuje %s: wybierz drugi protokół"},
	{
		"%s takes no password: sign in on its own page if that is offered, or have its mail forwarded to your mailbox",
		"%s nie przyjmuje hasła: zaloguj się na stronie dostawcy, jeśli jest to możliwe, albo " +
			"włącz u niego przekazywanie poczty do swojej skrzynki",
	},
	{"A valid bearer token is needed", "Potrzebny jest ważny token (Bearer)"},
	{"An account may not name this server", "Tego serwera nie można użyć w koncie"},
	{"Another account already has this name", "Inne konto ma już tę nazwę"},
	{"Copies are switched off here", "Kopiowanie skrzynek jest tu wyłączone"},
	{"It was changed meanwhile", "W międzyczasie coś zmieniono"},
	{"Not ready", "Usługa nie jest gotowa"},
	{"Signing in is not possible now", "Logowanie jest teraz niemożliwe"},
	{"Some fields cannot be accepted", "Niektórych pól nie można przyjąć"},
	{"Something went wrong on our side", "Coś poszło źle po naszej stronie"},
	{"Source and target are one mailbox", "Źródło i cel to ta sama skrzynka"},
	{"The account was changed meanwhile", "Konto zmieniono w międzyczasie"},
	{"The address has no such method", "Ten adres nie obsługuje tej metody"},
	{"The body is of another type", "Treść żądania jest innego typu"},
	{"The body is too large", "Treść żądania jest za duża"},
	{"The connection test failed", "Test połączenia się nie powiódł"},
	{"The copy has ended", "Kopiowanie jest zakończone"},
	{"The copy has not ended", "Kopiowanie jeszcze się nie skończyło"},
	{"The copy was changed meanwhile", "Ustawienia kopiowania zmieniono w międzyczasie"},
	{"The folder is taken", "Folder jest zajęty"},
	{"The idempotency key is taken", "Ten klucz Idempotency-Key jest już zajęty"},
	{"The limit of copies is reached", "Osiągnięto limit kopiowanych skrzynek"},
	{"The limit of external accounts is reached", "Osiągnięto limit kont zewnętrznych"},
	{"The mailbox is not available now", "Skrzynka jest teraz niedostępna"},
	{"The passwords were erased", "Hasła zostały usunięte"},
	{"The request cannot be understood", "Nie można zrozumieć żądania"},
	{"The same request is under way", "To samo żądanie jest w toku"},
	{"The sign-in was for another mailbox", "Zalogowano się do innej skrzynki"},
	{"The target cannot be written", "W skrzynce docelowej nie można nic zapisać"},
	{"The target is full", "Skrzynka docelowa jest pełna"},
	{"There is no report yet", "Nie ma jeszcze raportu"},
	{"There is nothing here", "Nic tu nie ma"},
	{"This external account was added already", "To konto zewnętrzne jest już dodane"},
	{"This is being copied already", "To kopiowanie już trwa"},
	{"This is not allowed", "To nie jest dozwolone"},
	{ // And the detail of a diagnosis.
		"Too many logins at this mailbox failed lately; nothing is tried there until some time has passed.",
		"Ostatnio było zbyt wiele nieudanych logowań do tej skrzynki; przez pewien czas nie będziemy próbować ponownie.",
	},
	{"Too many requests", "Zbyt wiele żądań"},
	{"You are not signed in", "Nie udało się zalogować"},
	{"a body in JSON is needed", "potrzebna jest treść w formacie JSON"},
	{"a check failed", "jedno ze sprawdzeń się nie powiodło"},
	{
		"a copy of this mailbox is paused since %s: let it continue, or cancel it",
		"kopiowanie tej skrzynki jest wstrzymane od %s: wznów je albo anuluj",
	},
	{
		"a copy of this mailbox is running since %s: see how it is, or cancel it",
		"kopiowanie tej skrzynki trwa od %s: sprawdź, jak przebiega, albo je anuluj",
	},
	{
		"a copy of this mailbox is waiting since %s: see how it is, or cancel it",
		"kopiowanie tej skrzynki czeka od %s: sprawdź, jak przebiega, albo je anuluj",
	},
	{
		"a copy of this mailbox is waiting to begin since %s: see how it is, or cancel it",
		"kopiowanie tej skrzynki czeka na rozpoczęcie od %s: sprawdź, jak przebiega, albo je anuluj",
	},
	{
		"a copy of this mailbox needs your attention since %s: see what it says, or cancel it",
		"kopiowanie tej skrzynki wymaga twojej uwagi od %s: sprawdź, o co chodzi, albo je anuluj",
	},
	{
		"a folder's name is no path: leave out the parts that are only dots",
		"podaj nazwę folderu, a nie ścieżkę: usuń części złożone z samych kropek",
	},
	{"a parameter cannot be read", "nie można odczytać jednego z parametrów"},
	{
		"a part of the folder's name is empty: leave out the slash there",
		"część nazwy folderu jest pusta: usuń zbędny ukośnik",
	},
	{
		"a request of this Idempotency-Key is under way: ask again in a few seconds",
		"żądanie z tym Idempotency-Key jest w toku: zapytaj ponownie za kilka sekund",
	},
	{
		"another copy writes into this target since %s: wait until it has ended, or cancel it",
		"do tej skrzynki docelowej od %s trafia już inna kopia: poczekaj, aż się skończy, albo ją anuluj",
	},
	{
		"another of your accounts already has this name: choose a different one",
		"inne z twoich kont ma już tę nazwę: wybierz inną",
	},
	{"check the address and the id", "sprawdź adres i identyfikator"},
	{"copies are switched off here", "kopiowanie skrzynek jest tu wyłączone: zapytaj administratora"},
	{
		"enter the password again when the server, its encryption or the user name changes",
		"podaj hasło jeszcze raz, gdy zmienia się serwer, szyfrowanie lub nazwa użytkownika",
	},
	{
		"every mailbox has a folder of this name, for mail of your own: choose another name",
		"taki folder jest już w każdej skrzynce, na jej własną pocztę: wybierz inną nazwę",
	},
	{"for administrators only", "tylko dla administratorów"},
	{
		"holds a replacement character or half a surrogate pair: enter the text again",
		"tekst jest uszkodzony (znak zastępczy lub połowa pary zastępczej): wpisz go jeszcze raz",
	},
	{"is given twice", "podano dwa razy: zostaw jedno wystąpienie"},
	{"is needed", "to pole jest wymagane: podaj wartość"},
	{"is needed unless protocol is local", "to pole jest wymagane, chyba że protocol to local"},
	{"is needed where no account_id is given", "to pole jest wymagane, gdy nie podano account_id"},
	{
		"is not a member of this request: leave it out, or check its spelling",
		"tego pola nie ma w tym żądaniu: usuń je albo sprawdź pisownię",
	},
	{
		"is not a parameter of this call: leave it out, or check its spelling",
		"to wywołanie nie ma takiego parametru: usuń go albo sprawdź pisownię",
	},
	{"is not honoured by this call: leave it out", "nie działa w tym wywołaniu: pomiń ten nagłówek"},
	{
		"is not known for this address: give the server's name",
		"dla tego adresu nie znamy serwera: podaj jego nazwę",
	},
	{
		"is not there any more: sign in again on the provider's page",
		"to logowanie już wygasło: zaloguj się jeszcze raz na stronie dostawcy",
	},
	{"is not what this call takes: see /openapi.yaml", "tego wywołanie nie przyjmuje: zobacz /openapi.yaml"},
	{
		"is set by Mailbrook and cannot be written: leave it out",
		"to pole ustawia Mailbrook i nie można go zmienić: usuń je",
	},
	{
		`must be "all", "new", or days from 1 to 36500, such as {"days": 30}`,
		`podaj "all", "new" albo liczbę dni od 1 do 36500, na przykład {"days": 30}`,
	},
	{"it was changed meanwhile: load it again", "w międzyczasie coś zmieniono: wczytaj dane ponownie"},
	{
		"must be * or entity tags in quotes, as the header ETag has them",
		"podaj * albo znaczniki w cudzysłowie, takie jak w nagłówku ETag",
	},
	{
		"must be 1 to 255 visible characters of ASCII, in quotes or without",
		"podaj od 1 do 255 widocznych znaków ASCII, w cudzysłowie lub bez",
	},
	{
		"must be a full mailbox address, such as anna@example.org",
		"podaj pełny adres skrzynki, na przykład anna@example.org",
	},
	{
		"must be a mailbox at a server: name its address and server, also where it is your own",
		"musi to być skrzynka na serwerze: podaj jej adres i serwer, także gdy jest twoja własna",
	},
	{
		"must be a path on this server, such as /accounts/new",
		"podaj ścieżkę na tym serwerze, na przykład /accounts/new",
	},
	{"must be all, new, or between 1 and %d days", "podaj all, new albo od 1 do %d dni"},
	{"must be at least %d seconds", "podaj co najmniej %d s"},
	{"must be between %d and %d", "podaj liczbę od %d do %d"},
	{"must be earlier than options.before", "musi być wcześniej niż options.before"},
	{"must be imap or pop3", "wybierz imap albo pop3"},
	{"must be imap: nothing can be written by POP3", "musi to być imap: przez POP3 niczego nie można zapisać"},
	{"must be left out for POP3, which says no dates", "trzeba to pominąć przy POP3, które nie podaje dat"},
	{
		"must be left out where oauth_grant is given: an account has one or the other",
		"nie podawaj razem z oauth_grant: konto używa jednego albo drugiego",
	},
	{"must be left out where grant is given", "nie podawaj razem z grant: wystarczy jedno albo drugie"},
	{"must be left out where protocol is local", "nie podawaj, gdy protocol to local: to twoja własna skrzynka"},
	{"must be left out where user is given", "nie podawaj razem z user"},
	{"must be a time such as 2026-11-29T08:00:00Z", "podaj czas, na przykład 2026-11-29T08:00:00Z"},
	{
		"must be left out: the report goes into the new mailbox alone",
		"trzeba to pominąć: raport trafia tylko do nowej skrzynki",
	},
	{
		"must be left out: this copy goes into your own mailbox",
		"trzeba to pominąć: ta kopia trafia do twojej własnej skrzynki",
	},
	{
		"must be next_cursor of the page before, with the other parameters unchanged",
		"podaj next_cursor z poprzedniej strony, bez zmiany pozostałych parametrów",
	},
	{"must be of type %s", "podaj wartość typu %s"},
	{"must be of type array", "podaj listę"},
	{"must be of type boolean", "podaj true albo false"},
	{"must be of type integer", "podaj liczbę całkowitą"},
	{"must be of type number", "podaj liczbę"},
	{"must be of type object", "podaj obiekt"},
	{"must be of type string", "podaj tekst"},
	{"must be one of %s", "podaj jedną z wartości: %s"},
	{
		"must be one of %s's own servers after signing in there",
		"po zalogowaniu na stronie %s podaj jeden z własnych serwerów tego dostawcy",
	},
	{"must be one of %s, with a - before it or not", "podaj jedną z wartości: %s, poprzedzoną znakiem - lub nie"},
	{"must be one of: %s", "musi to być jedno z: %s"},
	{"must be set where a limit is given", "gdy podajesz limit, musi to być set"},
	{
		"must be the 43 characters that the pages are given after #grant=",
		"podaj 43 znaki, które strona dostaje po #grant=",
	},
	{"must be the code as it was shown at the start", "podaj kod, który pojawił się po uruchomieniu kopiowania"},
	{
		"must be the id of a preset, as GET /v1/providers has it, such as google",
		"podaj identyfikator dostawcy z GET /v1/providers, na przykład google",
	},
	{"must be the id of an account, as GET /v1/accounts has it", "podaj identyfikator konta z GET /v1/accounts"},
	{
		"must be the name or the address of a server and nothing else, such as imap.example.org",
		"podaj samą nazwę lub adres serwera, na przykład imap.example.org",
	},
	{
		"must be tls or starttls after signing in on a provider's page",
		"po zalogowaniu na stronie dostawcy wybierz tls albo starttls",
	},
	{"must be tls, starttls or none", "wybierz tls, starttls albo none"},
	{"must be written as a plain number", "zapisz to jako zwykłą liczbę, na przykład 1000"},
	{
		"must be your own mailbox here, unless that is what is copied",
		"musi to być twoja własna skrzynka, chyba że to ona jest kopiowana",
	},
	{"must have a domain after the @, such as example.org", "po znaku @ podaj domenę, na przykład example.org"},
	{"must have a character that can be seen", "wpisz co najmniej jeden widoczny znak"},
	{"must not be empty", "wypełnij to pole"},
	{"must not be longer than %d bytes", "za długie: skróć do %d bajtów"},
	{"must not be longer than %d characters", "za długie: skróć do %d znaków"},
	{"must not be longer than a week, which is %d seconds", "podaj najwyżej tydzień, czyli %d s"},
	{"must not be negative: 0 sets no limit", "nie może być ujemne: 0 oznacza brak limitu"},
	{"must not be null: leave it out or give a value", "nie może być null: pomiń to pole albo podaj wartość"},
	{"must not be shorter than %d characters", "za krótkie: uzupełnij do co najmniej %d znaków"},
	{"must not start or end with a space", "usuń spację z początku lub końca"},
	{"must not contain control characters or line breaks", "usuń znaki sterujące i podziały wierszy"},
	{
		"must not contain invisible characters: type it instead of pasting it",
		"są tu niewidoczne znaki: wpisz to ręcznie, zamiast wklejać",
	},
	{"must not have more than 1,000 entries", "za dużo wpisów: ogranicz ich liczbę do 1000"},
	{"must not have more than %d entries", "za dużo wpisów: ogranicz ich liczbę do %d"},
	{"must not name a limit that is given too", "nie wymieniaj tu limitu, który podajesz"},
	{
		"%s and %s would both become %s: choose another name for one of them",
		"foldery %s i %s miałyby tę samą nazwę %s: zmień jedną z nich",
	},
	{
		"a part of the new name of %s is empty: leave out the slash there",
		"w nowej nazwie folderu %s jest pusta część: usuń zbędny ukośnik",
	},
	{"must not have more than %d levels", "za dużo poziomów: ogranicz ich liczbę do %d"},
	{
		"only the first part of a name can be INBOX: it is the inbox",
		"INBOX oznacza skrzynkę odbiorczą i może stać tylko na początku nazwy",
	},
	{
		"only the first part of the new name of %s can be INBOX: it is the inbox",
		"nowa nazwa folderu %s: INBOX oznacza skrzynkę odbiorczą i może stać tylko na początku",
	},
	{
		"the new name of %s is no path: leave out the parts that are only dots",
		"w nowej nazwie folderu %s usuń części złożone z samych kropek",
	},
	{
		"the new name of %s is too long for the target: it takes %d bytes in all, and %d in a part",
		"nowa nazwa folderu %s jest za długa dla skrzynki docelowej: cała może mieć %d bajtów, a jedna część %d",
	},
	{
		"the new name of %s must not contain control characters or line breaks",
		"usuń znaki sterujące i podziały wierszy z nowej nazwy folderu %s",
	},
	{
		"the new name of %s must not have more than %d levels",
		"nowa nazwa folderu %s ma za dużo poziomów: może ich być najwyżej %d",
	},
	{"the source has no folder %s", "w skrzynce źródłowej nie ma folderu %s"},
	{
		"the source has two folders %s, and only one of them can be meant",
		"w skrzynce źródłowej są dwa foldery %s, a wskazać można tylko jeden",
	},
	{
		"the target takes no folders below its inbox: choose another name",
		"skrzynka docelowa nie pozwala tworzyć folderów wewnątrz odbiorczej: wybierz inną nazwę",
	},
	{
		"the target takes no folders below its inbox: choose another name for %s",
		"skrzynka docelowa nie pozwala tworzyć folderów wewnątrz odbiorczej: wybierz inną nazwę dla folderu %s",
	},
	{
		"this service needs folders of such names for itself: choose another name",
		"folderów o takich nazwach używa sama usługa: wybierz inną nazwę",
	},
	{
		"this service needs folders of such names for itself: choose another name for %s",
		"folderów o takich nazwach używa sama usługa: wybierz inną nazwę dla folderu %s",
	},
	{"nothing was saved: see the diagnosis", "niczego nie zapisano: przeczytaj diagnozę"},
	{"nothing may be written into the target mailbox", "skrzynka docelowa nie pozwala nic zapisać: wybierz inną"},
	{"see the header Allow", "zobacz nagłówek Allow"},
	{
		"send the header Authorization with the word Bearer and a valid token",
		"wyślij nagłówek Authorization ze słowem Bearer i ważnym tokenem",
	},
	{"sign in again on the provider's page", "zaloguj się jeszcze raz na stronie dostawcy"},
	{
		"sign in again on the provider's page when the user name changes",
		"po zmianie nazwy użytkownika zaloguj się jeszcze raz na stronie dostawcy",
	},
	{
		"somebody else's copy writes into this target: wait until it has ended",
		"do tej skrzynki docelowej trafia już kopia innej osoby: poczekaj, aż się skończy",
	},
	{"something follows the JSON value", "po wartości JSON jest coś jeszcze"},
	{"source and target are the same mailbox", "źródło i cel to ta sama skrzynka: wybierz inną skrzynkę docelową"},
	{"the account was changed meanwhile: load it again", "konto zmieniono w międzyczasie: wczytaj je ponownie"},
	{
		"the address or the password is wrong: enter both again",
		"błędny adres lub błędne hasło: wpisz je jeszcze raz",
	},
	{"the body could not be read", "nie udało się odczytać treści żądania"},
	{"the body is larger than 65536 bytes", "treść żądania ma więcej niż 65536 bajtów"},
	{"the body is nested deeper than %d", "zagnieżdżenie treści jest głębsze niż %d"},
	{"the body is not JSON", "treść nie jest w formacie JSON"},
	{"the body is not JSON: it ends too early", "treść nie jest w formacie JSON: urywa się za wcześnie"},
	{"the body is not JSON: see byte %d", "treść nie jest w formacie JSON: zobacz bajt %d"},
	{"the body is not UTF-8", "treść nie jest w UTF-8"},
	{
		"the body must be application/json in UTF-8, not encoded",
		"treść musi być typu application/json, w UTF-8, bez kodowania (Content-Encoding)",
	},
	{
		"the copy has ended: there is nothing to pause, to continue or to cancel",
		"kopiowanie jest zakończone: nie ma czego wstrzymać, wznowić ani anulować",
	},
	{
		"the copy has not ended: wait for it, or cancel it first",
		"kopiowanie jeszcze się nie skończyło: poczekaj albo najpierw je anuluj",
	},
	{"the copy has nothing to report yet", "nie ma jeszcze czego pokazać w raporcie: zajrzyj tu później"},
	{
		"the copy was changed meanwhile: load it again",
		"ustawienia kopiowania zmieniono w międzyczasie: wczytaj je ponownie",
	},
	{"the keys of the tokens' issuer cannot be had now", "klucze wystawcy tokenów są teraz nieosiągalne"},
	{
		"the limit of external accounts is reached: delete one to add another",
		"osiągnięto limit kont zewnętrznych: usuń jedno, aby dodać następne",
	},
	{
		"the limit of unfinished copies is reached: wait for one to end, or cancel it",
		"osiągnięto limit niezakończonych kopii: poczekaj, aż jedna się skończy, albo ją anuluj",
	},
	{"the log has the reason", "przyczyna jest w dzienniku serwera"},
	{
		"the passwords of this copy were erased: enter them again",
		"hasła do tego kopiowania zostały usunięte: podaj je jeszcze raz",
	},
	{"the query is not encoded as it should be", "parametry w adresie są źle zakodowane"},
	{
		"the mail server cannot check passwords now: try again in a minute",
		"serwer poczty nie może teraz sprawdzić hasła: spróbuj ponownie za minutę",
	},
	{
		"the request has members or parameters that are unknown or of the wrong type",
		"w żądaniu są pola lub parametry nieznane albo niewłaściwego typu",
	},
	{
		"the saved password cannot be read any more: enter it again",
		"zapisanego hasła nie da się już odczytać: podaj je jeszcze raz",
	},
	{
		"the sign-in was for %s, and this account is for %s: confirm it, change the address, or sign in again",
		"zalogowano się jako %s, a to konto jest dla %s: potwierdź to, zmień adres albo zaloguj się jeszcze raz",
	},
	{"the target mailbox is full", "skrzynka docelowa jest pełna: zwolnij w niej miejsce"},
	{"there is no such account", "nie ma takiego konta"},
	{"there is no such copy", "nie ma takiego kopiowania"},
	{
		"there is no such provider: see GET /v1/providers, or leave it out",
		"nie ma takiego dostawcy: zobacz GET /v1/providers albo pomiń to pole",
	},
	{
		"this Idempotency-Key was sent with another body: take a new one for a new request",
		"ten Idempotency-Key przysłano już z inną treścią: dla nowego żądania użyj nowego klucza",
	},
	{
		"this external account was added already: edit that one instead",
		"to konto zewnętrzne jest już dodane: edytuj je, zamiast dodawać drugi raz",
	},
	{"this folder is taken: choose another name for it", "ten folder jest zajęty: wybierz inną nazwę"},
	{
		"this is your own mailbox: it cannot be fetched into itself",
		"to twoja własna skrzynka: nie można pobierać poczty z niej do niej samej",
	},
	{
		"this port is not allowed here: choose 993 or 143 for IMAP, 995 or 110 for POP3",
		"ten port jest tu niedozwolony: wybierz 993 lub 143 dla IMAP, 995 lub 110 dla POP3",
	},
	{
		"this server is not one that an account may name: enter the public name of the provider's mail server",
		"konto nie może wskazywać tego serwera: podaj publiczną nazwę serwera poczty dostawcy",
	},
	{
		"too many attempts to sign in failed: nothing is tried for %d s",
		"zbyt wiele nieudanych prób logowania: kolejną można podjąć za %d s",
	},
	{
		"too many connection tests at once: wait until the others have ended",
		"zbyt wiele testów połączenia naraz: poczekaj, aż skończą się pozostałe",
	},
	{"too many connection tests: wait for %d s", "zbyt wiele testów połączenia: odczekaj %d s"},
	{"too many requests: wait for %d s", "zbyt wiele żądań: odczekaj %d s"},
	{"you have signed in too often: wait for %d s", "zbyt wiele logowań: odczekaj %d s"},
	{
		"send the body with Content-Length and not in chunks",
		"prześlij treść z nagłówkiem Content-Length, a nie we fragmentach",
	},
	{
		"too many streams of events at once: close some of the pages",
		"zbyt wiele otwartych strumieni zdarzeń: zamknij część stron",
	},
	{
		"the user's visits are still ending; the removal then continues by itself",
		"trwa jeszcze pobieranie poczty tego użytkownika; potem usuwanie dokończy się samo",
	},
	{
		"the user is being removed; the address is free when that is done",
		"użytkownik jest właśnie usuwany; adres będzie wolny po zakończeniu",
	},
	{"try again in a few seconds", "spróbuj ponownie za kilka sekund"},
	{"try again later", "spróbuj ponownie później"},
	{
		"no password that is saved opens this mailbox: an administrator can save the right one",
		"żadne zapisane hasło nie otwiera tej skrzynki: administrator może zapisać właściwe",
	},
	{
		"unencrypted connections are not allowed here: choose tls or starttls",
		"połączenia bez szyfrowania są tu niedozwolone: wybierz tls albo starttls",
	},
	{
		"with a cookie, only pages of the same origin may call, with the header X-Mailbrook: 1",
		"żądania z plikiem cookie przyjmujemy tylko ze stron tego samego pochodzenia, z nagłówkiem X-Mailbrook: 1",
	},
}
