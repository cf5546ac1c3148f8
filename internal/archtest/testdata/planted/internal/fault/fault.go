// Package fault is not pure.
package fault

import _ "github.com/google/uuid"

// żaden: a comment is no text for people, and neither is a letter.
var fine = 'ż'

// The first is in English only.
var said = []string{
	"It was refused.", "Hasło zostało odrzucone.",
	`Spróbuj ponownie.`,
	"Zaloguj si\u0119.",
}
