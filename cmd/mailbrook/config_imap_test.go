package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// TestAMailServerThatCannotBeDeliveredToIsRefused: each mistake names its key and says what to do; the control is the
// same without it.
func TestAMailServerThatCannotBeDeliveredToIsRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	master := []string{
		"MAILBOX=imap", "IMAP_ADDRESS=dovecot:143", "IMAP_SECURITY=starttls", "IMAP_LOGIN={user}*mailbrook",
		"IMAP_PASSWORD=canary",
	}
	with := func(further ...string) []string { return append(master[:len(master):len(master)], further...) }
	authzid := with("IMAP_LOGIN=plain-authzid", "IMAP_USER=mailbrook")
	perUser := []string{"MAILBOX=imap", "IMAP_ADDRESS=mox:993", "IMAP_LOGIN=per-user"}
	oauth := []string{
		"MAILBOX=imap", "IMAP_ADDRESS=outlook.office365.com:993", "IMAP_LOGIN=xoauth2",
		"IMAP_OAUTH_TOKEN_URL=https://login.test/token", "IMAP_OAUTH_CLIENT_ID=x", "IMAP_OAUTH_CLIENT_SECRET=canary",
	}
	key, _ := mailtest.NewServiceAccount(t, "https://login.test/token")
	plain, _ := mailtest.NewServiceAccount(t, "http://login.test/token")
	google := []string{
		"MAILBOX=imap", "IMAP_ADDRESS=imap.gmail.com:993", "IMAP_LOGIN=xoauth2", "IMAP_OAUTH_SERVICE_ACCOUNT=" + key,
		"IMAP_OAUTH_SCOPE=https://mail.google.com/",
	}
	account := func(text string) []string { return append(google[:3:3], google[4], "IMAP_OAUTH_SERVICE_ACCOUNT="+text) }
	for name, tc := range map[string]struct {
		environ []string
		says    []string // Nil: it is accepted.
	}{
		"a service account":               {google, nil},
		"a service account without scope": {google[:4], []string{"imap.oauth.scope is missing", "https://mail.google.com/"}},
		"a service account and a registration": {
			append(google[:5:5], "IMAP_OAUTH_CLIENT_ID=x"),
			[]string{"imap.oauth.client_id", "imap.oauth.service_account", "leave one of them out"},
		},
		"a key that is no JSON": {account("canary"), []string{"imap.oauth.service_account", "_file", "no JSON"}},
		"another kind of key":   {account(`{"type":"user"}`), []string{"imap.oauth.service_account", "client_email"}},
		"a key without a key": {
			account(strings.Replace(key, "BEGIN", "canary", 1)), []string{"imap.oauth.service_account", "private_key"},
		},
		"a key with another's key": {
			account(strings.Replace(key, "MII", "canary", 1)), []string{"imap.oauth.service_account", "private_key"},
		},
		"tokens from plain HTTP": {account(plain), []string{"imap.oauth.service_account", "token_uri", "https://"}},

		"a master user":               {master, nil},
		"Stalwart's master":           {with("IMAP_LOGIN={user}%mailbrook"), nil},
		"a master by authzid":         {authzid, nil},
		"each user's own password":    {perUser, nil},
		"tokens":                      {oauth, nil},
		"a Unix socket":               {with("IMAP_ADDRESS=unix:/run/dovecot/imap", "IMAP_SECURITY=none"), nil},
		"plain, here":                 {with("IMAP_ADDRESS=[::1]:143", "IMAP_SECURITY=none"), nil},
		"plain, on a network of ours": {with("IMAP_SECURITY=none", "REMOTE_ALLOW_NETWORKS=172.22.1.0/24"), nil},
		"plain, at an address of it": {
			with("IMAP_ADDRESS=172.22.1.250:143", "IMAP_SECURITY=none", "REMOTE_ALLOW_NETWORKS=172.22.1.0/24"), nil,
		},
		"not chosen": {with("MAILBOX=maildir:/srv/mail/{user}", "IMAP_ADDRESS="), nil},

		"no address":      {append(with(), "IMAP_ADDRESS="), []string{"imap.address is missing", `"dovecot:143"`, "mailbox"}},
		"no port":         {with("IMAP_ADDRESS=dovecot"), []string{"imap.address", "dovecot:143"}},
		"no host":         {with("IMAP_ADDRESS=:143"), []string{"imap.address", "dovecot:143"}},
		"a URL":           {with("IMAP_ADDRESS=imap://dovecot:143"), []string{"imap.address", "dovecot:143"}},
		"a relative path": {with("IMAP_ADDRESS=unix:imap"), []string{"imap.address", "begins with /"}},
		"TLS on a socket": {
			with("IMAP_ADDRESS=unix:/run/imap"), []string{"imap.security", `"none"`, "leave it out", "Unix socket"},
		},
		"plain, elsewhere": {
			with("IMAP_SECURITY=none"), []string{"imap.security", `"tls"`, "remote.allow_networks", "imap.address"},
		},
		"plain, at an address elsewhere": {
			with("IMAP_ADDRESS=10.0.0.1:143", "IMAP_SECURITY=none", "REMOTE_ALLOW_NETWORKS=172.22.1.0/24"),
			[]string{"imap.security", `"tls"`},
		},
		"security unheard of":      {with("IMAP_SECURITY=ssl"), []string{"imap.security", "starttls"}},
		"no file":                  {with("IMAP_CA_FILE=/no/such.pem"), []string{"imap.ca_file", "/no/such.pem"}},
		"no login":                 {with("IMAP_LOGIN="), []string{"imap.login is missing", `{user}*NAME`}},
		"everybody's password":     {with("IMAP_LOGIN={user}"), []string{"imap.login", "master's name"}},
		"a login without the user": {with("IMAP_LOGIN=mailbrook"), []string{"imap.login", "{user}", "plain-authzid"}},
		"another placeholder":      {with("IMAP_LOGIN={local}*mailbrook"), []string{"imap.login", "{user}"}},
		"no password":              {master[:4], []string{"imap.password is missing", "imap.password_file", "imap.login"}},
		"a password in two lines":  {with("IMAP_PASSWORD=a\nb"), []string{"imap.password", "control"}},
		"a user beside the login":  {with("IMAP_USER=x"), []string{"imap.user", "leave it out", "imap.login"}},
		"nobody for all":           {authzid[:len(authzid)-1], []string{"imap.user is missing", "signs in for all users"}},
		"a master's password for each": {
			append(perUser[:3:3], "IMAP_PASSWORD=x"), []string{"imap.password", "leave it out", "/mailbox"},
		},
		"tokens from nowhere":      {append(oauth[:3:3], oauth[4:]...), []string{"imap.oauth.token_url is missing"}},
		"tokens for nobody":        {append(oauth[:4:4], oauth[5]), []string{"imap.oauth.client_id is missing"}},
		"tokens without a secret":  {oauth[:5], []string{"imap.oauth.client_secret", "imap.oauth.client_secret_file"}},
		"tokens and a password":    {append(oauth[:6:6], "IMAP_PASSWORD=x"), []string{"imap.password", "leave it out"}},
		"tokens over plain HTTP":   {append(oauth[:6:6], "IMAP_OAUTH_TOKEN_URL=http://a.test"), []string{"token_url"}},
		"mailboxes made by us":     {with("CREATE_MAILBOXES=true"), []string{"create_mailboxes", "leave it out", "imap"}},
		"a root with a gap":        {with("IMAP_ROOT=A//B"), []string{"imap.root", `"External"`}},
		"a root above":             {with("IMAP_ROOT=A/../B"), []string{"imap.root", `"External"`}},
		"a root of somebody":       {with("IMAP_ROOT=~anna"), []string{"imap.root", `"External"`}},
		"a root without room":      {with("IMAP_ROOT=" + strings.Repeat("x", 61)), []string{"imap.root", "60"}},
		"a root at the root":       {with("IMAP_ROOT=/External"), []string{"imap.root", `"External"`}},
		"no connection":            {with("IMAP_CONNECTIONS=0"), []string{"imap.connections", "from 1"}},
		"another kind of mailbox":  {with("MAILBOX=imaps"), []string{"mailbox", "maildir:", "imap"}},
		"a key that there is not":  {with("IMAP_HOST=dovecot"), []string{"MAILBROOK_IMAP_HOST"}},
		"a login with two masters": {with("IMAP_LOGIN={user}*a b"), []string{"imap.login"}},
	} {
		var environ []string
		set := map[string]string{}
		for _, e := range tc.environ {
			key, value, _ := strings.Cut(e, "=")
			set[key] = value
		}
		for key, value := range set {
			environ = append(environ, fmt.Sprintf("MAILBROOK_%s=%s", key, value))
		}
		_, err := loadConfig(t.Context(), "", environ, nil)
		if (err == nil) != (tc.says == nil) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, want := range tc.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %q shows a password", name, err)
		}
	}
}

