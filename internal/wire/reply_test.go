package wire

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// refusals are what servers really say, with what it means in every phase and
// by either protocol. A row that names a code is for the protocol that has it.
var refusals = []struct {
	row, said string
	code      fault.Code
	wait      time.Duration
}{
	// D1: the provider has had enough of us.
	{"D1", "[OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)", fault.RateLimited, 0},
	{"D1", "[THROTTLED] slow down", fault.RateLimited, 0},
	{
		"D1", "Request is throttled. Suggested Backoff " +
			"Time: 178755 milliseconds", fault.RateLimited, 178755 * time.Millisecond,
	},
	{"D1", "[LIMIT] UID FETCH Rate limit hit", fault.RateLimited, 0},
	{"D1", "Account exceeded command or bandwidth limits", fault.RateLimited, 0},
	{"D1", "[UNAVAILABLE] UID FETCH Server error", fault.ServerUnavailable, 0},
	{"D1", "Server Unavailable. 15", fault.ServerUnavailable, 0},
	{"D1", "Connection is closed. 14", fault.ServerUnavailable, 0},
	// D9, F6: signed in, and no mail to be had.
	{"D9", "User is authenticated but not connected.", fault.AccessDisabled, 0},
	{"D9", "EXAMINE Unsafe Login. Please contact kefu@188.com for help", fault.AccessDisabled, 0},
	{"D9", "Conflict with previous locker", fault.MailboxInUse, 0},
	{"D8", "IMAP access disabled for this account.", fault.AccessDisabled, 0},
	{"F9", "[ALERT] Please enable IMAP access in your account settings first.", fault.AccessDisabled, 0},
	// D11: the same words mean the same by both protocols, behind a code or without.
	{"D11", "[LIMIT] LOGIN Rate limit hit.", fault.RateLimited, 0},
	{"D11", "[SYS/TEMP] maildrop is locked by another session", fault.MailboxInUse, 0},
	{"D11", "[UNAVAILABLE] maildrop is locked by another session", fault.MailboxInUse, 0},
	{"D11", "Mailbox locked", fault.MailboxInUse, 0},
	{"D11", "Mailbox is temporarily locked by another session", fault.MailboxInUse, 0},
	{"D11", "account has been suspended", fault.AccountLocked, 0},
	{"D11", "[AUTH] This account has been suspended", fault.AccountLocked, 0},
	{"D11", "[SYS/PERM] This account has been suspended", fault.AccountLocked, 0},
	{"D11", "[UNAVAILABLE] Account exceeded bandwidth limits", fault.RateLimited, 0},
	{"D11", "[IN-USE] Unable to lock maildrop: Mailbox is locked by POP server", fault.MailboxInUse, 0},
	{"D11", "[LOGIN-DELAY] minimum time between mail checks violation", fault.RateLimited, 0},
	{"D11", "[LOGIN-DELAY 300] too soon", fault.RateLimited, 5 * time.Minute},
	{"D11", "[LOGIN-DELAY/90] too soon", fault.RateLimited, 90 * time.Second},
	{"D11", "[LOGIN-DELAY] wait 15 minutes", fault.RateLimited, 15 * time.Minute},
	{"D11", "[SYS/TEMP] Temporary failure, try again in 30 seconds", fault.ServerUnavailable, 30 * time.Second},
	{"D11", "[SYS/PERM] closed for good", fault.AccessDisabled, 0},
	// F10: words refine a code that says little.
	{
		"F10", "[UNAVAILABLE] Maximum number of connections from user+IP " +
			"exceeded (mail_max_userip_connections=16)", fault.TooManyConnections, 0,
	},
	{"F10", "[LIMIT] too many login attempts", fault.RateLimited, 0},
	{"F10", "[LIMIT] enough", fault.TooManyConnections, 0},
	{"F10", "[SERVERBUG] Account is locked", fault.AccountLocked, 0},
	{"F10", "[INUSE] Too many connections", fault.TooManyConnections, 0},
	{"F10", "[INUSE] wait", fault.MailboxInUse, 0},
	{"F10", "[UNAVAILABLE] Account is temporarily blocked, too many login attempts", fault.RateLimited, 0},
	{"F10", "[UNAVAILABLE] Temporary failure, try again later", fault.ServerUnavailable, 0},
	{"F10", "[ALERT] Too many simultaneous connections. (Failure)", fault.TooManyConnections, 0},
	{"F10", "[AUTHENTICATIONFAILED] LOGIN invalid credentials or IMAP is disabled sc=x", fault.AccessDisabled, 0},
	{
		"F10", "[AUTHENTICATIONFAILED] NEOBHODIM parol prilozheniya https://help.mail.ru " +
			"/ Application password is REQUIRED", fault.AppPasswordRequired, 0,
	},
	{
		"F10", "Login fail. Please using authorized code to login. " +
			"More information at http://service.mail.qq.com", fault.AppPasswordRequired, 0,
	},
	{
		"F10", "Access to your account has been temporarily restricted " +
			"as Yandex suspects it may have been hacked.", fault.AccountLocked, 0,
	},
	{"F10", "Your IP address has been blocked", fault.RateLimited, 0},
	{"F10", "Account temporarily locked", fault.RateLimited, 0},
	{"F10", "Too many incorrect password attempts. Please try again later.", fault.RateLimited, 0},
	// Polish: WP, o2, Interia, Onet, home.pl, nazwa.pl. With and without accents.
	{"F10", "LOGIN Konto jest zablokowane", fault.AccountLocked, 0},
	{"F10", "[SERVERBUG] Konto zostało zablokowane", fault.AccountLocked, 0},
	{"F10", "Dostep przez IMAP jest wylaczony", fault.AccessDisabled, 0},
	{"F10", "Dostęp przez POP3 został wyłączony, włącz go w ustawieniach poczty", fault.AccessDisabled, 0},
	{"F10", "Włącz dostęp dla programów pocztowych w ustawieniach konta", fault.AccessDisabled, 0},
	{"F10", "Wymagane hasło do aplikacji", fault.AppPasswordRequired, 0},
	{"F10", "Zbyt wiele jednoczesnych połączeń: przekroczono limit połączeń", fault.TooManyConnections, 0},
	{"F10", "[LIMIT] Zbyt wiele prób logowania, spróbuj ponownie za 15 minut", fault.RateLimited, 15 * time.Minute},
	{"F10", "Skrzynka jest używana przez inny program", fault.MailboxInUse, 0},
	{"F10", "Usługa chwilowo niedostępna", fault.ServerUnavailable, 0},
	{"F10", "Skrzynka została zawieszona", fault.AccountLocked, 0},
	// German: GMX, WEB.DE, T-Online, freenet, IONOS, Strato.
	{"F10", "Das Konto ist gesperrt", fault.AccountLocked, 0},
	{"F10", "[SERVERBUG] Ihr Postfach wurde gesperrt", fault.AccountLocked, 0},
	{"F10", "POP3/IMAP ist für dieses Konto nicht aktiviert", fault.AccessDisabled, 0},
	{"F10", "Der IMAP-Zugriff ist deaktiviert", fault.AccessDisabled, 0},
	{"F10", "Bitte verwenden Sie ein anwendungsspezifisches Passwort", fault.AppPasswordRequired, 0},
	{"F10", "Passwort für E-Mail-Programme erforderlich", fault.AppPasswordRequired, 0},
	{"F10", "Zu viele gleichzeitige Verbindungen", fault.TooManyConnections, 0},
	{"F10", "[UNAVAILABLE] Zu viele Anmeldeversuche, bitte warten Sie 10 Minuten", fault.RateLimited, 10 * time.Minute},
	{"F10", "Das Postfach wird bereits verwendet", fault.MailboxInUse, 0},
	{"F10", "Der Dienst ist vorübergehend nicht verfügbar", fault.ServerUnavailable, 0},
	// Chinese: QQ, 163, 126, yeah.net.
	{"F10", "请使用授权码登录。详情请看: http://service.mail.qq.com/cgi-bin/help", fault.AppPasswordRequired, 0},
	{"F10", "您没有权限使用pop3功能", fault.AccessDisabled, 0},
	{"F10", "IMAP服务未开启", fault.AccessDisabled, 0},
	{"F10", "[SERVERBUG] 帐号已被锁定", fault.AccountLocked, 0},
	{"F10", "[UNAVAILABLE] 登录过于频繁，请5分钟后再试", fault.RateLimited, 5 * time.Minute},
	{"F10", "[LIMIT] 同时连接数过多", fault.TooManyConnections, 0},
	{"F10", "邮箱正在使用中", fault.MailboxInUse, 0},
	{"F10", "系统繁忙", fault.ServerUnavailable, 0},
}

