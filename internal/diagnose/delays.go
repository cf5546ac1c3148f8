package diagnose

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
)

// Help is the one thing that a person can do about a delay.
type Help string

// What helps.
const (
	Nothing  Help = ""         // It passes by itself, or somebody else has to act.
	Fetch    Help = "fetch"    // Have it visited now.
	Resume   Help = "resume"   // Switch it on.
	SignIn   Help = "sign_in"  // Enter the password, or sign in at the provider, again.
	Server   Help = "server"   // Check the server's name, port and encryption.
	Settings Help = "settings" // Change another setting, as the advice says.
	Space    Help = "space"    // Make room in the own mailbox.
)

// Delay is what keeps an account's mail away, in words.
type Delay struct {
	Title    string // One line, without a full stop.
	Evidence string // What shows it.
	Advice   string // What to do, or that there is nothing to do.
	Help     Help
}

// delayText is what is said of a kind of delay.
type delayText struct{ title, evidence, advice phrase }

// delayTexts say what each kind means. {host} is filled in, {why} is the title
// of the diagnosis, and {n} how many visits in a row have failed.
var delayTexts = map[account.DelayKind]delayText{
	account.DelayPaused: {
		phrase{"Fetching is switched off", "Pobieranie jest wstrzymane"},
		phrase{"It was switched off in this account's settings.", "Wstrzymano je w ustawieniach tego konta."},
		phrase{"Switch it on: everything that came meanwhile is then fetched.", "Wznów je: wszystko, co przyszło w " +
			"międzyczasie, zostanie wtedy pobrane."},
	},
	account.DelayMaintenance: {
		phrase{"Your administrator has paused fetching", "Administrator wstrzymał pobieranie"},
		phrase{"It was switched off by an administrator, as for maintenance.", "Wyłączył je administrator, na przykład na " +
			"czas prac konserwacyjnych."},
		phrase{"There is nothing for you to do. ", "Nie musisz nic robić. "}.then(whenOn.en, whenOn.pl).then(
			" If it takes long, ask your administrator.", " Jeśli to długo trwa, zapytaj administratora.",
		),
	},
	account.DelayBackoff: {
		phrase{"It will be tried again", "Będzie kolejna próba"},
		phrase{"{n}: {why}.", "{n}: {why}."},
		phrase{}, // That of the diagnosis.
	},
	account.DelayAttention: {
		phrase{"It waits for you", "Konto czeka na ciebie"},
		phrase{"{n}: {why}. Trying again by itself would not help.", "{n}: {why}. Kolejne próby nic by nie dały."},
		phrase{},
	},
	account.DelayQuota: {
		phrase{"Your own mailbox is full", "Twoja własna skrzynka jest pełna"},
		phrase{"At the last fetch there was no room left in it.", "Podczas ostatniego pobierania nie było w niej już " +
			"miejsca."},
		phrase{},
	},
	account.DelayOutage: {
		phrase{"The provider's server is out of order", "Serwer dostawcy nie działa"},
		severalFailed.then(" It is not your account.", " To nie wina twojego konta."),
		phrase{
			"There is nothing for you to do: we keep trying, and everything is fetched as soon as the server answers.",
			"Nie musisz nic robić: próbujemy dalej i wszystko zostanie pobrane, gdy tylko serwer odpowie.",
		},
	},
	account.DelayInterval: {
		phrase{
			"The provider allows one fetch every {minutes} minutes",
			"Dostawca pozwala pobierać pocztę najwyżej co {minutes} min",
		},
		phrase{
			"This account is set to a shorter interval, but {host} may lock out programs that come more often.",
			"W ustawieniach konta odstęp jest krótszy, ale {host} może blokować programy, które łączą się częściej.",
		},
		phrase{
			"There is nothing for you to do. If you cannot wait, “Fetch now” still looks at once.",
			"Nie musisz nic robić. Jeśli nie możesz czekać, „Pobierz teraz” nadal działa od razu.",
		},
	},
	account.DelayWaiting: {
		phrase{"Waiting for its turn", "Konto czeka na swoją kolej"},
		phrase{"It is due, but other accounts are being fetched first.", "Termin pobrania już minął, ale najpierw " +
			"pobierane są inne konta."},
		phrase{"It will run by itself. Choose “Fetch now” to move it to the front.", "Pobieranie ruszy samo. " +
			"Wybierz „Pobierz teraz”, aby przesunąć to konto na początek."},
	},
}

