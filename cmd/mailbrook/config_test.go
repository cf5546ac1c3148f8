package main

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/webui"
)

const longSecret = "0123456789abcdef0123456789abcdef"

// inFile writes a configuration file and returns its path.
func inFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var comparingConfigs = cmp.Options{
	cmp.Transformer("secret", func(s remote.Secret) string { return s.Reveal() }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.Comparer(func(a, b webui.Brand) bool { return reflect.DeepEqual(a, b) }),
	cmp.Comparer(func(a, b found) bool { return true }),
}

func TestDefaultsAreTheContracts(t *testing.T) {
	t.Chdir(t.TempDir())
	got, err := loadConfig(t.Context(), "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config{
		Listen: "127.0.0.1:8080", DataDir: "./data",
		Database: "sqlite:data/mailbrook.db", Mailbox: "maildir:data/mail/{domain}/{local}", CreateMailboxes: true,
		IMAP:     imapConfig{Security: "tls", Connections: 16},
		Remote:   remoteConfig{AllowPorts: portList{List: []int{110, 143, 993, 995}}},
		Poll:     pollConfig{Interval: 5 * time.Minute, MinInterval: time.Minute, Workers: 64},
		Accounts: accountsConfig{MaxPerUser: 4},
		Web:      webConfig{SignIn: "none"},
		SignIn: signInConfig{
			IMAP: signInIMAPConfig{Security: "tls", Login: "address"},
			OIDC: signInOIDCConfig{Scopes: []string{"email"}, Claim: "email"},
		},
		Copies: copiesConfig{Enabled: true, MaxPerUser: 1, Workers: 4, Keep: 24 * time.Hour},
		Audit:  auditConfig{Keep: 365 * 24 * time.Hour},
		Log:    logConfig{Level: slog.LevelInfo, Format: "text"},
	}
	if diff := cmp.Diff(want, got, comparingConfigs); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

func TestEveryKeyCanBeSetInFileEnvironmentAndOnTheCommandLine(t *testing.T) {
	ca, logo := inFile(t, ""), filepath.Join(t.TempDir(), "logo.svg")
	if err := os.WriteFile(logo, []byte("<svg/>"), 0o600); err != nil {
		t.Fatal(err)
	}
	brand := webui.Brand{
		Name: "Poczta Firma", HelpURL: "https://firma.test/pomoc", PrivacyURL: "https://firma.test/rodo",
	}
	var err error
	if brand.Logo, err = webui.NewLogo(logo, []byte("<svg/>")); err != nil {
		t.Fatal(err)
	}
	if brand.Color, err = webui.ParseColor("#6a1b9a"); err != nil {
		t.Fatal(err)
	}
	service, _ := mailtest.NewServiceAccount(t, "https://login.firma.test/token")
	file := fmt.Sprintf(`
listen = "0.0.0.0:80"
listen_ops = "127.0.0.1:9090"
data_dir = "/srv/mb"
database = "postgres://mb:p%%40ss@db.test/mb"
mailbox = "maildir:/srv/mail/{user}"
create_mailboxes = true
memory_limit = "512MB"
trusted_proxies = ["127.0.0.1", "10.1.2.3/16"]
[remote]
allow_networks = ["10.0.0.0/8", "192.0.2.1", "127.0.0.1/8"]
allow_ports = [993, 1993]
ca_file = %q
allow_plaintext = true
own_hosts = ["imap.firma.test", "192.0.2.7", "2001:db8::1"]
[imap]
address = "Dovecot.firma.test.:143"
security = "starttls"
ca_file = %q
login = "{user}*mailbrook"
user = "mailbrook"
password = "s3kret"
root = "External/Mail"
connections = 4
[imap.oauth]
token_url = "https://login.firma.test/token"
client_id = "mailbrook"
client_secret = "s3kret"
scope = "imap"
service_account = %q
[poll]
interval = "90s"
min_interval = "1s"
workers = 8
[accounts]
max_per_user = 2
[copies]
enabled = false
max_per_user = 3
workers = 2
any_target = true
keep_credentials = "48h"
report_subjects = true
bandwidth = "2MB"
[audit]
keep = "90d"
[auth]
secret = %q
jwks_url = "https://login.test/keys"
issuer = "https://login.test"
audience = "mailbrook"
user_id_claim = "uid"
[web]
frame_ancestors = ["https://webmail.firma.test", "http://Localhost:8081/"]
public_url = "https://Mail.firma.test:443/"
signin = "oidc"
[signin]
domains = ["Firma.test", "xn--fiq.test"]
imap = {host = "IMAP.Firma.test.", port = 1143, security = "starttls", ca_file = %q, login = "local"}
header = {name = "remote-email"}
[signin.oidc]
issuer = "https://login.firma.test/realms/firma"
client_id = "mailbrook"
client_secret = "s3kret"
scopes = ["email", "profile"]
claim = "mailbox"
allow_unverified = true
[web.brand]
name = " Poczta Firma"
logo = %q
color = "#6A1B9A"
help_url = "https://firma.test/pomoc"
privacy_url = "https://firma.test/rodo"
[log]
level = "debug"
format = "json"
`, ca, ca, service, longSecret, ca, logo)
	want := config{
		Copies: copiesConfig{
			MaxPerUser: 3, Workers: 2, AnyTarget: true, Keep: 48 * time.Hour, Subjects: true, Bandwidth: 2 << 20,
		},
		Listen: "0.0.0.0:80", Ops: "127.0.0.1:9090", DataDir: "/srv/mb", Database: "postgres://mb:p%40ss@db.test/mb",
		Mailbox: "maildir:/srv/mail/{user}", CreateMailboxes: true, Memory: 512 << 20,
		IMAP: imapConfig{
			Address: imapAddress{Host: "dovecot.firma.test", Port: 143}, Security: "starttls", CAFile: ca,
			Login: "{user}*mailbrook", User: "mailbrook", Password: remote.NewSecret("s3kret"), Root: "External/Mail",
			Connections: 4, OAuth: imapOAuthConfig{
				TokenURL: "https://login.firma.test/token", ClientID: "mailbrook", ClientSecret: remote.NewSecret("s3kret"),
				Scope: "imap", ServiceAccount: remote.NewSecret(service),
			},
		},
		Remote: remoteConfig{
			AllowNetworks: []netip.Prefix{
				netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"),
				netip.MustParsePrefix("127.0.0.0/8"),
			},
			AllowPorts: portList{List: []int{993, 1993}}, CAFile: ca, AllowPlaintext: true, OwnHosts: []string{
				"imap.firma.test",
				"192.0.2.7", "2001:db8::1",
			},
		},
		Poll: pollConfig{Interval: 90 * time.Second, MinInterval: time.Second, Workers: 8}, Accounts: accountsConfig{
			MaxPerUser: 2,
		},
		Audit: auditConfig{Keep: 90 * 24 * time.Hour},
		Auth: authConfig{
			Secret: remote.NewSecret(longSecret), JWKSURL: "https://login.test/keys",
			Issuer: "https://login.test", Audience: "mailbrook", UserIDClaim: "uid",
		},
		Web: webConfig{
			FrameAncestors: []string{"https://webmail.firma.test", "http://localhost:8081"},
			PublicURL:      "https://mail.firma.test",
			Brand:          brand, SignIn: "oidc",
		},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.1.0.0/16")},
		SignIn: signInConfig{
			Domains: []string{"firma.test", "xn--fiq.test"},
			IMAP: signInIMAPConfig{
				Host: "imap.firma.test", Port: 1143, Security: remote.STARTTLS, CAFile: ca, Login: "local",
			},
			Header: signInHeaderConfig{Name: "Remote-Email"},
			OIDC: signInOIDCConfig{
				Issuer: "https://login.firma.test/realms/firma", ClientID: "mailbrook",
				ClientSecret: remote.NewSecret("s3kret"), Scopes: []string{"email", "profile"}, Claim: "mailbox",
				AllowUnverified: true,
			},
		},
		Log: logConfig{Level: slog.LevelDebug, Format: "json"},
	}
	words := map[string]string{
		"listen": "0.0.0.0:80", "listen_ops": "127.0.0.1:9090", "data_dir": "/srv/mb",
		"database": "postgres://mb:p%40ss@db.test/mb", "mailbox": "maildir:/srv/mail/{user}", "memory_limit": "536870912",
		"remote.allow_networks": "10.0.0.0/8, 192.0.2.1,127.0.0.1/8", "remote.allow_ports": "993,1993", "remote.ca_file": ca,
		"remote.allow_plaintext": "true", "remote.own_hosts": "IMAP.firma.test., 192.0.2.7,[2001:db8::1]",
		"poll.interval": "90s", "poll.min_interval": "1s", "poll.workers": "8", "accounts.max_per_user": "2",
		"copies.enabled": "false", "copies.max_per_user": "3", "copies.workers": "2", "copies.any_target": "true",
		"copies.keep_credentials": "48h", "copies.report_subjects": "true", "copies.bandwidth": "2097152",
		"audit.keep":  "90d",
		"auth.secret": longSecret, "auth.jwks_url": "https://login.test/keys", "auth.issuer": "https://login.test",
		"auth.audience":      "mailbrook",
		"auth.user_id_claim": "uid",
		"create_mailboxes":   "yes",
		"imap.address":       "Dovecot.firma.test.:143", "imap.security": "starttls", "imap.ca_file": ca,
		"imap.login": "{user}*mailbrook", "imap.user": "mailbrook", "imap.password": "s3kret", "imap.root": "External/Mail",
		"imap.connections": "4", "imap.oauth.token_url": "https://login.firma.test/token",
		"imap.oauth.client_id": "mailbrook", "imap.oauth.client_secret": "s3kret", "imap.oauth.scope": "imap",
		"imap.oauth.service_account": service,
		"web.frame_ancestors":        "https://webmail.firma.test, http://localhost:8081",
		"web.public_url":             "https://mail.firma.test",
		"web.signin":                 "oidc", "trusted_proxies": "127.0.0.1, 10.1.2.3/16",
		"signin.domains":   "firma.test xn--fiq.test",
		"signin.imap.host": "imap.firma.test", "signin.imap.port": "1143", "signin.imap.security": "starttls",
		"signin.imap.ca_file": ca, "signin.imap.login": "local", "signin.header.name": "Remote-Email",
		"signin.oidc.issuer":    "https://login.firma.test/realms/firma",
		"signin.oidc.client_id": "mailbrook", "signin.oidc.client_secret": "s3kret", "signin.oidc.scopes": "email,profile",
		"signin.oidc.claim": "mailbox", "signin.oidc.allow_unverified": "yes",
		"web.brand.name": "Poczta Firma", "web.brand.logo": logo, "web.brand.color": "#6a1b9a",
		"web.brand.help_url": brand.HelpURL, "web.brand.privacy_url": brand.PrivacyURL,
		"log.level": "debug", "log.format": "json",
	}
	want.OAuth = map[string]oauthConfig{}
	for _, id := range oauthServers {
		o := oauthConfig{
			ClientID: id + "-client", ClientSecret: remote.NewSecret(id + "-secret"), AuthorizeURL: "https://id.test/" + id,
			TokenURL: "https://id.test/token",
			Issuer:   "https://id.test", Scopes: []string{"mail", "openid"}, Hosts: []string{"imap.id.test"},
		}
		want.OAuth[id] = o
		file += fmt.Sprintf("[oauth.%s]\nclient_id = %q\nclient_secret = %q\nauthorize_url = %q\ntoken_url = %q\nissuer = "+
			"%q\nscopes = [\"mail\", \"openid\"]\nhosts = [\"IMAP.id.test\"]\n",
			id, o.ClientID, o.ClientSecret.Reveal(), o.AuthorizeURL, o.TokenURL, o.Issuer)
		for rest, value := range map[string]string{
			"client_id": o.ClientID, "client_secret": o.ClientSecret.Reveal(), "authorize_url": o.AuthorizeURL,
			"token_url": o.TokenURL,
			"issuer":    o.Issuer, "scopes": "mail,openid", "hosts": "imap.id.test",
		} {
			words["oauth."+id+"."+rest] = value
		}
	}
	if len(words) != len(allSettings()) {
		t.Fatalf("this test knows %d keys, the program %d", len(words), len(allSettings()))
	}
	var environ []string
	for key, value := range words {
		environ = append(environ, "MAILBROOK_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))+"="+value)
	}
	t.Chdir(t.TempDir())
	for _, tc := range []struct {
		name    string
		file    string
		environ []string
		flags   map[string]string
	}{
		{"file", inFile(t, file), nil, nil},
		{"environment", "", environ, nil},
		{"command line", "", nil, words},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := loadConfig(t.Context(), tc.file, tc.environ, tc.flags)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, comparingConfigs); diff != "" {
				t.Errorf("configuration (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCreateMailboxesByDefault(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, tc := range map[string]struct {
		flags map[string]string
		want  bool
	}{
		"the default place":       {nil, true},
		"the same, written out":   {map[string]string{"mailbox": "maildir:data/mail/{domain}/{local}"}, true},
		"the same, from here":     {map[string]string{"mailbox": "maildir:./data/../data/mail/{domain}/{local}"}, true},
		"another place":           {map[string]string{"mailbox": "maildir:/srv/mail/{user}"}, false},
		"another, and told to":    {map[string]string{"mailbox": "maildir:/srv/mail/{user}", "create_mailboxes": "on"}, true},
		"the default, and not to": {map[string]string{"create_mailboxes": "false"}, false},
	} {
		got, err := loadConfig(t.Context(), "", nil, tc.flags)
		if err != nil || got.CreateMailboxes != tc.want {
			t.Errorf("%s: %t, %v", name, got.CreateMailboxes, err)
		}
	}
}

// TestAClaimThatDiffersFromTokenToTokenIsRefused: with it each token would be
// another user's. The control is one that does not.
func TestAClaimThatDiffersFromTokenToTokenIsRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, claim := range append(perToken, "uid", "") {
		_, err := loadConfig(t.Context(), "", nil, map[string]string{"auth.user_id_claim": claim})
		if (err == nil) != (claim == "uid" || claim == "") {
			t.Errorf("%q: %v", claim, err)
		}
	}
}

func TestTheLaterWins(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile(standardFiles()[0], []byte("listen = \"file:1\"\ndata_dir = \"file\"\nlog = {level = "+
		"\"debug\"}"),
		0o600); err != nil {
		t.Fatal(err)
	}
	got, err := loadConfig(t.Context(), "", []string{"MAILBROOK_LISTEN=env:2", "MAILBROOK_DATA_DIR=env"},
		map[string]string{
			"listen": "flag:3",
		})
	if err != nil {
		t.Fatal(err)
	}
	if got.Listen != "flag:3" || got.DataDir != "env" || got.Log.Level != slog.LevelDebug {
		t.Errorf("listen %q, data_dir %q, level %v", got.Listen, got.DataDir, got.Log.Level)
	}
	if got.Database != "sqlite:env/mailbrook.db" || got.Mailbox != "maildir:env/mail/{domain}/{local}" {
		t.Errorf("the defaults below data_dir are %q and %q", got.Database, got.Mailbox)
	}
}

func TestDefaultsGiveWayToWhatIsSet(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tc := range []struct {
		environ             string
		interval, atLeastOf time.Duration
	}{
		{"MAILBROOK_POLL_INTERVAL=2s", 2 * time.Second, 2 * time.Second},
		{"MAILBROOK_POLL_MIN_INTERVAL=10m", 10 * time.Minute, 10 * time.Minute},
		{"MAILBROOK_POLL_INTERVAL=1h", time.Hour, time.Minute},
	} {
		got, err := loadConfig(t.Context(), "", []string{tc.environ}, nil)
		if err != nil || got.Poll.Interval != tc.interval || got.Poll.MinInterval != tc.atLeastOf {
			t.Errorf("%s gives %+v, %v", tc.environ, got.Poll, err)
		}
	}
}

func TestSecretsCanBeInFilesOfTheirOwn(t *testing.T) {
	t.Chdir(t.TempDir())
	secret, database := inFile(t, longSecret+"\n"), inFile(t, "postgres://mb:pw@db.test/mb\r\n")
	for _, tc := range []struct {
		name    string
		file    string
		environ []string
	}{
		{"environment", "", []string{"MAILBROOK_AUTH_SECRET_FILE=" + secret, "MAILBROOK_DATABASE_FILE=" + database}},
		{"file", inFile(t, fmt.Sprintf("database_file = %q\nauth.secret_file = %q", database, secret)), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := loadConfig(t.Context(), tc.file, tc.environ, nil)
			if err != nil || got.Auth.Secret.Reveal() != longSecret || got.Database != "postgres://mb:pw@db.test/mb" {
				t.Errorf("database %q, %v", got.Database, err)
			}
		})
	}
}

func TestMistakesNameTheKeyAndSayWhatToDo(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tc := range []struct {
		name    string
		file    string
		environ string
		says    []string
	}{
		{name: "unknown key", file: `listn = "x"`, says: []string{"listn", "did you mean listen?"}},
		{name: "unknown key in a table", file: "[poll]\nintervall = '5m'", says: []string{
			"poll.intervall",
			"did you mean poll.interval?",
		}},
		{name: "a key in the wrong place", file: `jwks_url = "https://x"`, says: []string{
			"jwks_url",
			"did you mean auth.jwks_url?",
		}},
		{name: "unknown table", file: "[jmap]\nport = 1", says: []string{"jmap", "mailbrook --help"}},
		{name: "not TOML", file: "listen = ", says: []string{"test.toml, line 1"}},
		{name: "twice", file: "listen = 'a:1'\nlisten = 'b:2'", says: []string{"test.toml", "listen"}},
		{name: "number for text", file: "listen = 8080", says: []string{"listen", "text in quotes"}},
		{name: "text for a number", file: "[accounts]\nmax_per_user = 'four'", says: []string{
			"accounts.max_per_user",
			"from 1 to 1000",
		}},
		{name: "an address with a port for a host", file: "[remote]\nown_hosts = 'imap.firma.test:993'", says: []string{
			"remote.own_hosts", "imap.firma.test:993",
		}},
		{name: "text for a truth", file: "[remote]\nallow_plaintext = 'perhaps'", says: []string{
			"remote.allow_plaintext",
			"true or false",
		}},
		{name: "a table for a value", file: "[listen]\nport = 1", says: []string{"listen", "text in quotes"}},
		{name: "a list in a list", file: "[remote]\nallow_ports = [[993]]", says: []string{"remote.allow_ports", "element"}},
		{name: "no unit in the file", file: "[poll]\ninterval = 300", says: []string{"poll.interval", `"5m"`}},
		{name: "no unit in the environment", environ: "MAILBROOK_POLL_INTERVAL=5", says: []string{
			"poll.interval",
			"MAILBROOK_POLL_INTERVAL", "5m", "5s",
		}},
		{name: "not a time", environ: "MAILBROOK_POLL_MIN_INTERVAL=soon", says: []string{"poll.min_interval", "90s"}},
		{name: "no time at all", environ: "MAILBROOK_POLL_INTERVAL=0s", says: []string{"poll.interval", "at least"}},
		{name: "intervals the wrong way round", file: "[poll]\ninterval = '1m'\nmin_interval = '2m'", says: []string{
			"poll.min_interval", "poll.interval", "longer",
		}},
		{name: "empty", environ: "MAILBROOK_LISTEN=", says: []string{"listen", "MAILBROOK_LISTEN", "empty"}},
		{name: "no port to listen on", environ: "MAILBROOK_LISTEN=localhost", says: []string{"listen", "127.0.0.1:8080"}},
		{name: "a port too far", environ: "MAILBROOK_LISTEN=localhost:65536", says: []string{"listen", "65535"}},
		{name: "a network with a slip", environ: "MAILBROOK_REMOTE_ALLOW_NETWORKS=10.0.0.0/8,10.0.0/24", says: []string{
			"remote.allow_networks", `"10.0.0/24"`,
		}},
		{name: "port 0", environ: "MAILBROOK_REMOTE_ALLOW_PORTS=993,0", says: []string{"remote.allow_ports", `"0"`}},
		{name: "all ports and more", environ: "MAILBROOK_REMOTE_ALLOW_PORTS=*,993", says: []string{
			"remote.allow_ports",
			`"*"`,
		}},
		{name: "a CA file that is not there", environ: "MAILBROOK_REMOTE_CA_FILE=/no/such.pem", says: []string{
			"remote.ca_file", "/no/such.pem",
		}},
		{name: "a CA file that is a directory", environ: "MAILBROOK_REMOTE_CA_FILE=/", says: []string{
			"remote.ca_file",
			"directory",
		}},
		{name: "a mailbox of another kind", environ: "MAILBROOK_MAILBOX=mbox:/var/mail/{user}", says: []string{
			"mailbox",
			"maildir:",
		}},
		{name: "one mailbox for all", environ: "MAILBROOK_MAILBOX=maildir:/var/mail/{domain}", says: []string{
			"mailbox",
			"{user}", "{local}",
		}},
		{name: "one mailbox for two domains", environ: "MAILBROOK_MAILBOX=maildir:/srv/mail/{local}", says: []string{
			"mailbox", "two users would share one mailbox", "{domain}",
		}},
		{name: "an unknown word in the mailbox", environ: "MAILBROOK_MAILBOX=maildir:/var/mail/{user}/{year}", says: []string{
			"mailbox", "{year}",
		}},
		{name: "half a word in the mailbox", environ: "MAILBROOK_MAILBOX=maildir:/var/mail/{user}/{local", says: []string{
			"mailbox", "brace",
		}},
		{name: "a database of another kind", environ: "MAILBROOK_DATABASE=mysql://x", says: []string{
			"database", "sqlite:",
			"postgres://",
		}},
		{name: "a short secret", environ: "MAILBROOK_AUTH_SECRET=hunter2", says: []string{"auth.secret", "32 bytes"}},
		{name: "keys over plain HTTP", environ: "MAILBROOK_AUTH_JWKS_URL=http://login.test/keys", says: []string{
			"auth.jwks_url", "https://",
		}},
		{name: "keys without an issuer", environ: "MAILBROOK_AUTH_JWKS_URL=https://login.test/keys", says: []string{
			"auth.",
			"missing",
		}},
		{name: "a secret's file that is not there", environ: "MAILBROOK_AUTH_SECRET_FILE=/no/such", says: []string{
			"auth.secret", "MAILBROOK_AUTH_SECRET_FILE", "/no/such",
		}},
		{name: "a secret twice", file: "[auth]\nsecret = 'x'\nsecret_file = 'y'", says: []string{
			"auth.secret",
			"auth.secret_file", "keep one",
		}},
		{name: "a file for what is no secret", file: "listen_file = 'x'", says: []string{"listen_file", "unknown"}},
		{name: "a public address without a scheme", environ: "MAILBROOK_WEB_PUBLIC_URL=mail.firma.test", says: []string{
			"web.public_url", "https://mail.firma.test",
		}},
		{
			name: "a public address with a path", environ: "MAILBROOK_WEB_PUBLIC_URL=https://mail.firma.test/box",
			says: []string{"web.public_url", "nothing else"},
		},
		{name: "frames for everybody", environ: "MAILBROOK_WEB_FRAME_ANCESTORS=https://a.test,*", says: []string{
			"web.frame_ancestors", `"*"`,
		}},
		{name: "frames for every host", environ: "MAILBROOK_WEB_FRAME_ANCESTORS=https://*.firma.test", says: []string{
			"web.frame_ancestors", "nothing else",
		}},
		{
			name: "frames with another rule behind", environ: "MAILBROOK_WEB_FRAME_ANCESTORS=https://a.test;script-src",
			says: []string{"web.frame_ancestors"},
		},
		{name: "a colour by name", environ: "MAILBROOK_WEB_BRAND_COLOR=red", says: []string{"web.brand.color", "#0b6e66"}},
		{name: "a logo that is not there", environ: "MAILBROOK_WEB_BRAND_LOGO=/no/such.svg", says: []string{
			"web.brand.logo", "/no/such.svg",
		}},
		{name: "a name of two lines", environ: "MAILBROOK_WEB_BRAND_NAME=a\nb", says: []string{
			"web.brand.name",
			"printable",
		}},
		{name: "a name that runs backwards", environ: "MAILBROOK_WEB_BRAND_NAME=Poczta \u202Eamrif", says: []string{
			"web.brand.name", "printable",
		}},
		{name: "a name of separators", environ: "MAILBROOK_WEB_BRAND_NAME=a\u2028b", says: []string{
			"web.brand.name", "printable",
		}},
		{name: "a name that nobody sees", environ: "MAILBROOK_WEB_BRAND_NAME=\u200B\u2060", says: []string{
			"web.brand.name", "can be seen",
		}},
		{name: "a name of empty Braille", environ: "MAILBROOK_WEB_BRAND_NAME=\u2800", says: []string{
			"web.brand.name", "can be seen",
		}},
		{name: "help that runs backwards", environ: "MAILBROOK_WEB_BRAND_HELP_URL=https://firma.test/\u202Ex", says: []string{
			"web.brand.help_url",
		}},
		{name: "help by script", environ: "MAILBROOK_WEB_BRAND_HELP_URL=javascript:alert(1)", says: []string{
			"web.brand.help_url", "https://",
		}},
		{name: "a level unheard of", environ: "MAILBROOK_LOG_LEVEL=loud", says: []string{"log.level", "debug"}},
		{name: "a format unheard of", environ: "MAILBROOK_LOG_FORMAT=xml", says: []string{"log.format", "json"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := ""
			if tc.file != "" {
				file = inFile(t, tc.file)
			}
			_, err := loadConfig(t.Context(), file, []string{tc.environ}, nil)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range tc.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

func TestAFileNamedByHandMustBeThere(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := loadConfig(t.Context(), "missing.toml", nil, nil); err == nil ||
		!strings.Contains(err.Error(), "missing.toml") ||
		!strings.Contains(err.Error(), "--config") {
		t.Errorf("the error is %v", err)
	}
}

func TestMistakesInSecretsDoNotShowThem(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, environ := range []string{
		"MAILBROOK_AUTH_SECRET=canary", "MAILBROOK_DATABASE=postgres:/mb:canary@db.test/mb",
		"MAILBROOK_DATABASE=postgres://mb:canary%zz@db.test/mb",
		"MAILBROOK_DATABASE=mysql://mb:canary@db.test/mb",
	} {
		if _, err := loadConfig(t.Context(), "", []string{environ}, nil); err == nil ||
			strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error is %v", environ, err)
		}
	}
}

func TestAllPortsAreAStar(t *testing.T) {
	t.Chdir(t.TempDir())
	got, err := loadConfig(t.Context(), inFile(t, "[remote]\nallow_ports = '*'"), nil, nil)
	if err != nil || !got.Remote.AllowPorts.Any {
		t.Errorf("%+v, %v", got.Remote.AllowPorts, err)
	}
}

func TestUnknownVariablesAreMistakesAndForeignOnesAreNot(t *testing.T) {
	t.Chdir(t.TempDir())
	for variable, says := range map[string]string{
		"MAILBROOK_POLL_INTERVALL=9m": "unknown variable MAILBROOK_POLL_INTERVALL: did you mean " +
			"MAILBROOK_POLL_INTERVAL?",
		"MAILBROOK_LISTN=x":                "did you mean MAILBROOK_LISTEN?",
		"MAILBROOK_ALLOW_PORTS=993":        "did you mean MAILBROOK_REMOTE_ALLOW_PORTS?",
		"MAILBROOK_AUTH_SECRETFILE=x":      "did you mean MAILBROOK_AUTH_SECRET_FILE?",
		"MAILBROOK_CONFG=x":                "did you mean MAILBROOK_CONFIG?",
		"MAILBROOK_LISTEN_FILE=x":          "unknown variable MAILBROOK_LISTEN_FILE",
		"MAILBROOK_NOTHING_OF_KIND=geheim": "unknown variable MAILBROOK_NOTHING_OF_KIND: \"mailbrook --help\"",
		"MAILBROOK_PORT=8080":              "unknown variable MAILBROOK_PORT",
		"MAILBROOK_=":                      "unknown variable MAILBROOK_",
		// Of others, and of platforms that name variables after services.
		"MAILBROOK=1": "", "novalue": "", "": "", "XMAILBROOK_LISTN=x": "", "mailbrook_listen=x": "",
		"MAILBROOK_SERVICE_HOST=10.0.0.1": "", "MAILBROOK_SERVICE_PORT=80": "", "MAILBROOK_SERVICE_PORT_HTTP=80": "",
		"MAILBROOK_PORT=tcp://10.0.0.1:80": "", "MAILBROOK_PORT_80_TCP_ADDR=10.0.0.1": "",
		"MAILBROOK_PORT_80_TCP_PORT=80": "", "MAILBROOK_API_PORT=tcp://10.0.0.1:80": "",
	} {
		_, err := loadConfig(t.Context(), "", []string{variable}, nil)
		if (err != nil) != (says != "") || err != nil && !strings.Contains(err.Error(), says) ||
			err != nil && strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v, want %q", variable, err, says)
		}
	}
}

// The defaults that are shown are those that hold: setting a key to them changes
// nothing.
func TestDefaultsAreShownAsTheyHold(t *testing.T) {
	t.Chdir(t.TempDir())
	want, err := loadConfig(t.Context(), "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range allSettings() {
		text := want.shown(s)
		if text == "" && (s.Optional || s.Name == "memory_limit") {
			continue // Nothing, or what the machine has.
		}
		got, err := loadConfig(t.Context(), "", []string{schema().Variable(s) + "=" + text}, nil)
		got.Found = want.Found
		if err != nil {
			t.Errorf("%s is shown as %q, which it cannot be: %v", s.Name, text, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is shown as %q, which makes\n%+v of\n%+v", s.Name, text, got, want)
		}
	}
}

func TestThePublicAddressIsWhereTheServerListensUnlessSaid(t *testing.T) {
	for listen, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", ":8080": "http://localhost:8080", "0.0.0.0:80": "http://localhost:80",
		"[::]:8080":  "http://localhost:8080",
		"[::1]:8080": "http://[::1]:8080", "mail.firma.test:8080": "http://mail.firma.test:8080", "127.0.0.1:0": "",
	} {
		if got, err := (config{Listen: listen}).publicURL(nil); got != want || (err != nil) != (want == "") {
			t.Errorf("%s: %q, %v", listen, got, err)
		}
	}
	if got, err := (config{Listen: ":0", Web: webConfig{PublicURL: "https://mail.firma.test"}}).publicURL(
		nil); err != nil || got != "https://mail.firma.test" {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzConfigFile(f *testing.F) {
	for _, s := range []string{"", "listen = 'a:1'", "[poll]\ninterval = 5", "[remote]\nallow_ports = [1, " +
		"'2']\nallow_networks = '::/0'", "a.b.c = {d = []}", "[[auth]]\nsecret = 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		path := filepath.Join(t.TempDir(), "f.toml")
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := loadConfig(t.Context(), path, nil, nil)
		if err == nil && (c.Listen == "" || c.Poll.Interval <= 0 || c.Poll.MinInterval > c.Poll.Interval ||
			!(c.Remote.AllowPorts.Any || len(c.Remote.AllowPorts.List) > 0)) {
			t.Errorf("%q gave %+v", s, c)
		}
	})
}

// TestEveryPageInTheCatalogueCanBeConfigured: and nothing else can.
func TestEveryPageInTheCatalogueCanBeConfigured(t *testing.T) {
	catalog, err := provider.New()
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	c := config{OAuth: map[string]oauthConfig{}}
	for _, o := range catalog.OAuths() {
		ids = append(ids, o.ID)
		c.OAuth[o.ID] = oauthConfig{ClientID: "x"}
	}
	if diff := cmp.Diff(oauthServers, ids); diff != "" {
		t.Errorf("pages (-configuration +catalogue):\n%s", diff)
	}
	for _, p := range c.oauthProviders(catalog) {
		if p.TokenURL == "" || p.AuthorizeURL == "" || len(p.Scopes) == 0 || len(p.Presets) == 0 {
			t.Errorf("%s is not whole: %+v", p.ID, p)
		}
	}
	if got := fmt.Sprintf("%+v", config{OAuth: map[string]oauthConfig{"google": {ClientSecret: remote.NewSecret(
		"geheim")}}}); strings.Contains(got, "geheim") || !strings.Contains(got, "[redacted]") {
		t.Errorf("a configuration is printed as %s", got)
	}
}

func TestSizesAreReadWithAndWithoutUnits(t *testing.T) {
	for text, want := range map[string]int64{
		"134217728": 128 << 20, "128MB": 128 << 20, "128m": 128 << 20, "512 MiB": 512 << 20, "2GB": 2 << 30, "1g": 1 << 30,
		"1TB": 1 << 40, "131072KB": 128 << 20,
		"127MB": 0, "1": 0, "MB": 0, "-1GB": 0, "1.5GB": 0, "1PB": 0, "99999999999999GB": 0, "1GB1": 0, "BG1": 0,
	} {
		if got, err := parseMemory(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q is %d, %v; want %d", text, got, err, want)
		}
	}
}
