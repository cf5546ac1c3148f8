package mail

import (
	"crypto/hmac"
	"crypto/sha256"
	"strconv"
	"strings"
)

// A staging folder is where messages lie at an IMAP server on their way into a user's
// folders: one for each journal and lease, which nobody subscribes to.
const stagingPrefix = "mailbrook-staging-"

// StagingFolder names the staging folder of a journal under a lease's epoch.
func StagingFolder(key []byte, journal string, epoch int64) string {
	name := strconv.FormatInt(epoch, 10) + "-" + journal
	return stagingPrefix + stagingProof(key, name) + "-" + name
}

// ReadStagingFolder takes such a name apart, whatever a server has before it; false where it
// is none of the installation that holds key.
func ReadStagingFolder(key []byte, name string) (journal string, epoch int64, ok bool) {
	at := strings.LastIndex(name, stagingPrefix)
	if at < 0 {
		return "", 0, false
	}
	rest := name[at+len(stagingPrefix):]
	if len(rest) <= markProof || rest[markProof] != '-' || !isBase32(rest[:markProof]) {
		return "", 0, false
	}
	proof, which := rest[:markProof], rest[markProof+1:]
	digits, journal, ok := strings.Cut(which, "-")
	epoch, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || !hmac.Equal([]byte(proof), []byte(stagingProof(key, which))) {
		return "", 0, false
	}
	return journal, epoch, true
}

func stagingProof(key []byte, name string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte("staging folder\x00" + name))
	return tokenEncoding.EncodeToString(h.Sum(nil))[:markProof]
}