var everyPhase = []Phase{Greeting, SigningIn, AskingAccount, OpeningFolder, ReadingMessage}

// asIMAP is a refusal as an IMAP server gives it.
func asIMAP(kind, said string) Reply {
	code, args, text := responseText([]byte(said))
	return Reply{kind, code, string(args), text}
}

func TestTheSameWordsMeanTheSameInEveryPhase(t *testing.T) {
	for _, tc := range refusals {
		t.Run(tc.row+" "+tc.said, func(t *testing.T) {
			for name, r := range map[string]Reply{
				"POP3": POP3Reply(tc.said), "NO": asIMAP(NO, tc.said), "BAD": asIMAP(BAD, tc.said),
				"BYE": asIMAP(BYE, tc.said),
			} {
				code, _, _ := strings.Cut(tc.said, "]")
				if name != "POP3" && strings.HasPrefix(code, "[") && strings.Contains(code, "/") {
					continue // No code of IMAP's.
				}
				for _, p := range everyPhase {
					if f := r.Judge(p, "asking", remote.Credential{}); f.Code != tc.code || !f.Session || f.RetryAfter != tc.wait {
						t.Errorf("%s in phase %d: %s, session %v, wait %v", name, p, f.Code, f.Session, f.RetryAfter)
					}
				}
			}
		})
	}
}

