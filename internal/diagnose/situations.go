package diagnose

import (
	"github.com/mailbrook/mailbrook/internal/fault"
)

// situation is one of several that a code means, told by its reason. It
// does not pass by itself, and what is known of the provider has no part in it.
type situation struct {
	reason fault.Reason
	user   text
	admin  text // An empty title is the user's.
}

// situations are shown instead of texts.
var situations = []situation{
	{
		fault.CredentialExpired,
		text{
			phrase{"The password has expired", "Hasło wygasło"},
			phrase{
				"Set a new password at the provider first, on its own pages, and then enter it here.",
				"Najpierw zmień hasło u dostawcy, na jego stronach, a potem wpisz je tutaj.",
			},
		},
		text{advice: phrase{
			"The user has to set a new password at the provider first, on its own pages, and then enter it here.",
			"Użytkownik musi najpierw zmienić hasło u dostawcy, na jego stronach, a potem wpisać je tutaj.",
		}},
	},
	{
		fault.FoldersTooMany,
		text{
			phrase{"There are too many folders", "Folderów jest za dużo"},
			phrase{
				"Of a mailbox with more than 10,000 folders nothing is fetched. Delete or merge folders at the provider, such " +
					"as empty ones; fetching then begins by itself.",
				"Ze skrzynki, która ma ponad 10 000 folderów, nie pobieramy nic. Usuń lub połącz foldery u dostawcy, na " +
					"przykład puste; pobieranie zacznie się wtedy samo.",
			},
		},
		text{advice: phrase{
			"Of a mailbox with more than 10,000 folders nothing is fetched. The user can delete or merge folders at the " +
				"provider, such as empty ones; fetching then begins by itself.",
			"Ze skrzynki, która ma ponad 10 000 folderów, nie jest pobierane nic. Użytkownik może usunąć lub połączyć " +
				"foldery u dostawcy, na przykład puste; pobieranie zacznie się wtedy samo.",
		}},
	},
	{
		fault.ChosenFoldersMissing,
		text{
			phrase{"Folders that you chose are not at the provider", "U dostawcy nie ma wybranych folderów"},
			phrase{
				"Choose among those that there are in the account's settings. A name counts as it is written at the provider, " +
					"capital letters too, with / between parts.",
				"Wybierz w ustawieniach konta spośród folderów, które istnieją. Nazwa musi być zapisana dokładnie tak, jak u " +
					"dostawcy, także wielkimi i małymi literami, z ukośnikiem / między częściami.",
			},
		},
		text{
			phrase{"Chosen folders are not at the provider", "U dostawcy nie ma wybranych folderów"},
			phrase{
				"The user can choose among those that there are in the account's settings. A name counts as it is written at " +
					"the provider, capital letters too, with / between parts.",
				"Użytkownik może wybrać w ustawieniach konta spośród folderów, które istnieją. Nazwa musi być zapisana dokładnie " +
					"tak, jak u dostawcy, także wielkimi i małymi literami, z ukośnikiem / między częściami.",
			},
		},
	},
}

// situation returns what is said of a code where the detail tells more than it does.
func (c Context) situation(code fault.Code) (text, bool) {
	reason := fault.ReasonOf(code, c.Detail)
	for _, s := range situations {
		if s.reason == reason {
			if c.Admin {
				return s.user.over(s.admin), true
			}
			return s.user, true
		}
	}
	return text{}, false
}
