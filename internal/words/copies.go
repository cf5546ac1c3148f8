package words

// Texts about copies of whole mailboxes are found by the words of package transfer as strings.

// CopyStates say how a copy is, and what that means for its owner.
var CopyStates = map[string]Text{
	"queued": {
		Phrase{"The copy has not begun yet", "Kopiowanie jeszcze się nie rozpoczęło"},
		Phrase{
			"It begins by itself. You may close this page and switch your computer off.",
			"Rozpocznie się samo. Możesz zamknąć tę stronę i wyłączyć komputer.",
		},
	},
	"running": {
		Phrase{"The copy is under way", "Kopiowanie trwa"},
		Phrase{
			"You may close this page and switch your computer off: a message comes when it has ended.",
			"Możesz zamknąć tę stronę i wyłączyć komputer: gdy się skończy, przyjdzie wiadomość.",
		},
	},
	"waiting": {
		Phrase{"The copy is waiting", "Kopiowanie czeka"},
		Phrase{}, // That of the reason.
	},
	"paused": {
		Phrase{"The copy is paused", "Kopiowanie jest wstrzymane"},
		Phrase{
			"What has been copied stays. Resume it when you like: it continues where it stopped.",
			"To, co już skopiowano, zostaje. Wznów je, kiedy zechcesz: ruszy tam, gdzie się zatrzymało.",
		},
	},
	"needs_attention": {
		Phrase{"The copy needs you", "Kopiowanie wymaga twojej uwagi"},
		Phrase{
			"It does not continue by itself. Put right what is named here, and resume it: nothing is copied twice.",
			"Samo nie ruszy dalej. Usuń wskazaną tu przyczynę i wznów je: nic nie zostanie skopiowane dwa razy.",
		},
	},
	"completed": {
		Phrase{"The copy is complete", "Kopiowanie zakończone"},
		Phrase{},
	},
	"completed_with_warnings": {
		Phrase{"The copy has ended, with remarks", "Kopiowanie zakończone, z uwagami"},
		Phrase{},
	},
	"failed": {
		Phrase{"The copy has failed", "Kopiowanie się nie powiodło"},
		Phrase{
			"What has been copied stays. When the cause is gone, start the copy once more: nothing is copied twice.",
			"To, co już skopiowano, zostaje. Po usunięciu przyczyny uruchom kopiowanie jeszcze raz: nic nie zostanie " +
				"skopiowane dwa razy.",
		},
	},
	"cancelled": {
		Phrase{"The copy was cancelled", "Kopiowanie anulowano"},
		Phrase{
			"What has been copied stays. If you start it once more, it copies the rest: nothing is copied twice.",
			"To, co już skopiowano, zostaje. Po ponownym uruchomieniu skopiujemy resztę: nic nie zostanie skopiowane dwa razy.",
		},
	},
}

// CopyBegins is said of a copy that is to begin at a {time}.
var CopyBegins = Phrase{"It begins on {time}.", "Rozpocznie się {time}."}

// CopyPhases say what a running copy does.
var CopyPhases = map[string]Phrase{
	"connecting": {"Connecting to both mailboxes", "Łączenie z obiema skrzynkami"},
	"listing":    {"Looking at what there is to copy", "Sprawdzanie, co jest do skopiowania"},
	"copying":    {"Copying messages", "Kopiowanie wiadomości"},
	"verifying":  {"Checking that everything has arrived", "Sprawdzanie, czy wszystko dotarło"},
}

