package wire

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/mailbrook/mailbrook/internal/fault"
)

// responseCodes are the codes of RFC 5530, RFC 2449 section 8, RFC 3206, and
// some of providers' own. refined ones say little: telling words count more. A
// code without a meaning here is about a folder or message.
var responseCodes = map[string]struct {
	code    fault.Code
	refined bool
}{
	"OVERQUOTA":       {fault.RateLimited, false}, // Gmail: of bandwidth or commands.
	"THROTTLED":       {fault.RateLimited, false},
	"LOGIN-DELAY":     {fault.RateLimited, false},
	"EXPIRED":         {fault.AuthFailed, false},
	"PRIVACYREQUIRED": {fault.TLSFailure, false},

	"UNAVAILABLE":  {fault.ServerUnavailable, true},
	"SERVERBUG":    {fault.ServerUnavailable, true},
	"SYS/TEMP":     {fault.ServerUnavailable, true},
	"SYS/PERM":     {fault.AccessDisabled, true},
	"LIMIT":        {fault.TooManyConnections, true},
	"INUSE":        {fault.MailboxInUse, true},
	"IN-USE":       {fault.MailboxInUse, true},
	"CONTACTADMIN": {fault.AccountLocked, true},
	"WEBALERT":     {fault.AccountLocked, true},

	"NONEXISTENT":   {"", true},
	"NOPERM":        {"", true},
	"CORRUPTION":    {"", true},
	"EXPUNGEISSUED": {"", true},
	"TOOBIG":        {"", true},
}

// saidWords is what servers say for one reason, folded by foldWords: one of
// any, and, where that is not empty, one of with as well.
type saidWords struct {
	code      fault.Code
	any, with []string
}

func (w saidWords) in(text string) bool {
	return holdsOne(text, w.any) && (len(w.with) == 0 || holdsOne(text, w.with))
}

