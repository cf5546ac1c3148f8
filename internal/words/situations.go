package words

// What is said instead of Faults where a code stands for one of several situations. Of
// those for administrators an empty title is the one for users.
var (
	PasswordExpired = Text{
		Phrase{"The password has expired", "Hasło wygasło"},
		Phrase{
			"Set a new password at the provider first, on its own pages, and then enter it here.",
			"Najpierw zmień hasło u dostawcy, na jego stronach, a potem wpisz je tutaj.",
		},
	}
	AdminPasswordExpired = Text{Advice: Phrase{
		"The user has to set a new password at the provider first, on its own pages, and then enter it here.",
		"Użytkownik musi najpierw zmienić hasło u dostawcy, na jego stronach, a potem wpisać je tutaj.",
	}}
	TooManyFolders = Text{
		Phrase{"There are too many folders", "Folderów jest za dużo"},
		Phrase{
			"Of a mailbox with more than 10,000 folders nothing is fetched. Delete or merge folders at the provider, such " +
				"as empty ones; fetching then begins by itself.",
			"Ze skrzynki, która ma ponad 10 000 folderów, nie pobieramy nic. Usuń lub połącz foldery u dostawcy, na " +
				"przykład puste; pobieranie zacznie się wtedy samo.",
		},
	}
	AdminTooManyFolders = Text{Advice: Phrase{
		"Of a mailbox with more than 10,000 folders nothing is fetched. The user can delete or merge folders at the " +
			"provider, such as empty ones; fetching then begins by itself.",
		"Ze skrzynki, która ma ponad 10 000 folderów, nie jest pobierane nic. Użytkownik może usunąć lub połączyć " +
			"foldery u dostawcy, na przykład puste; pobieranie zacznie się wtedy samo.",
	}}
	FoldersMissing = Text{
		Phrase{"Folders that you chose are not at the provider", "U dostawcy nie ma wybranych folderów"},
		Phrase{
			"Choose among those that there are in the account's settings. A name counts as it is written at the provider, " +
				"capital letters too, with / between parts.",
			"Wybierz w ustawieniach konta spośród folderów, które istnieją. Nazwa musi być zapisana dokładnie tak, jak u " +
				"dostawcy, także wielkimi i małymi literami, z ukośnikiem / między częściami.",
		},
	}
	AdminFoldersMissing = Text{
		Phrase{"Chosen folders are not at the provider", "U dostawcy nie ma wybranych folderów"},
		Phrase{
			"The user can choose among those that there are in the account's settings. A name counts as it is written at " +
				"the provider, capital letters too, with / between parts.",
			"Użytkownik może wybrać w ustawieniach konta spośród folderów, które istnieją. Nazwa musi być zapisana dokładnie " +
				"tak, jak u dostawcy, także wielkimi i małymi literami, z ukośnikiem / między częściami.",
		},
	}
	MailboxLocked = Text{
		Phrase{"Your own mailbox cannot be opened", "Nie można otworzyć twojej skrzynki"},
		Phrase{
			"The password with which your mailbox is opened here is missing or no longer right: tell your administrator. " +
				"Nothing is lost at the provider; fetching resumes once the right one is saved.",
			"Brakuje tu hasła do twojej skrzynki albo jest ono nieaktualne: powiadom administratora. U dostawcy nic nie " +
				"ginie; pobieranie ruszy, gdy właściwe hasło zostanie zapisane.",
		},
	}
	AdminMailboxLocked = Text{
		Phrase{"The user's own mailbox cannot be opened", "Nie można otworzyć skrzynki użytkownika"},
		Phrase{
			"Save the name and the password by which the server of mailboxes knows this user, with the command “mailbrook " +
				"user mailbox set” or through the API. Nothing is lost at the provider.",
			"Zapisz nazwę i hasło, pod którymi serwer skrzynek zna tego użytkownika: poleceniem „mailbrook user mailbox " +
				"set” albo przez API. U dostawcy nic nie ginie.",
		},
	}
	MailboxServerAway = Text{
		Phrase{"Your own mailbox is out of reach for now", "Twoja skrzynka jest chwilowo niedostępna"},
		Phrase{
			"The server that has it is out of order: there is nothing for you to change. Nothing is lost at the provider. If " +
				"it lasts, tell your administrator.",
			"Nie działa serwer, na którym się znajduje: niczego nie trzeba zmieniać. U dostawcy nic nie ginie. Jeśli problem " +
				"potrwa dłużej, powiadom administratora.",
		},
	}
	AdminMailboxServerAway = Text{
		Phrase{"The server of users' mailboxes is out of order", "Serwer skrzynek użytkowników nie działa"},
		Phrase{
			"Nothing is delivered to anybody until it is back. See that it runs and can be reached at imap.address; " +
				"“mailbrook doctor” says what is wrong. Nothing is lost at the providers.",
			"Dopóki nie wróci, nikomu nic nie jest doręczane. Sprawdź, czy działa i czy można się z nim połączyć pod adresem " +
				"imap.address; „mailbrook doctor” powie, co jest nie tak. U dostawców nic nie ginie.",
		},
	}
	AdminMailboxServerShut = Text{
		Phrase{"The server of users' mailboxes lets nobody in", "Serwer skrzynek użytkowników nikogo nie wpuszcza"},
		Phrase{
			"Nothing is delivered to anybody until it does. See that imap.login and imap.password are right and that the " +
				"server knows this master user; “mailbrook doctor” says what is wrong. Nothing is lost at the providers.",
			"Dopóki się to nie zmieni, nikomu nic nie jest doręczane. Sprawdź imap.login i imap.password oraz to, czy serwer " +
				"zna tego użytkownika nadrzędnego; „mailbrook doctor” powie, co jest nie tak. U dostawców nic nie ginie.",
		},
	}
)