// CopyReasons say why a copy waits, and what can be done about it. What follows is RetriedIn or
// AdminRetried.
var CopyReasons = map[string]Text{
	"source_limit": {
		Phrase{
			"The provider of the old mailbox allows no more for now",
			"Dostawca dotychczasowej skrzynki na razie nie pozwala na więcej",
		},
		Phrase{"There is nothing for you to do.", "Nie musisz nic robić."},
	},
	"target_limit": {
		Phrase{
			"The provider of the new mailbox allows no more for now",
			"Dostawca nowej skrzynki na razie nie pozwala na więcej",
		},
		Phrase{"There is nothing for you to do.", "Nie musisz nic robić."},
	},
	"target_full": {
		Phrase{"The new mailbox is full", "Nowa skrzynka jest pełna"},
		Phrase{
			"Delete mail in it that you do not need, or have it enlarged. We look every hour whether there is room; " +
				"“Resume” looks at once.",
			"Usuń z niej niepotrzebną pocztę albo poproś o jej powiększenie. Co godzinę sprawdzamy, czy jest miejsce; " +
				"„Wznów” sprawdza od razu.",
		},
	},
	"retry": {
		Phrase{"It will be tried again", "Będzie kolejna próba"},
		Phrase{"There is nothing for you to do.", "Nie musisz nic robić."},
	},
	"maintenance": {
		Phrase{"An administrator has paused copies", "Administrator wstrzymał kopiowanie"},
		Phrase{
			"There is nothing for you to do. If it takes long, ask your administrator.",
			"Nie musisz nic robić. Jeśli to długo trwa, zapytaj administratora.",
		},
	},
}

// CopySides say at which end something failed: {why} is what.
var CopySides = map[string]Phrase{
	"source": {"The old mailbox: {why}.", "Dotychczasowa skrzynka: {why}."},
	"target": {"The new mailbox: {why}.", "Nowa skrzynka: {why}."},
}

// CopyFaults are said instead of the titles of Faults, which speak of fetching and of the reader's own mailbox; behind
// CopySides.
var CopyFaults = map[string]Phrase{
	"folder_failed":  {"Some folders could not be copied", "Niektórych folderów nie dało się skopiować"},
	"message_failed": {"Some messages could not be copied", "Niektórych wiadomości nie dało się skopiować"},
	"visit_aborted": {
		"Copying broke off on our side several times", "Kopiowanie kilkakrotnie zostało przerwane po naszej stronie",
	},
	"mail_loop": {
		"Its mail came from where it would be copied to", "Jej poczta pochodzi stamtąd, dokąd miała być skopiowana",
	},
	"local_over_quota":          {"It is full", "Jest pełna"},
	"local_mailbox_unavailable": {"Nothing can be written into it", "Nie można w niej zapisywać"},
}

// CopyGrades say how well a copy went, in a word and in a sentence.
var CopyGrades = map[string]Text{
	"perfect": {
		Phrase{"Perfect", "Bez zastrzeżeń"},
		Phrase{
			"Everything is in the new mailbox, exactly as it was in the old one.",
			"Wszystko jest w nowej skrzynce, dokładnie tak, jak było w dotychczasowej.",
		},
	},
	"good": {
		Phrase{"Good", "Dobrze"},
		Phrase{
			"All messages are in the new mailbox. Only tags, names of folders or what its server adds to messages differ.",
			"Wszystkie wiadomości są w nowej skrzynce. Różnią się tylko znaczniki, nazwy folderów albo to, co jej serwer " +
				"dopisuje do wiadomości.",
		},
	},
	"investigate": {
		Phrase{"To be looked at", "Do sprawdzenia"},
		Phrase{
			"Nearly all messages are in the new mailbox. The few that are not are listed with the reason.",
			"Prawie wszystkie wiadomości są w nowej skrzynce. Te nieliczne, których nie ma, są na liście z podaną przyczyną.",
		},
	},
	"poor": {
		Phrase{"Incomplete", "Z brakami"},
		Phrase{
			"A considerable part of the messages is not in the new mailbox. Look at the reasons, and keep the old mailbox " +
				"until that is put right.",
			"Znacznej części wiadomości nie ma w nowej skrzynce. Sprawdź przyczyny i zachowaj dotychczasową skrzynkę, dopóki " +
				"tego nie wyjaśnisz.",
		},
	},
}

// CopyNotGraded is said of a copy that was not verified yet.
var CopyNotGraded = Text{
	Phrase{"Not checked", "Nie sprawdzono"},
	Phrase{
		"It was not checked yet whether everything has arrived.",
		"Jeszcze nie sprawdziliśmy, czy wszystko dotarło.",
	},
}