// Newcomer N8: a password that was right until it had to be changed is no wrong one.
func TestAnExpiredPasswordIsToldFromAWrongOne(t *testing.T) {
	for said, expired := range map[string]bool{
		"[EXPIRED] Password expired":                            true,
		"[EXPIRED] LOGIN failed.":                               true,
		"[AUTHENTICATIONFAILED] Your password has expired":      true,
		"Hasło do konta wygasło, hasło musi zostać zmienione":   true,
		"Hasło wygasło":                                         true,
		"LOGIN failed: user password must change at next logon": true,
		"[AUTH] Ihr Passwort ist abgelaufen":                    true,
		"[SYS/PERM] PASSEXPIRED":                                true,
		"密码已过期":                                                 true,
		"[AUTHENTICATIONFAILED] Authentication failed.":         false,
		"Wrong password":                                        false,
		"Konto wygasło":                                         false,
		"Session expired, password needed":                      false,
	} {
		for name, r := range map[string]Reply{"POP3": POP3Reply(said), "NO": asIMAP(NO, said)} {
			f := r.Judge(SigningIn, "signing in", remote.Credential{})
			if told := strings.HasPrefix(f.Detail.String(), fault.PasswordExpired+" The server says: "); told != expired ||
				expired && f.Code != fault.AuthFailed {
				t.Errorf("%s %q is reported as %s: %q", name, said, f.Code, f.Detail)
			}
		}
	}
}

// servers D11: Exchange means the session, unless one thing was asked for.
func TestAProtocolErrorIsNoWrongPassword(t *testing.T) {
	for p, want := range map[Phase]fault.Code{
		Greeting: fault.ProtocolError, SigningIn: fault.ProtocolError, AskingAccount: fault.ProtocolError,
		OpeningFolder: fault.FolderFailed, ReadingMessage: fault.MessageFailed,
	} {
		f := POP3Reply("Protocol error. 14").Judge(p, "asking", remote.Credential{})
		if f.Code != want || f.Session != (p < OpeningFolder) {
			t.Errorf("phase %d: %s, session %v", p, f.Code, f.Session)
		}
	}
}

