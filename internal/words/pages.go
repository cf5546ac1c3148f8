package words

// Standing is said around each page that stands by itself: what the choice of the language
// is called, and the links at the foot.
var Standing = struct{ Language, Help, Privacy Phrase }{
	Language: Phrase{"Language", "Język"},
	Help:     Phrase{"Help", "Pomoc"},
	Privacy:  Phrase{"Privacy", "Prywatność"},
}

// ExpiredLink is said of a link that was used or has expired. In Still %s is the user.
var ExpiredLink = struct{ Title, Text, Here, SignIn, Still, Lead Phrase }{
	Title: Phrase{"This link does not work any more", "Ten link już nie działa"},
	Text: Phrase{
		"It was used already, or its time is over. Go back to your mail and open these pages from there once more.",
		"Został już użyty albo wygasł. Wróć do swojej poczty i otwórz tę stronę ponownie.",
	},
	Here: Phrase{
		"It was used already, or its time is over. Sign in here, or open these pages from your mail once more.",
		"Został już użyty albo wygasł. Zaloguj się tutaj albo otwórz tę stronę ponownie ze swojej poczty.",
	},
	SignIn: Phrase{"Sign in", "Zaloguj się"},
	Still: Phrase{
		"It was used already, or its time is over. You are still signed in as %s.",
		"Został już użyty albo wygasł. Nadal korzystasz z konta %s.",
	},
	Lead: Phrase{"Go to your external accounts", "Przejdź do swoich kont zewnętrznych"},
}

// LinkPage is said on the page with the button that follows a link. In OtherText the first user
// is the one whose link it is, the second the one who is signed in.
var LinkPage = struct{ Title, Text, Press, OtherTitle, Stay, OtherText Phrase }{
	Title: Phrase{"Sign in to your external accounts", "Logowanie do twoich kont zewnętrznych"},
	Text: Phrase{
		"This link signs you in as %s. Continue only if that is your own address: mail from the external " +
			"accounts that you add is delivered there.",
		"Ten link zaloguje cię jako %s. Kontynuuj tylko wtedy, gdy to twoja skrzynka: będzie do niej trafiać " +
			"poczta z kont, które dodasz.",
	},
	Press:      Phrase{"Sign in as %s", "Zaloguj się jako %s"},
	OtherTitle: Phrase{"Somebody else is signed in here", "W tej przeglądarce jest już zalogowana inna osoba"},
	Stay:       Phrase{"Stay signed in as %s", "Pozostań na koncie %s"},
	OtherText: Phrase{
		"In this browser %[2]s is signed in, and this link is for %[1]s. If you continue, %[2]s is signed out, " +
			"and mail from the external accounts that you add then is delivered to %[1]s.",
		"Jesteś na koncie %[2]s, a ten link prowadzi na konto %[1]s. Jeśli przejdziesz dalej, wylogujemy konto " +
			"%[2]s, a poczta z kont, które potem dodasz, będzie trafiać do %[1]s.",
	},
}

// What the page about a failed sign-in says in any case.
var (
	SignInFailedTitle = Phrase{"You are not signed in", "Nie udało się zalogować"}
	SignInFailedBack  = Phrase{"Try again", "Spróbuj ponownie"}
)

