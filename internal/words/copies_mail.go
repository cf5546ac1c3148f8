package words

// CopyBegun is the message that says that a copy has begun. {from} and {to} are addresses, {page} is where its state is
// shown and {code} what is asked for there.
var CopyBegun = struct{ Subject, Text, Calm, Look, Page, Address, Code, Secret, Stranger Phrase }{
	Subject: Phrase{"The copy of {from} has begun", "Rozpoczęto kopiowanie skrzynki {from}"},
	Text: Phrase{
		"All mail of {from} is being copied to {to}: folders, messages, their dates and marks. Nothing is changed in " +
			"the old mailbox.",
		"Cała poczta z {from} jest kopiowana do {to}: foldery, wiadomości, ich daty i oznaczenia. W dotychczasowej " +
			"skrzynce nic się nie zmienia.",
	},
	Calm: Phrase{
		"There is nothing for you to do. You may close the page and switch your computer off. A large mailbox takes " +
			"hours, and sometimes days, where a provider allows only so much a day. When the copy has ended, a summary " +
			"comes here.",
		"Nie musisz nic robić. Możesz zamknąć stronę i wyłączyć komputer. Duża skrzynka wymaga wielu godzin, a czasem " +
			"dni, gdy dostawca ogranicza dobowy ruch. Po zakończeniu kopiowania przyjdzie tu podsumowanie.",
	},
	Look: Phrase{
		"You can see at any time how far it has come:",
		"W każdej chwili możesz sprawdzić, jak daleko jest kopiowanie:",
	},
	Page:    Phrase{"Page", "Strona"},
	Address: Phrase{"Address of the old mailbox", "Adres dotychczasowej skrzynki"},
	Code:    Phrase{"Code", "Kod"},
	Secret: Phrase{
		"Whoever has the address and this code sees how the copy is, but none of your mail. Keep it to yourself all the " +
			"same.",
		"Kto ma ten adres i kod, widzi stan kopiowania, ale nie twoją pocztę. Mimo to nie podawaj kodu innym.",
	},
	Stranger: Phrase{
		"If you know nothing of this copy, change the passwords of both mailboxes and tell your administrator.",
		"Jeśli nic nie wiesz o tym kopiowaniu, zmień hasła do obu skrzynek i powiadom administratora.",
	},
}

// CopyEnded is the message that says that a copy has ended. In Subject {what} is the title of its state.
var CopyEnded = struct{ Subject, Report, Subjects Phrase }{
	Subject: Phrase{"{what}: {from}", "{what}: {from}"},
	Report: Phrase{
		"The whole report, with each message that is not there: {page}",
		"Pełny raport, z każdą wiadomością, której brakuje: {page}",
	},
	Subjects: Phrase{"The messages that are not there", "Wiadomości, których nie ma"},
}