// D11, F10: who does not know UTF-8 means the same.
func TestWordsAreReadInTheEncodingsOfTheirLanguages(t *testing.T) {
	for said, want := range map[string]fault.Code{
		"\xc4\xfa\xc3\xbb\xd3\xd0\xc8\xa8\xcf\xde\xca\xb9\xd3\xc3pop3\xb9\xa6\xc4\xdc": fault.AccessDisabled, // 163, in GBK.
		"Dost\xeap przez POP3 jest wy\xb3\xb1czony":                                    fault.AccessDisabled, // ISO 8859-2.
		"Zu viele Anmeldeversuche, zu h\xe4ufig":                                       fault.RateLimited,    // ISO 8859-1.
		"\xff\xfe\x80":                                                                 fault.AuthFailed,
	} {
		if f := POP3Reply(said).Judge(SigningIn, "signing in", remote.Credential{}); f.Code != want {
			t.Errorf("%q: %s, want %s", said, f.Code, want)
		}
	}
}

// The control of the tests above: words that say nothing of the session leave
// the blame where the question put it.
func TestWordsAboutOneThingBlameThatAlone(t *testing.T) {
	for _, said := range []string{
		"message is corrupted", "no such message", "[NONEXISTENT] Mailbox doesn't exist: Stuff",
		"[EXPUNGEISSUED] Some messages were expunged",
		"The specified message set is invalid.", "[CANNOT] Invalid mailbox name", "[NOPERM] Permission denied", "failed",
		"[NONEXISTENT] Mailbox is temporarily useless, try again", "Nie ma takiej wiadomości",
		"Nachricht nicht gefunden", "邮件不存在", "[CLIENTBUG] Invalid UID set",
	} {
		for _, p := range []Phase{OpeningFolder, ReadingMessage} {
			want := fault.FolderFailed
			if p == ReadingMessage {
				want = fault.MessageFailed
			}
			for _, r := range []Reply{POP3Reply(said), asIMAP(NO, said), asIMAP(BAD, said)} {
				if f := r.Judge(p, "asking", remote.Credential{}); f.Code != want || f.Session || f.RetryAfter != 0 {
					t.Errorf("%s %q in phase %d: %s, session %v", r.Kind, said, p, f.Code, f.Session)
				}
			}
			if f := asIMAP(BYE, said).Judge(p, "asking", remote.Credential{}); f.Code == want || !f.Session {
				t.Errorf("BYE %q in phase %d: %s, session %v", said, p, f.Code, f.Session)
			}
		}
	}
}

func TestARefusedPasswordIsTakenForNothingElse(t *testing.T) {
	for _, said := range []string{
		"Invalid credentials", "[AUTHENTICATIONFAILED] Authentication failed.",
		"Wrong password, please try again", "User not authenticated",
		"[AUTH] Password incorrect. Try again later",
		"Nieprawidłowy login lub hasło, spróbuj ponownie",
		"Benutzername oder Passwort falsch. Bitte versuchen Sie es erneut", "密码错误，请重试", "no", "",
		// QQ says all of it at once.
		"Login fail. Account is abnormal, service is not open, password is incorrect, " +
			"login frequency limited, or system is busy.",
	} {
		for _, r := range []Reply{POP3Reply(said), asIMAP(NO, said)} {
			f := r.Judge(SigningIn, "signing in", remote.Credential{})
			if f.Code != fault.AuthFailed {
				t.Errorf("%q: %s", said, f.Code)
			}
			token := remote.Credential{Auth: remote.OAuth2}
			if f = r.Judge(SigningIn, "signing in", token); f.Code != fault.OAuthReauthorizationRequired {
				t.Errorf("%q, with a token: %s", said, f.Code)
			}
			if f = r.Judge(ReadingMessage, "reading", remote.Credential{}); f.Code.Credential() {
				t.Errorf("%q, signed in: %s", said, f.Code)
			}
		}
	}
}

