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
	{"It was changed meanwhile", "W międzyczasie coś zmieniono"},
	{"Not ready", "Usługa nie jest gotowa"},
	{"Signing in is not possible now", "Logowanie jest teraz niemożliwe"},
	{"Some fields cannot be accepted", "Niektórych pól nie można przyjąć"},
	{"Something went wrong on our side", "Coś poszło źle po naszej stronie"},
	{"The account was changed meanwhile", "Konto zmieniono w międzyczasie"},
	{"The address has no such method", "Ten adres nie obsługuje tej metody"},
	{"The body is of another type", "Treść żądania jest innego typu"},
	{"The body is too large", "Treść żądania jest za duża"},
	{"The connection test failed", "Test połączenia się nie powiódł"},
	{"The folder is taken", "Folder jest zajęty"},
	{"The idempotency key is taken", "Ten klucz Idempotency-Key jest już zajęty"},
	{"The limit of external accounts is reached", "Osiągnięto limit kont zewnętrznych"},
	{"The mailbox is not available now", "Skrzynka jest teraz niedostępna"},
	{"The request cannot be understood", "Nie można zrozumieć żądania"},
	{"The same request is under way", "To samo żądanie jest w toku"},
	{"The sign-in was for another mailbox", "Zalogowano się do innej skrzynki"},
	{"There is nothing here", "Nic tu nie ma"},
	{"This external account was added already", "To konto zewnętrzne jest już dodane"},
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
		"another of your accounts already has this name: choose a different one",
		"inne z twoich kont ma już tę nazwę: wybierz inną",
	},
	{"check the address and the id", "sprawdź adres i identyfikator"},
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
		"must be a path on this server, such as /accounts/new",
		"podaj ścieżkę na tym serwerze, na przykład /accounts/new",
	},
	{"must be all, new, or between 1 and %d days", "podaj all, new albo od 1 do %d dni"},
	{"must be at least %d seconds", "podaj co najmniej %d s"},
	{"must be between %d and %d", "podaj liczbę od %d do %d"},
	{"must be imap or pop3", "wybierz imap albo pop3"},
	{
		"must be left out where oauth_grant is given: an account has one or the other",
		"nie podawaj razem z oauth_grant: konto używa jednego albo drugiego",
	},
	{"must be left out where user is given", "nie podawaj razem z user"},
	{"must be a time such as 2026-11-29T08:00:00Z", "podaj czas, na przykład 2026-11-29T08:00:00Z"},
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
	{"must be set where a limit is given", "gdy podajesz limit, musi to być set"},
	{
		"must be the 43 characters that the pages are given after #grant=",
		"podaj 43 znaki, które strona dostaje po #grant=",
	},
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
	{"must have a domain after the @, such as example.org", "po znaku @ podaj domenę, na przykład example.org"},
	{"must have a character that can be seen", "wpisz co najmniej jeden widoczny znak"},
	{"must not be empty", "wypełnij to pole"},
	{"must not be longer than %d bytes", "za długie: skróć do %d bajtów"},
	{"must not be longer than %d characters", "za długie: skróć do %d znaków"},
	{"must not be longer than a week, which is %d seconds", "podaj najwyżej tydzień, czyli %d s"},
	{"must not be null: leave it out or give a value", "nie może być null: pomiń to pole albo podaj wartość"},
	{"must not be shorter than %d characters", "za krótkie: uzupełnij do co najmniej %d znaków"},
	{"must not start or end with a space", "usuń spację z początku lub końca"},
	{"must not contain control characters or line breaks", "usuń znaki sterujące i podziały wierszy"},
	{
		"must not contain invisible characters: type it instead of pasting it",
		"są tu niewidoczne znaki: wpisz to ręcznie, zamiast wklejać",
	},
	{"must not have more than %d entries", "za dużo wpisów: ogranicz ich liczbę do %d"},
	{"must not name a limit that is given too", "nie wymieniaj tu limitu, który podajesz"},
	{"nothing was saved: see the diagnosis", "niczego nie zapisano: przeczytaj diagnozę"},
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
	{"something follows the JSON value", "po wartości JSON jest coś jeszcze"},
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
	{"the keys of the tokens' issuer cannot be had now", "klucze wystawcy tokenów są teraz nieosiągalne"},
	{
		"the limit of external accounts is reached: delete one to add another",
		"osiągnięto limit kont zewnętrznych: usuń jedno, aby dodać następne",
	},
	{"the log has the reason", "przyczyna jest w dzienniku serwera"},
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
	{"there is no such account", "nie ma takiego konta"},
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
