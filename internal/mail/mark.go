package mail

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"
)

// A mark is the name of an empty folder that is not subscribed and lies in each
// account folder: whoever lists the mailbox by IMAP sees that what lies beside
// it was fetched from elsewhere. It survives the renaming of the account folder,
// which takes its children along.
const (
	markPrefix = "mailbrook-"
	markProof  = 16  // Letters that only the key's holder can compute: 80 bits.
	maxJournal = 100 // Octets of a journal's name.
)

// MarkFor returns the mark of an account folder into which this journal's
// account is fetched.
func MarkFor(key []byte, journal string) string {
	return markPrefix + markProofOf(key, journal) + "-" + journal
}

// ReadMark says whether a part of a folder's name is a mark of any
// installation, and of which journal it is where it is one of this
// installation, which holds key; "" otherwise.
func ReadMark(key []byte, part string) (journal string, marks bool) {
	rest, ok := strings.CutPrefix(part, markPrefix)
	if !ok || len(rest) <= markProof+1 || len(rest) > markProof+1+maxJournal || rest[markProof] != '-' {
		return "", false
	}
	proof, journal := rest[:markProof], rest[markProof+1:]
	if !isBase32(proof) {
		return "", false
	}
	if !hmac.Equal([]byte(proof), []byte(markProofOf(key, journal))) {
		return "", true
	}
	return journal, true
}

// challengePrefix begins the name of a folder that is in a mailbox only while a
// connection test finds out whether it leads there.
const (
	challengePrefix  = "mailbrook-test-"
	challengeLetters = 26 // Of base32: what crypto/rand.Text gives, in lower case.
)

// ChallengeFor returns the name of such a folder; random is not to be guessed.
func ChallengeFor(random string) string { return challengePrefix + random }

// IsChallenge reports whether a part of a folder's name is one of these: nobody
// happens to give a folder such a name.
func IsChallenge(part string) bool {
	rest, ok := strings.CutPrefix(part, challengePrefix)
	return ok && len(rest) == challengeLetters && isBase32(rest)
}

// isBase32 reports whether a text has nothing but letters of base32 in lower case.
func isBase32(text string) bool {
	return strings.Trim(text, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

func markProofOf(key []byte, journal string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("account folder\x00" + journal)) // No token begins so: theirs begin with a length.
	return tokenEncoding.EncodeToString(h.Sum(nil))[:markProof]
}