// SignInFailed says why nobody was signed in, by the reason that httpapi and oidc give.
var SignInFailed = map[string]Phrase{
	"unnamed": {
		"The sign-in service of your organisation did not say who you are. Sign in there first. If you have done " +
			"so, tell your administrator.",
		"Nie otrzymaliśmy twojego adresu od usługi logowania. Zaloguj się w niej i spróbuj ponownie. Jeśli to " +
			"nie pomoże, skontaktuj się z administratorem.",
	},
	"over": {
		"This sign-in was not begun in this browser, took longer than ten minutes, or was finished already.",
		"To logowanie nie zaczęło się w tej przeglądarce, trwało dłużej niż dziesięć minut albo zostało już zakończone.",
	},
	"denied": {
		"The sign-in service did not let you in. If you did not cancel it yourself, ask your administrator " +
			"whether you may use these pages.",
		"Usługa logowania nie wpuściła cię. Jeśli logowanie nie zostało przerwane przez ciebie, zapytaj " +
			"administratora, czy możesz korzystać z tych stron.",
	},
	"address": {
		"The sign-in service did not tell your mailbox address, or has not verified it. Tell your administrator.",
		"Usługa logowania nie podała adresu twojej skrzynki albo go nie potwierdziła. Powiadom administratora.",
	},
	"false": {
		"The sign-in service answered in a way that cannot be trusted. Try again; if that does not help, tell " +
			"your administrator.",
		"Odpowiedzi usługi logowania nie można zaufać. Spróbuj ponownie; jeśli to nie pomoże, powiadom administratora.",
	},
	"setup": {
		"The sign-in service and these pages do not agree on how to sign in. Tell your administrator.",
		"Usługa logowania i te strony nie są ze sobą uzgodnione. Powiadom administratora.",
	},
	"former": {
		"This address is another person's by now. If it is yours, tell your administrator.",
		"Ta skrzynka należy już do kogoś innego. Jeśli jest twoja, powiadom administratora.",
	},
	"unopened": {
		"Signing in begins when you open this page yourself: not from within another page, and not ahead.",
		"Logowanie zaczyna się dopiero, gdy tę stronę otworzysz samodzielnie: nie wewnątrz innej strony i nie z " +
			"wyprzedzeniem.",
	},
	"often": {
		"You have signed in too often within a short time. Wait a moment and try again.",
		"W krótkim czasie było zbyt wiele logowań. Poczekaj chwilę i spróbuj ponownie.",
	},
	"away": {
		"The sign-in service does not answer at the moment. Nothing is lost: your mail is fetched all the same. " +
			"Try again in a minute.",
		"Usługa logowania w tej chwili nie odpowiada. Nic nie przepadło: poczta jest pobierana jak zwykle. " +
			"Spróbuj ponownie za minutę.",
	},
	"busy": {
		"Too many people are signing in at the moment. Try again in a minute.",
		"W tej chwili loguje się zbyt wiele osób. Spróbuj ponownie za minutę.",
	},
	"held": {
		"Too many sign-ins from your network have failed. Wait a quarter of an hour, then try again.",
		"Z twojej sieci było zbyt wiele nieudanych logowań. Odczekaj kwadrans i spróbuj ponownie.",
	},
}

// What it says where the sign-in was at a provider of external accounts.
var (
	ProviderSignInFailedTitle = Phrase{"You are not signed in there", "Nie udało się zalogować u dostawcy"}
	ProviderSignInFailedBack  = Phrase{"Go back and try again", "Wróć i spróbuj ponownie"}
)

// ProviderSignInFailed says why signing in on a provider's page failed, by the reason.
var ProviderSignInFailed = map[string]Phrase{
	"over": {
		"This sign-in was not begun in this browser, took longer than ten minutes, or was finished already. " +
			"Begin again.",
		"To logowanie nie zaczęło się w tej przeglądarce, trwało dłużej niż dziesięć minut albo zostało już " +
			"zakończone. Zacznij od nowa.",
	},
	"denied": {
		"You did not allow access at the provider. Nothing was changed.",
		"Nie udzielono dostępu u dostawcy. Niczego nie zmieniono.",
	},
	"refused": {"The provider did not let you in and gives the reason: ", "Dostawca odmówił, podając powód: "},
	"brief": {
		"The provider gave permission for an hour only, not for fetching mail later. Begin again; if that does " +
			"not help, tell your administrator.",
		"Dostawca zezwolił na dostęp tylko na godzinę, a nie na późniejsze pobieranie poczty. Zacznij od nowa; " +
			"jeśli to nie pomoże, powiadom administratora.",
	},
	"unreachable": {
		"The provider's sign-in service does not answer as it should. Try again in a few minutes.",
		"Usługa logowania dostawcy nie odpowiada tak, jak powinna. Spróbuj ponownie za kilka minut.",
	},
}

// NotFoundPage is said where there is no page.
var NotFoundPage = struct{ Title, Back Phrase }{
	Title: Phrase{"There is no such page", "Nie ma takiej strony"},
	Back:  Phrase{"Go to your accounts", "Przejdź do swoich kont"},
}