// A socket needs no TLS, and what the table says holds as it stands there.
func TestAMailServerIsReadFromTheFileAsItIsWritten(t *testing.T) {
	t.Chdir(t.TempDir())
	password := inFile(t, "geheim\n")
	got, err := loadConfig(t.Context(), inFile(t, fmt.Sprintf(`
mailbox = "imap"
[imap]
address = "dovecot:143"          # host:port, or unix:/path
security = "starttls"
login = "{user}*mailbrook"
password_file = %q
root = "External"
connections = 4
`, password)), nil, nil)
	want := imapConfig{
		Address: imapAddress{Host: "dovecot", Port: 143}, Security: "starttls", Login: "{user}*mailbrook",
		Root: "External", Connections: 4,
	}
	if err == nil && got.IMAP.Password.Reveal() == "geheim" {
		want.Password = got.IMAP.Password
	}
	if err != nil || fmt.Sprintf("%+v", got.IMAP) != fmt.Sprintf("%+v", want) || got.IMAP.Password.Empty() ||
		got.CreateMailboxes {
		t.Errorf("%+v, %v", got.IMAP, err)
	}
	got, err = loadConfig(t.Context(), "", []string{
		"MAILBROOK_MAILBOX=imap", "MAILBROOK_IMAP_ADDRESS=unix:/run/dovecot/imap", "MAILBROOK_IMAP_LOGIN=per-user",
	}, nil)
	if err != nil || got.IMAP.Security != "none" || got.IMAP.Address.String() != "unix:/run/dovecot/imap" {
		t.Errorf("%+v, %v", got.IMAP, err)
	}
}