func TestHowLongAServerAsksToBeLeftAlone(t *testing.T) {
	for said, want := range map[string]time.Duration{
		"Suggested Backoff Time: 300000 milliseconds":          5 * time.Minute,
		"throttled; suggested backoff time: 1500":              1500 * time.Millisecond,
		"throttled; back-off time 20 seconds":                  20 * time.Second,
		"[LOGIN-DELAY]":                                        0,
		"[LOGIN-DELAY] 5 minutes minimum":                      0,
		"[LOGIN-DELAY] minimum of 10 minutes between logins":   10 * time.Minute,
		"[LOGIN-DELAY x] y":                                    0,
		"Try again in 2 hours":                                 2 * time.Hour,
		"please wait for 1 day":                                24 * time.Hour,
		"Bitte erneut in 2 Stunden versuchen":                  2 * time.Hour,
		"Spróbuj ponownie za 3 godziny":                        3 * time.Hour,
		"请10分钟后再试":                                             10 * time.Minute,
		"请稍后再试，30秒后重试":                                         30 * time.Second,
		"Autologout; idle for 30 minutes":                      0,
		"Disconnected after 1800 seconds of inactivity":        0,
		"try again, message 7 of 9":                            0,
		"wait -5 seconds":                                      5 * time.Second,
		"Suggested Backoff Time: 0 milliseconds":               0,
		"Suggested Backoff Time: 999999999999 milliseconds":    longestWait,
		"wait 999999999999 hours":                              longestWait,
		"Suggested Backoff Time: 99999999999999999999 seconds": longestWait,
	} {
		if got := POP3Reply(said).wait(); got != want {
			t.Errorf("%q: %v, want %v", said, got, want)
		}
	}
}

// Every row of the table can be met: none stands behind one that takes all of
// its words.
func TestNoRowOfTheTableIsInVain(t *testing.T) {
	for i, w := range slices.Concat(tellingWords, vagueWords) {
		met := false
		for _, words := range append(slices.Clone(w.any), w.with...) {
			if folded := foldWords("x" + words + "x"); folded != " x"+words+"x " {
				t.Errorf("row %d: %q is not as foldWords writes it", i, words)
			}
		}
		for _, any := range w.any {
			for _, with := range append(slices.Clone(w.with), "") {
				if with == "" && len(w.with) > 0 {
					continue
				}
				text := any + " " + with
				code, told := Reply{Kind: NO, Text: text}.Means()
				met = met || told && code == w.code
			}
		}
		if !met {
			t.Errorf("row %d (%s) is never met", i, w.code)
		}
	}
}

func TestTheLibrarysRefusalIsTheServers(t *testing.T) {
	e := &imap.Error{Type: imap.StatusResponseTypeNo, Code: "LIMIT", Text: "Rate limit hit"}
	f := IMAPReply(e).Judge(ReadingMessage, "reading", remote.Credential{})
	if f.Code != fault.RateLimited || !f.Session {
		t.Errorf("%+v", f)
	}
}

// TestTheSecretIsInNoFormOfADetail: neither shown nor kept, where a server repeats it. The control is a server that
// repeats what is no secret.
func TestTheSecretIsInNoFormOfADetail(t *testing.T) {
	const secret = `zażółć "gęś"\jaźń`
	for name, cred := range map[string]remote.Credential{
		"redacted": {Username: "anna", Secret: remote.NewSecret(secret)}, "control": {Username: "anna"},
	} {
		f := asIMAP(NO, "[AUTHENTICATIONFAILED] no such password: "+secret).Judge(SigningIn, "signing in", cred)
		kept := words.Kept(f.Detail.Keep())
		for _, text := range []string{f.Error(), f.Detail.Keep(), kept.String(), kept.In(words.Polish, nil)} {
			if found := strings.Contains(text, "gęś"); found != (name == "control") {
				t.Errorf("%s: %q", name, text)
			}
		}
	}
}
