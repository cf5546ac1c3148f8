package remote_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/remote"
)

// A server that repeats what it was sent shows it to nobody, whatever it made of it (bugreports F4).
func TestNoFormOfASecretIsQuoted(t *testing.T) {
	const user = "anna@remote.test"
	coded := base64.StdEncoding.EncodeToString
	for _, secret := range []string{
		`Hunt"er2\zazolc`, "Hunter2-zażółć&=+ %x", "correct horse  battery", "ya29.a0AfB_byC-" + strings.Repeat("x7Q", 40),
		"sekret",
	} {
		quoted := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace
		half := strings.TrimSpace(secret[:max(len(secret)*2/3, 6)])
		for _, echo := range []string{
			secret, quoted(secret), quoted(quoted(secret)), url.QueryEscape(secret), url.PathEscape(secret),
			strings.ToUpper(secret),
			strings.ReplaceAll(secret, `"`, "&quot;"), coded([]byte(secret)),
			base64.RawURLEncoding.EncodeToString([]byte(secret)),
			coded([]byte("\x00" + user + "\x00" + secret)),
			coded([]byte("user=" + user + "\x01auth=Bearer " + secret + "\x01\x01")),
			coded([]byte("\x00" + user + "\x00" + secret))[3:], coded([]byte(half)), half,
			"password=" + coded([]byte(secret)), "LOGIN " + user + ` "` + quoted(secret) + `"`,
		} {
			said := remote.Redact("syntax error near "+echo+" in line 1", remote.NewSecret(secret))
			if strings.Contains(said, echo) || !strings.Contains(said, "***") ||
				!strings.HasPrefix(said, "syntax error near ") || !strings.HasSuffix(said, "in line 1") {
				t.Errorf("of %q: %q", echo, said)
			}
			for i := 0; i+8 <= len(secret); i++ {
				if strings.Contains(said, secret[i:i+8]) {
					t.Fatalf("of %q: %q shows %q", echo, said, secret[i:i+8])
				}
			}
		}
	}
}

// A few letters of a secret are cut out wherever they stand by themselves.
func TestNoPartOfASecretIsQuoted(t *testing.T) {
	const secret = "Zimorodek-7Lipiec"
	coded := base64.StdEncoding.EncodeToString([]byte("\x00anna\x00" + secret))
	for _, part := range []string{
		"Zimo", "zimo", "ZIMOR", "piec", "ipiec", "7Lip", "dek-7", secret[:9], coded[8:16], coded[len(coded)-8:],
	} {
		for _, words := range []string{`begins with "%"`, "password %... is wrong", "%", "(%)", "pass=%***", "***%"} {
			said := remote.Redact(strings.ReplaceAll(words, "%", part), remote.NewSecret(secret))
			if strings.Contains(said, part) || !strings.Contains(said, "***") {
				t.Errorf("of %q in %q: %q", part, words, said)
			}
		}
	}
	// The control: a word that has as many letters in common with it stays.
	for _, said := range []string{
		"Opieczętowane zimozielone drzewo", "Directory of recipients", "user name and password from this client",
	} {
		for _, other := range []string{secret, "correct-horse", "username-password", "fromthisuser7"} {
			if got := remote.Redact(said, remote.NewSecret(other)); got != said {
				t.Errorf("with %q: %q became %q", other, said, got)
			}
		}
	}
}

// The control: what holds no secret stays as it is, whatever the secret looks like.
func TestWordsWithoutASecretStayAsTheyAre(t *testing.T) {
	for _, said := range []string{
		"Invalid credentials (Failure)", "Wrong password or username.",
		"Please log in via your web browser: https://support.google.com/mail/accounts/answer/78754",
		"Autoryzacja nieudana: błędne hasło.", "d9443c01a7336-297d5c2ab88sm1234mb", "",
	} {
		for _, secret := range []string{
			"password123", "Hunter2-zażółć&=+ %x", "sekret", "tr0ub4dor&3",
			strings.Repeat("QUJD", 200),
		} {
			if got := remote.Redact(said, remote.NewSecret(secret)); got != said {
				t.Errorf("with %q: %q became %q", secret, said, got)
			}
		}
	}
	if got := remote.Redact("as it is"); got != "as it is" {
		t.Errorf("without a secret: %q", got)
	}
}
