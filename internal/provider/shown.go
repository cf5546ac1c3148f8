package provider

import (
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Shown is a provider as it is shown to who adds an account, in one language.
type Shown struct {
	ID      string
	Name    string
	Domains []string
	Servers map[remote.Protocol]remote.Server // Host may contain "{domain}".
	Auth    []Auth                            // The first to offer first.
	OAuth   bool                              // Whether users can sign in on its page here.
	Help    Guide
}

// Guide is what a user has to know of a provider. URLs may be empty.
type Guide struct {
	Text            string
	Steps           []string // What has to be done before a password is accepted.
	Note            string   // What is peculiar to this provider; in Text, too.
	POP3            string   // What is only of use to who chooses POP3.
	URL             string
	EnableAccessURL string
	AppPasswordURL  string
}

// Shown returns all providers, in the order in which to offer them, for a person who reads lang. signIn says on
// whose page users can sign in here.
func (c *Catalog) Shown(lang words.Language, signIn func(id string) bool) []Shown {
	all := c.All()
	out := make([]Shown, len(all))
	for i, p := range all {
		offered := signIn(p.ID)
		out[i] = Shown{
			ID: p.ID, Name: p.DisplayName(lang), Domains: p.Domains, Servers: p.Servers, Auth: p.Auth, OAuth: offered,
			Help: Guide{
				Text: p.Help(lang, offered), Steps: p.Steps(lang), Note: p.Note(lang), POP3: p.POP3(lang),
				URL: p.HelpURL, EnableAccessURL: p.AccessURL, AppPasswordURL: p.AppPasswordURL,
			},
		}
	}
	return out
}
