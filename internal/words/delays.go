package words

// Delays say what each kind means. {host} is filled in, {why} is the title
// of the diagnosis, and {n} how many visits in a row have failed.
var Delays = map[string]DelayText{
	"paused": {
		Phrase{"Fetching is switched off", "Pobieranie jest wstrzymane"},
		Phrase{"It was switched off in this account's settings.", "Wstrzymano je w ustawieniach tego konta."},
		Phrase{"Switch it on: everything that came meanwhile is then fetched.", "Wznów je: wszystko, co przyszło w " +
			"międzyczasie, zostanie wtedy pobrane."},
	},
	"maintenance": {
		Phrase{"Your administrator has paused fetching", "Administrator wstrzymał pobieranie"},
		Phrase{"It was switched off by an administrator, as for maintenance.", "Wyłączył je administrator, na przykład na " +
			"czas prac konserwacyjnych."},
		Phrase{"There is nothing for you to do. ", "Nie musisz nic robić. "}.then(whenOn.En, whenOn.Pl).then(
			" If it takes long, ask your administrator.", " Jeśli to długo trwa, zapytaj administratora.",
		),
	},
	"backoff": {
		Phrase{"It will be tried again", "Będzie kolejna próba"},
		Phrase{"{n}: {why}.", "{n}: {why}."},
		Phrase{}, // That of the diagnosis.
	},
	"attention": {
		Phrase{"It waits for you", "Konto czeka na ciebie"},
		Phrase{"{n}: {why}. Trying again by itself would not help.", "{n}: {why}. Kolejne próby nic by nie dały."},
		Phrase{},
	},
	"quota": {
		Phrase{"Your own mailbox is full", "Twoja własna skrzynka jest pełna"},
		Phrase{"At the last fetch there was no room left in it.", "Podczas ostatniego pobierania nie było w niej już " +
			"miejsca."},
		Phrase{},
	},
	"outage": {
		Phrase{"The provider's server is out of order", "Serwer dostawcy nie działa"},
		severalFailed.then(" It is not your account.", " To nie wina twojego konta."),
		Phrase{
			"There is nothing for you to do: we keep trying, and everything is fetched as soon as the server answers.",
			"Nie musisz nic robić: próbujemy dalej i wszystko zostanie pobrane, gdy tylko serwer odpowie.",
		},
	},
	"interval": {
		Phrase{
			"The provider allows one fetch every {minutes} minutes",
			"Dostawca pozwala pobierać pocztę najwyżej co {minutes} min",
		},
		Phrase{
			"This account is set to a shorter interval, but {host} may lock out programs that come more often.",
			"W ustawieniach konta odstęp jest krótszy, ale {host} może blokować programy, które łączą się częściej.",
		},
		Phrase{
			"There is nothing for you to do. If you cannot wait, “Fetch now” still looks at once.",
			"Nie musisz nic robić. Jeśli nie możesz czekać, „Pobierz teraz” nadal działa od razu.",
		},
	},
	"waiting": {
		Phrase{"Waiting for its turn", "Konto czeka na swoją kolej"},
		Phrase{"It is due, but other accounts are being fetched first.", "Termin pobrania już minął, ale najpierw " +
			"pobierane są inne konta."},
		Phrase{"It will run by itself. Choose “Fetch now” to move it to the front.", "Pobieranie ruszy samo. " +
			"Wybierz „Pobierz teraz”, aby przesunąć to konto na początek."},
	},
}

