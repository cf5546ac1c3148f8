// Package words is where texts are.
package words

const said = "Hasło zostało odrzucone."
