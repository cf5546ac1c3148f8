package account

import "time"

// Draft is an account as a user asks for it.
type Draft struct {
	Settings
	ID       ID        // A random UUID; "": one is made.
	AskedAt  time.Time // When whoever asks was recognised as the user; zero: now.
	Password Secret
	// Grant is the id of what the user allowed on the provider's page, in the
	// place of a password; "": there is a password. ConfirmAddress takes it also
	// where it is for another mailbox than Email.
	Grant          string
	ConfirmAddress bool
	SkipTest       bool
}

// Patch is a change to an account.
type Patch struct {
	Settings
	Password       *Secret
	Grant          string // As in Draft; "": what was saved stays.
	ConfirmAddress bool
	Operator       bool  // An administrator asks: what is switched off is told to be so by one.
	Match          Match // The versions of the account for which it is meant.
	SkipTest       bool
}

// Preset is what a provider's preset says of one protocol for one address.
type Preset struct {
	Provider string // The preset's id.
	Name     string // The provider's name: the default label.
	Servers  map[Protocol]Server
	Username string // Filled in for the address.
	Auth     []Auth // What the provider accepts; empty when not known.
}

// Suggestion is what autoconfig answers for an address.
type Suggestion struct {
	Source   string // "preset", "autoconfig", "srv", "guess" or "none".
	Provider string
	Name     string // The provider's; from Discover the one that the account would be given.
	Folder   string // From Discover: the folder that the account would be given.
	Servers  map[Protocol]Server
	Username string
	// DidYouMean is the domain of which the address's is probably a slip; "": none.
	// Until a person has said which is right, no password should be asked for.
	DidYouMean string
}