func holdsOne(text string, words []string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// What access for mail programs, and an account, is called.
var (
	protocolNames = []string{
		"imap", "pop3", " pop ", "/pop ", " pop/", "protocol", "protokol", "mail program", "mail client", "external client",
		"program pocztow", "programy pocztow", "programow pocztow", "klient pocztow", "klientow pocztow",
		"zewnetrznych programow",
		"e-mail-programm", "mailprogramm", "externe programme", "客户端", "协议",
	}
	accountNames = []string{
		"account", "user", "konto", "konta", "skrzynka", "skrzynki", "uzytkownik", "konten", "postfach", "benutzer",
		"kennung", "zugang", "帐号", "账号", "账户", "帐户", "用户", "邮箱",
	}
)

// passwordExpired is what servers say of a password that was right until it had to be
// changed: Dovecot, Exchange and others in front of a directory, and PAM.
var passwordExpired = []string{
	"password expired", "password has expired", "password is expired", "password had expired", "passwords expired",
	"password was expired", "expired password", "passexpired", "password_expired",
	"password must be changed", "password must change",
	"must change your password", "must change password", "password needs to be changed", "password is too old",
	"have to change your password", "need to change your password", "password change required",
	"password change is required",
	"haslo wygaslo", "haslo stracilo waznosc", "waznosc hasla", "haslo jest niewazne", "wygasle haslo",
	"haslo musi zostac zmienione",
	"passwort ist abgelaufen", "passwort abgelaufen", "kennwort ist abgelaufen", "kennwort abgelaufen",
	"abgelaufenes passwort", "passwort muss geandert", "passwort muss geaendert", "kennwort muss geandert",
	"kennwort muss geaendert", "密码已过期", "密码过期", "密码已经过期",
}

// tellingWords are what servers of the catalogue's providers say, in English,
// Polish, German and Chinese, from the most to the least telling. They hold for
// both protocols and for every phase, and refine a code that says little.
var tellingWords = []saidWords{
	{fault.AppPasswordRequired, []string{
		"application-specific password", "app-specific password", "application specific password", "app specific password",
		"app password", "application password", "use an app", "parol prilozheniya", "пароль приложения",
		"authorized code", "authorization code to log", "authorisation code to log", // QQ, 163.
		"haslo do aplikacji", "hasla do aplikacji", "haslo aplikacji", "hasla aplikacji", "haslo dla aplikacji",
		"hasla dla aplikacji",
		"haslo dla programu", "hasla dla programu", "hasla dla programow", "haslo dla programow",
		"anwendungsspezifisch", "app-passwort", "app passwort", "anwendungspasswort", "anwendungs-passwort",
		"appspezifisch",
		"passwort fur e-mail-programme", "passwort fuer e-mail-programme", "geratepasswort",
		"授权码", "授权密码", "专用密码", "应用密码", "安全密码",
	}, nil},
	{fault.TooManyConnections, []string{
		"too many simultaneous", "too many connections", "too many concurrent", "too many open connections",
		"too many imap connections",
		"too many pop", "number of connections", "number of simultaneous", "number of concurrent", "connection limit",
		"connections exceeded",
		"connections limit", "mail_max_userip_connections", "too many sessions", "session limit", "sessions exceeded",
		"zbyt wiele polaczen", "za duzo polaczen", "zbyt duzo polaczen", "limit polaczen", "liczba polaczen",
		"liczbe polaczen",
		"zbyt wiele sesji", "zbyt wielu polaczen",
		"zu viele verbindungen", "zu viele gleichzeitige", "anzahl der verbindungen", "anzahl gleichzeitiger",
		"maximale anzahl an verb",
		"zu viele sitzungen", "连接数", "连接过多", "过多连接", "连接太多", "并发",
	}, nil},
	{fault.MailboxInUse, []string{
		"already in use", "locked by another", "another session", "other session", "another process", "other process",
		"another client",
		"another connection", "previous locker", "another pop", "lock maildrop", "lock mailbox", "lock busy",
		"unable to lock",
		"locked by pop", "lock the mail",
		"inna sesj", "innej sesji", "inna sesja", "inne polaczenie", "innego programu", "inny program",
		"jest w uzyciu",
		"jest juz uzywan", "jest uzywan", "przez inny", "przez inna", "przez inne",
		"andere sitzung", "anderen sitzung", "andere verbindung", "anderen prozess", "anderem prozess",
		"bereits verwendet", "in benutzung",
		"bereits geoffnet", "bereits in gebrauch", "使用中", "正在使用", "正在被", "被占用", "其他会话", "其它会话", "其他客户端",
	}, nil},
	{fault.RateLimited, []string{
		"too many login", "too many failed", "too many attempts", "too many auth", "too many requests", "too many commands",
		"too many invalid", "too many incorrect", "too many wrong", "too many logon", "too many sign",
		"too many password", "too frequent", "too often", "too quickly",
		"rate limit", "ratelimit", "throttl", "backoff time", "back-off time", "bandwidth", "command limit",
		"command or bandwidth",
		"login rate", "login limit", "login attempts exceeded", "minimum time between", "temporarily blocked",
		"temporarily banned", "wait before", "daily limit", "download limit", "traffic limit",
		"zbyt wiele prob", "za duzo prob", "zbyt wiele nieudanych", "zbyt wielu prob", "zbyt czest", "za czest",
		"limit logowan",
		"limit transferu", "limit prob", "przekroczono limit", "tymczasowo zablokowan", "czasowo zablokowan",
		"zbyt wiele zapytan",
		"zbyt wiele polecen",
		"zu viele anmelde", "zu viele fehl", "zu viele versuche", "zu viele login", "zu viele anfragen", "zu haufig",
		"zu haeufig", "zu oft",
		"vorubergehend gesperrt", "voruebergehend gesperrt", "zeitweise gesperrt", "datenvolumen", "bandbreite",
		"频繁", "频率", "过频", "次数过多", "次数太多", "次数超", "请求过多", "流量超", "超出流量", "带宽",
	}, nil},
	{fault.RateLimited, []string{
		" ip ", "ip address", "ip-address", "your ip", "ip-adr",
	}, []string{
		"blocked", "banned", "blacklist", "locked", "zablokowan", "gesperrt", "blockiert",
	}},
	{fault.RateLimited, []string{"temporarily locked"}, accountNames},
	{fault.AuthFailed, passwordExpired, nil},
	{fault.AccessDisabled, []string{
		"authenticated but not connected", "unsafe login", "basicauthblocked", "basic authentication is disabled",
		"basic auth is disabled",
		"basic authentication disabled", "basic authentication is not", "没有权限使用", "不安全登录",
	}, nil},
	{fault.AccessDisabled, protocolNames, []string{
		"not enabled", "disabled", "enable imap", "enable pop", "please enable", "must enable", "imap service is not",
		"pop service is not",
		"pop3 service is not", "imap access is not", "pop access is", "pop3 access is", "not authorized to use",
		"not authorised to use",
		"not allowed to use", "not permitted to use", "switched off", "turned off", "not activated", "deactivated",
		"access is blocked",
		"access blocked", "access is denied", "no access", "is off",
		"wylaczon", "nieaktywn", "niewlaczon", "nie jest wlaczon", "nie wlaczon", "nie zostal wlaczon", "wlacz ",
		"wlaczyc", "nie jest aktywn", "aktywuj",
		"dostep zablokowan", "jest zablokowan", "zablokowany dostep", "brak dostepu", "nie masz dostepu", "brak uprawnien",
		"deaktiviert", "nicht aktiv", "abgeschaltet", "ausgeschaltet", "nicht freigeschaltet", "nicht freigegeben",
		"nicht eingeschaltet",
		"nicht erlaubt", "nicht zugelassen", "aktivieren sie", "freischalten", "einschalten",
		"未开启", "未开通", "没有开启", "没有开通", "未启用", "未打开", "已关闭", "被关闭", "请开启", "请先开启", "停用", "无权", "没有权限", "禁止",
	}},
	{fault.MailboxInUse, []string{"mailbox", "maildrop", "mail drop", "mail box", "folder", "mbox"}, []string{
		"locked", "in use", "is busy", "lock failed", "being accessed",
	}},
	{fault.AccountLocked, []string{
		"web login required", "login blocked", "login is blocked", "logowanie zablokowane",
		"log in via your web browser", "login via your web browser", "has been blocked", "has been suspended",
		"suspended", "zawieszon", "gesperrt", "冻结", "被封", "被禁用", "被锁定", "已锁定", "已被锁",
	}, nil},
	{fault.AccountLocked, accountNames, []string{
		"locked", "blocked", "disabled", "deactivated", "inactive", "banned", "frozen", "restricted",
		"zablokowan", "blokad", "nieaktywn", "wylaczon", "wygasl", "blockiert", "deaktiviert", "stillgelegt", "锁定", "封禁",
		"禁用", "停用",
	}},
}

// vagueWords say that something is amiss and no more. They count where no code
// is known; tries of a password that servers ask for come after its refusal.
var vagueWords = []saidWords{
	{fault.ServerUnavailable, []string{
		"temporar", "internal error", "internal server error", "server error", "unavailable", "backend", "maintenance",
		"not responding",
		"not connected", "connection closed", "connection is closed", "shutting down", "server busy", "server is busy",
		"overloaded",
		"timed out", "over quota", "quota exceeded", "disk full", "no space",
		"tymczasow", "chwilow", "niedostepn", "blad serwera", "blad wewnetrzny", "wewnetrzny blad", "przerwa techniczna",
		"prace techniczne",
		"serwer zajety", "przeciazon",
		"vorubergehend", "voruebergehend", "zurzeit nicht", "zur zeit nicht", "derzeit nicht", "nicht verfugbar",
		"nicht verfuegbar",
		"nicht erreichbar", "interner fehler", "serverfehler", "wartung", "uberlastet", "ueberlastet",
		"繁忙", "暂时", "不可用", "维护", "系统错误", "服务器错误", "内部错误", "超时",
	}, nil},
	{fault.AuthFailed, []string{
		"password", "credential", "passwort", "kennwort", "zugangsdaten", "haslo", "dane logowania", "密码",
	}, []string{
		"invalid", "wrong", "incorrect", "bad ", "mismatch", "not match", "nieprawidlow", "bledn", "niepoprawn",
		"falsch", "ungultig",
		"ungueltig", "错误", "不正确", "有误",
	}},
	{fault.AuthFailed, []string{
		"not logged in", "not authenticated", "session expired", "session invalid", "session is invalid",
	}, nil},
	{fault.RateLimited, []string{
		"try again later", "sprobuj pozniej", "sprobuj ponownie pozniej", "spater erneut", "spaeter erneut", "稍后",
	}, nil},
	{fault.ServerUnavailable, []string{
		"try again", "sprobuj ponownie", "erneut versuchen", "versuchen sie es erneut", "重试",
	}, nil},
	{fault.MailboxInUse, []string{" locked"}, nil},
	{fault.ProtocolError, []string{"protocol error"}, nil}, // Exchange, of a whole session.
}

// unaccented writes letters of the words' languages as those servers do that
// know ASCII only.
var unaccented = strings.NewReplacer(
	"ą", "a", "ć", "c", "ę", "e", "ł", "l", "ń", "n", "ó", "o", "ś", "s", "ź", "z", "ż", "z",
	"ä", "a", "ö", "o", "ü", "u", "ß", "ss",
)

// foldWords makes a server's words comparable: lower case, letters without
// accents, single spaces, one at either end.
func foldWords(text string) string {
	return " " + strings.Join(strings.Fields(unaccented.Replace(strings.ToLower(legible(text)))), " ") + " "
}

// legible reads words that are not UTF-8 as Chinese (GBK: long runs of pairs of
// octets), else as ISO 8859-2, which has the letters of Polish and German. It
// is for comparing only: what is shown stays as it came.
func legible(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	longest, run, pairs := 0, 0, true
	for i := range len(text) + 1 {
		if i < len(text) && text[i] >= 0xA1 {
			run++
			continue
		}
		longest, pairs, run = max(longest, run), pairs && run%2 == 0, 0
	}
	decoder := charmap.ISO8859_2.NewDecoder()
	if pairs && longest >= 4 {
		decoder = simplifiedchinese.GBK.NewDecoder()
	}
	read, err := decoder.String(text)
	if err != nil {
		return text
	}
	return read
}