// What is said of the kinds of limit: the provider's, and ours.
var (
	ProviderBudget = DelayText{
		Phrase{"The provider allows no more for now", "Dostawca na razie nie pozwala na więcej"},
		Phrase{"{n}: {why}. Trying sooner would make the pause longer.", "{n}: {why}. Wcześniejsza próba tylko wydłużyłaby " +
			"przerwę."},
		Phrase{},
	}
	DailyBudget = DelayText{
		Phrase{"The provider allows no more for today", "Dostawca na dziś nie pozwala na więcej"},
		Phrase{
			"At least {size} were fetched within a day, which is what {host} allows.",
			"W ciągu doby pobrano co najmniej {size}, czyli tyle, na ile pozwala {host}.",
		},
		Phrase{
			"There is nothing for you to do: the rest is fetched as soon as the provider allows it.",
			"Nie musisz nic robić: reszta zostanie pobrana, gdy tylko dostawca na to pozwoli.",
		},
	}
	LoginPause = DelayText{
		Phrase{"Too many logins failed: we pause for a while", "Zbyt wiele nieudanych logowań: robimy przerwę"},
		Phrase{"As many logins at this mailbox failed within a quarter of an hour as may fail.", "W ciągu kwadransa tyle " +
			"logowań do tej skrzynki się nie powiodło, ile dopuszcza limit."},
		Phrase{},
	}
	HostBudget = DelayText{
		Phrase{"Many accounts at this server are being fetched", "Trwa pobieranie wielu kont z tego serwera"},
		Phrase{"As many fetches are under way at {host} as there may be at a time.", "Na {host} trwa tyle pobrań naraz, na " +
			"ile pozwala limit."},
		Phrase{"There is nothing for you to do: it is its turn when one of them ends.", "Nie musisz nic robić: kolej " +
			"przyjdzie, gdy któreś z nich się skończy."},
	}
	UserBudget = DelayText{
		Phrase{"Your other accounts are being fetched", "Trwa pobieranie twoich innych kont"},
		Phrase{
			"As many of your accounts are being fetched as may be at a time.",
			"Pobieranych jest tyle twoich kont naraz, na ile pozwala limit.",
		},
		Phrase{"There is nothing for you to do: it is its turn when one of them ends.", "Nie musisz nic robić: kolej " +
			"przyjdzie, gdy któreś z nich się skończy."},
	}
	AlreadyRequested = Phrase{
		"It was asked for already, so it goes before the others.",
		"Pobieranie na żądanie już zlecono, więc to konto jest przed innymi.",
	}
)

// AdminDelays are said to an administrator instead of Delays; what is
// empty is as there.
var AdminDelays = map[string]DelayText{
	"paused": {
		Evidence: Phrase{"The user switched it off.", "Wyłączył je użytkownik."},
		Advice: Phrase{
			"When it is switched on, everything that came meanwhile is fetched.",
			"Po włączeniu zostanie pobrane wszystko, co przyszło w międzyczasie.",
		},
	},
	"maintenance": {
		Title: Phrase{"An administrator has paused fetching", "Administrator wstrzymał pobieranie"},
		Advice: Phrase{
			"The user sees this, and may switch it on. ", "Użytkownik widzi tę informację i może włączyć pobieranie. ",
		}.then(whenOn.En, whenOn.Pl),
	},
	"attention": {Title: Phrase{"It waits for its user", "Konto czeka na użytkownika"}},
	"quota": {
		Title: Phrase{"The user's own mailbox is full", "Skrzynka użytkownika jest pełna"},
	},
	"outage": {
		Evidence: severalFailed,
		Advice: Phrase{
			"The server is tried now and then, and everything is fetched as soon as it answers.",
			"Serwer jest co jakiś czas sprawdzany i wszystko zostanie pobrane, gdy tylko odpowie.",
		},
	},
	"interval": {Advice: Phrase{
		"A fetch that somebody asks for begins at once all the same.",
		"Pobieranie na żądanie następuje mimo to od razu.",
	}},
}

// What administrators read of the kinds of limit.
var (
	AdminDailyBudget = DelayText{Advice: Phrase{
		"The rest is fetched as soon as the provider allows it.",
		"Reszta zostanie pobrana, gdy tylko dostawca na to pozwoli.",
	}}
	adminTurn       = Phrase{"It is its turn when one of them ends.", "Kolej przyjdzie, gdy któreś z nich się skończy."}
	AdminHostBudget = DelayText{Advice: adminTurn}
	AdminUserBudget = DelayText{
		Title: Phrase{"The user's other accounts are being fetched", "Trwa pobieranie innych kont użytkownika"},
		Evidence: Phrase{"As many of the user's accounts are being fetched as may be at a time.", "Pobieranych jest tyle " +
			"kont użytkownika naraz, na ile pozwala limit."},
		Advice: adminTurn,
	}
	AdminLoginPause = DelayText{
		Title: Phrase{"Too many logins failed: a pause is made", "Zbyt wiele nieudanych logowań: trwa przerwa"},
	}
)