// A user whose address holds the separator of the master's login is not signed in for: a server could take a part of it
// for another user. The controls are addresses without it, and a way to sign in that divides nothing.
func TestAnAddressWithTheSeparatorOfTheLoginIsNotSignedInFor(t *testing.T) {
	for _, tc := range []struct {
		login, user string
		refused     bool
	}{
		{"{user}*mailbrook", "anna@firma.test", false},
		{"{user}*mailbrook", "anna*jan@firma.test", true},
		{"{user}*mailbrook", "anna%jan@firma.test", false},
		{"{user}%mailbrook", "anna%jan@firma.test", true},
		{"{user}+mailbrook", "anna+x@firma.test", true},
		{"{user}@mailbrook", "anna@firma.test", false},
		{loginAuthzid, "anna*jan@firma.test", false},
	} {
		o, err := owner.Parse(tc.user)
		if err != nil {
			t.Fatal(err)
		}
		l, err := (&mailboxLogins{cfg: imapConfig{Login: tc.login, User: "mailbrook"}}).login(t.Context(), o)
		if (err != nil) != tc.refused || tc.refused && fault.CodeOf(err) != fault.LocalMailboxUnavailable ||
			!tc.refused && l.Credential.Username == "" {
			t.Errorf("%s at %s: %+v, %v", tc.user, tc.login, l, err)
		}
	}
}