// CopyWhy say why a message is not in the new mailbox, as said of one or of many, and what can be done about it.
var CopyWhy = map[string]Text{
	"too_large": {
		Phrase{"Too large for the new mailbox", "Rozmiar większy, niż przyjmuje nowa skrzynka"},
		Phrase{
			"Save the attachments from the old mailbox, or ask the new provider for a higher limit and choose “Try again”.",
			"Zapisz załączniki z dotychczasowej skrzynki albo poproś nowego dostawcę o wyższy limit i wybierz „Spróbuj " +
				"ponownie”.",
		},
	},
	"refused": {
		Phrase{"Refused by the new mailbox's server", "Odmowa serwera nowej skrzynki"},
		Phrase{
			"Its server takes other messages and not this kind, such as those in which it finds a virus. If you need them, " +
				"save them from the old mailbox, or ask the new provider.",
			"Serwer przyjmuje inne wiadomości, a takich nie, na przykład gdy wykryje w nich wirusa. Jeśli są ci potrzebne, " +
				"zapisz je z dotychczasowej skrzynki albo zapytaj nowego dostawcę.",
		},
	},
	"unreadable": {
		Phrase{"Not readable in the old mailbox", "Brak możliwości odczytu z dotychczasowej skrzynki"},
		Phrase{
			"See whether they can be opened on the old provider's own pages. If so, choose “Try again”; if not, they are " +
				"damaged there.",
			"Sprawdź, czy dają się otworzyć na stronie dotychczasowego dostawcy. Jeśli tak, wybierz „Spróbuj ponownie”; jeśli " +
				"nie, są uszkodzone już u niego.",
		},
	},
	"folder_failed": {
		Phrase{"In a folder that could not be copied", "W folderze, którego nie udało się skopiować"},
		Phrase{
			"Choose “Try again”. If that does not help, rename the folder in the old mailbox, or move its messages into " +
				"another one.",
			"Wybierz „Spróbuj ponownie”. Jeśli to nie pomoże, zmień nazwę folderu w dotychczasowej skrzynce albo przenieś " +
				"wiadomości do innego.",
		},
	},
	"target_full": {
		Phrase{"No room in the new mailbox", "Brak miejsca w nowej skrzynce"},
		Phrase{
			"Make room there, or have it enlarged, and choose “Try again”.",
			"Zrób w niej miejsce albo poproś o jej powiększenie i wybierz „Spróbuj ponownie”.",
		},
	},
	"mail_loop": {
		Phrase{
			"Fetched into the old mailbox by this service, from another one",
			"Poczta pobrana przez tę usługę do dotychczasowej skrzynki z innej",
		},
		Phrase{
			"If you need them, copy the mailbox that they came from.",
			"Jeśli są ci potrzebne, skopiuj skrzynkę, z której pochodzą.",
		},
	},
	"unavailable": {
		Phrase{"A server did not answer as it should", "Nieprawidłowa odpowiedź jednego z serwerów"},
		Phrase{"Wait some hours and choose “Try again”.", "Odczekaj kilka godzin i wybierz „Spróbuj ponownie”."},
	},
	"internal": {
		Phrase{"An error on our side", "Błąd po naszej stronie"},
		Phrase{
			"Choose “Try again”. If that does not help, tell your administrator.",
			"Wybierz „Spróbuj ponownie”. Jeśli to nie pomoże, powiadom administratora.",
		},
	},
	"not_reached": {
		Phrase{"Not reached before the copy ended", "Kopiowanie skończyło się wcześniej"},
		Phrase{"Choose “Synchronise”: the rest is then copied.", "Wybierz „Synchronizuj”: reszta zostanie wtedy skopiowana."},
	},
	"missing": {
		Phrase{
			"Stored in the new mailbox, and not found there afterwards",
			"Zapis potwierdzony, ale później brak w nowej skrzynce",
		},
		Phrase{
			"Search the new mailbox for them first: a filter may have moved them. If they are not there, choose “Try again”.",
			"Najpierw poszukaj ich w nowej skrzynce: mógł je przenieść filtr. Jeśli ich tam nie ma, wybierz „Spróbuj ponownie”.",
		},
	},
}

// CopyWhyOther is said where no reason is known.
var CopyWhyOther = Text{
	Phrase{"For another reason", "Z innej przyczyny"},
	Phrase{"The report by message says more.", "Więcej mówi raport o poszczególnych wiadomościach."},
}

