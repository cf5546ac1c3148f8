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
)