// budgets are the kinds of limit: the provider's, and ours.
var (
	theirBudget = delayText{
		phrase{"The provider allows no more for now", "Dostawca na razie nie pozwala na więcej"},
		phrase{"{n}: {why}. Trying sooner would make the pause longer.", "{n}: {why}. Wcześniejsza próba tylko wydłużyłaby " +
			"przerwę."},
		phrase{},
	}
	dailyBudget = delayText{
		phrase{"The provider allows no more for today", "Dostawca na dziś nie pozwala na więcej"},
		phrase{
			"At least {size} were fetched within a day, which is what {host} allows.",
			"W ciągu doby pobrano co najmniej {size}, czyli tyle, na ile pozwala {host}.",
		},
		phrase{
			"There is nothing for you to do: the rest is fetched as soon as the provider allows it.",
			"Nie musisz nic robić: reszta zostanie pobrana, gdy tylko dostawca na to pozwoli.",
		},
	}
	ourPause = delayText{
		phrase{"Too many logins failed: we pause for a while", "Zbyt wiele nieudanych logowań: robimy przerwę"},
		phrase{"As many logins at this mailbox failed within a quarter of an hour as may fail.", "W ciągu kwadransa tyle " +
			"logowań do tej skrzynki się nie powiodło, ile dopuszcza limit."},
		phrase{},
	}
	hostBudget = delayText{
		phrase{"Many accounts at this server are being fetched", "Trwa pobieranie wielu kont z tego serwera"},
		phrase{"As many fetches are under way at {host} as there may be at a time.", "Na {host} trwa tyle pobrań naraz, na " +
			"ile pozwala limit."},
		phrase{"There is nothing for you to do: it is its turn when one of them ends.", "Nie musisz nic robić: kolej " +
			"przyjdzie, gdy któreś z nich się skończy."},
	}
	userBudget = delayText{
		phrase{"Your other accounts are being fetched", "Trwa pobieranie twoich innych kont"},
		phrase{
			"As many of your accounts are being fetched as may be at a time.",
			"Pobieranych jest tyle twoich kont naraz, na ile pozwala limit.",
		},
		phrase{"There is nothing for you to do: it is its turn when one of them ends.", "Nie musisz nic robić: kolej " +
			"przyjdzie, gdy któreś z nich się skończy."},
	}
	askedAlready = phrase{
		"It was asked for already, so it goes before the others.",
		"Pobieranie na żądanie już zlecono, więc to konto jest przed innymi.",
	}
)

// ExplainDelay says in a person's language ("en" or "pl") what keeps an
// account's mail away, what shows it, and the one thing that helps. The account
// must have a delay.
func ExplainDelay(a account.Account, lang string, c Context) Delay {
	d, code := a.Status.Delay, fault.Internal
	if a.Status.Diagnosis != nil {
		code = a.Status.Diagnosis.Code
	}
	why, advice := Explain(code, lang, c)
	t, help := delayTexts[d.Kind], Nothing
	theirs := adminDelays[d.Kind]
	switch d.Kind {
	case account.DelayPaused:
		help = Resume
	case account.DelayAttention, account.DelayBackoff:
		if help = cure(code); c.given(code) {
			help = Fetch
		}
	case account.DelayQuota:
		help = Space
	case account.DelayWaiting:
		if help = Fetch; d.Asked {
			t.advice, help = askedAlready, Nothing
		}
	case account.DelayBudget:
		switch {
		case code == fault.RateLimited && c.HeldBack:
			t, theirs, help = ourPause, adminOurPause, SignIn
		case d.Daily > 0:
			t, theirs = dailyBudget, adminDailyBudget
		case !d.Until.IsZero():
			t, help = theirBudget, Settings
		case d.AtHost:
			t, theirs = hostBudget, adminHostBudget
		default:
			t, theirs = userBudget, adminUserBudget
		}
	}
	if c.Admin {
		t = t.over(theirs)
	}
	if t.advice.en != "" {
		advice = t.advice.in(lang)
	}
	fill := strings.NewReplacer("{host}", account.Letters(c.Host), "{why}", within(why),
		"{n}", failures(a.Status.Failures, lang),
		"{minutes}", strconv.Itoa(int(d.Interval.Minutes())), "{size}", strconv.FormatInt(d.Daily/1_000_000, 10)+" MB")
	return Delay{
		Title: fill.Replace(t.title.in(lang)), Evidence: fill.Replace(t.evidence.in(lang)), Advice: advice,
		Help: help,
	}
}

// within is a title as it stands behind a colon, in a sentence.
func within(title string) string {
	first, n := utf8.DecodeRuneInString(title)
	if second, _ := utf8.DecodeRuneInString(title[n:]); !unicode.IsUpper(second) { // No abbreviation.
		title = string(unicode.ToLower(first)) + title[n:]
	}
	return strings.TrimSuffix(title, ".")
}

// cure is what helps against a failure.
func cure(code fault.Code) Help {
	switch code {
	case fault.AuthFailed, fault.AppPasswordRequired, fault.OAuthReauthorizationRequired:
		return SignIn
	case fault.DNSFailure, fault.HostNotAllowed, fault.ConnectRefused,
		fault.TLSCertificateInvalid, fault.STARTTLSUnsupported:
		return Server
	case fault.FolderFailed, fault.MailLoop, fault.VisitAborted:
		return Settings
	}
	return Fetch
}

// failures says how many visits in a row have failed.
func failures(n int, lang string) string {
	number := strconv.Itoa(n)
	if lang != Polish {
		if n <= 1 {
			return "The last fetch failed"
		}
		return "The last " + number + " fetches failed"
	}
	switch {
	case n <= 1:
		return "Ostatnie pobieranie się nie udało"
	case fewInPolish(n):
		return "Ostatnie " + number + " pobrania się nie udały"
	}
	return "Ostatnich " + number + " pobrań się nie udało"
}