// CopyMessages say how a message is, where that is no reason.
var CopyMessages = map[string]Text{
	"copied":        {Phrase{"Copied", "Skopiowano"}, Phrase{}},
	"already_there": {Phrase{"There before the copy", "Już wcześniej w nowej skrzynce"}, Phrase{}},
	"skipped":       {Phrase{"Not copied", "Nie skopiowano"}, Phrase{}},
	"missing":       {Phrase{"Missing", "Brak"}, Phrase{}},
	"altered": {
		Phrase{"Changed by the new mailbox's server", "Zmiana dokonana przez serwer nowej skrzynki"},
		Phrase{
			"The messages are there. Some servers add lines to what they store; text and attachments are not concerned as a " +
				"rule.",
			"Wiadomości są na miejscu. Niektóre serwery dopisują coś do tego, co zapisują; zwykle nie dotyczy to treści ani " +
				"załączników.",
		},
	},
	"moved_or_deleted": {
		Phrase{"Moved or deleted in the new mailbox since", "Przeniesienie lub usunięcie już w nowej skrzynce"},
		Phrase{
			"This is no error: they were copied, and are not brought back.",
			"To nie jest błąd: skopiowano je i nie zostaną przywrócone.",
		},
	},
}

// CopyRenamed say why a folder has another name.
var CopyRenamed = map[string]Phrase{
	"special_use": {
		"the new mailbox has a folder for this", "nowa skrzynka ma na to własny folder",
	},
	"owner":             {"as you chose", "zgodnie z twoim wyborem"},
	"prefix":            {"into the folder that you chose", "do wybranego folderu"},
	"refused_by_target": {"the new mailbox does not take the name", "nowa skrzynka nie przyjmuje tej nazwy"},
	"clash":             {"another folder has this name", "tę nazwę ma już inny folder"},
}

// CopyLeaves say what a copy never brings.
var CopyLeaves = map[string]Phrase{
	"calendars": {"Calendars and tasks", "Kalendarze i zadania"},
	"contacts":  {"Contacts and address books", "Kontakty i książki adresowe"},
	"rules":     {"Filters and rules", "Filtry i reguły"},
	"sharing":   {"Rights: who may see which folder", "Uprawnienia: kto może widzieć które foldery"},
	"settings": {
		"Settings kept at the provider: signature, out-of-office reply, forwarding, blocked senders",
		"Ustawienia u dostawcy: podpis, autoresponder, przekazywanie, zablokowani nadawcy",
	},
}

// CopyNext say what is best done after a copy.
var CopyNext = map[string]Phrase{
	"check": {
		"Look into the new mailbox before you cancel the old one: open some folders, and some messages with attachments.",
		"Zajrzyj do nowej skrzynki, zanim zrezygnujesz z dotychczasowej: otwórz kilka folderów i kilka wiadomości z " +
			"załącznikami.",
	},
	"source": {
		"The old mailbox is untouched: we have deleted, moved and marked nothing in it.",
		"Dotychczasowa skrzynka pozostała nietknięta: niczego w niej nie usunęliśmy, nie przenieśliśmy i nie oznaczyliśmy.",
	},
	"forward": {
		"At the old provider, have mail forwarded to the new address, and tell your correspondents. What has come to the " +
			"old mailbox meanwhile is brought by “Synchronise”.",
		"Włącz u dotychczasowego dostawcy przekazywanie poczty na nowy adres i podaj nowy adres swoim korespondentom. " +
			"To, co w międzyczasie przyszło na stary adres, skopiuje „Synchronizuj”.",
	},
	"passwords": {
		"Change the passwords of both mailboxes. Those that were entered for the copy are erased here.",
		"Zmień hasła do obu skrzynek. Hasła podane do kopiowania są tu usuwane.",
	},
	"passwords_until": {
		"Change the passwords of both mailboxes. Those that were entered for the copy are kept here until {time} at the " +
			"longest.",
		"Zmień hasła do obu skrzynek. Hasła podane do kopiowania przechowujemy najdłużej do: {time}.",
	},
}
