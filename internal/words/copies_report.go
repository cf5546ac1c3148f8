package words

// CopyFacts are what stands before each fact of a report.
var CopyFacts = map[string]Phrase{
	"from":          {"From", "Skąd"},
	"to":            {"To", "Dokąd"},
	"began":         {"Begun", "Początek"},
	"ended":         {"Ended", "Koniec"},
	"took":          {"Time at work", "Czas pracy"},
	"folders":       {"Folders", "Foldery"},
	"copied":        {"Copied", "Skopiowano"},
	"already_there": {"There before", "Już wcześniej na miejscu"},
	"not_there":     {"Not in the new mailbox", "Brak w nowej skrzynce"},
	"grade":         {"Grade", "Ocena"},
	"checked":       {"Checked", "Sprawdzono"},
}

// CopyOf is a number of messages and their size; CopyAtLeast is said of a number of messages that may be greater, and
// CopyUnknown where there is none.
var (
	CopyOf      = Phrase{"{messages}, {size}", "{messages}, {size}"}
	CopyAtLeast = Phrase{"at least {messages}", "co najmniej {messages}"}
	CopyUnknown = Phrase{"nobody knows how many", "nie wiadomo ile"}
)

// CopyChecked say how a copy was checked: {messages} were read back.
var CopyChecked = map[string]Phrase{
	"quick": {
		"that each message is there, by its number, size and date",
		"obecność każdej wiadomości: numer, rozmiar i datę",
	},
	"sample": {
		"each message by its number, size and date; of every folder some were read back and compared ({messages})",
		"każdą wiadomość według numeru, rozmiaru i daty; z każdego folderu część odczytano i porównano ({messages})",
	},
	"full": {
		"each message by its number, size and date; all were read back and compared ({messages})",
		"każdą wiadomość według numeru, rozmiaru i daty; wszystkie odczytano i porównano ({messages})",
	},
}

// CopyParts head the parts of a report; what is said below the head is the advice.
var CopyParts = map[string]Text{
	"not_there": {Title: Phrase{"What is not in the new mailbox", "Czego nie ma w nowej skrzynce"}},
	"differs":   {Title: Phrase{"What differs", "Co się różni"}},
	"left_out": {
		Phrase{"Folders that were left out", "Pominięte foldery"},
		Phrase{
			"They are other people's or shared, and are copied only where they are chosen by name.",
			"Należą do innych osób lub są udostępnione; kopiujemy je tylko wtedy, gdy zostaną wybrane po nazwie.",
		},
	},
	"not_included": {
		Phrase{"What a copy does not bring", "Czego kopiowanie nie przenosi"},
		Phrase{
			"Only mail is copied. If you use any of these at the old provider, set them up at the new one.",
			"Kopiowana jest tylko poczta. Jeśli u dotychczasowego dostawcy korzystasz z czegoś z tej listy, ustaw to u nowego.",
		},
	},
	"next": {Title: Phrase{"What to do next", "Co teraz zrobić"}},
}

// CopyItem is a line of a list: what, and how many {messages}; CopyKeyword is one of a {keyword} that the target did
// not take, CopyName one of a folder {from} that is called {to} there, as {why} says, and CopyFolder one of a {folder}
// that could not be copied.
var (
	CopyItem    = Phrase{"{what}: {messages}", "{what}: {messages}"}
	CopyKeyword = Phrase{"Tag “{keyword}” not taken: {messages}", "Nieprzyjęty znacznik „{keyword}”: {messages}"}
	CopyName    = Phrase{
		"Folder “{from}” is called “{to}”: {why}", "Folder „{from}” ma nazwę „{to}”: {why}",
	}
	CopyFolder    = Phrase{"Folder “{folder}” could not be copied", "Folderu „{folder}” nie udało się skopiować"}
	CopyMore      = Phrase{"… and more of this kind: {n}", "… i więcej takich: {n}"}
	CopyRewritten = Phrase{
		"The new mailbox's server does not keep messages exactly as they are sent to it.",
		"Serwer nowej skrzynki nie zachowuje wiadomości dokładnie w takiej postaci, w jakiej je otrzymuje.",
	}
)
