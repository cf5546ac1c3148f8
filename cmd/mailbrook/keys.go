package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// meaning says in a sentence what a key is for.
func meaning(key string) string {
	if rest, ok := strings.CutPrefix(key, "oauth."); ok {
		_, rest, _ = strings.Cut(rest, ".")
		return map[string]string{
			"client_id":     "The registration at that provider, so that users sign in on its page.",
			"client_secret": "The registration's secret.",
			"authorize_url": "Another page to sign in on than the provider's usual one.",
			"token_url":     "Another place to fetch tokens from.",
			"issuer":        "Who has to have issued its answers.",
			"scopes":        "The scopes to ask for, instead of the known ones.",
			"hosts":         "Further mail servers that are shown its tokens.",
		}[rest]
	}
	if rest, ok := strings.CutPrefix(key, "copies."); ok {
		return meaningOfCopies(rest)
	}
	return map[string]string{
		"listen":                       "Address of the REST API and the web pages.",
		"listen_ops":                   "Address of readiness and metrics, if not that one.",
		"data_dir":                     "Where keys, the embedded database and local mailboxes lie.",
		"database":                     "sqlite:FILE or postgres://...",
		"mailbox":                      "Maildir++ root of a user: maildir:/path/{domain}/{local}; or imap.",
		"create_mailboxes":             "Whether a user's first visit makes a mailbox that never was there.",
		"memory_limit":                 "What visits may hold in memory together, such as 512MB.",
		"remote.allow_networks":        "Networks allowed although not public.",
		"remote.allow_ports":           "Ports an account may name; * for all.",
		"remote.own_hosts":             "Hosts of users' own mailboxes, which no account may name.",
		"remote.ca_file":               "Further roots for remote TLS (PEM).",
		"remote.allow_plaintext":       "Whether unencrypted accounts are accepted.",
		"poll.interval":                "Default between polls of one account; its flag is --default-poll-interval.",
		"poll.min_interval":            "The least interval a user may ask for.",
		"poll.workers":                 "Visits at a time in one process.",
		"accounts.max_per_user":        "Accounts per user.",
		"audit.keep":                   "How long it is known who did what: 90d, 1y or forever.",
		"auth.secret":                  "Secret shared with who signs bearer tokens (HS256).",
		"auth.jwks_url":                "Where the keys of tokens made elsewhere are.",
		"auth.issuer":                  "Who has to have issued those tokens.",
		"auth.audience":                "For whom those tokens have to be.",
		"auth.user_id_claim":           "The claim that tells users apart who have one address after another.",
		"imap.address":                 "With mailbox = imap, its server: host:port or unix:/path.",
		"imap.security":                "tls, starttls, or none: here and in remote.allow_networks only.",
		"imap.ca_file":                 "Further roots for it (PEM).",
		"imap.login":                   "{user}*NAME, {user}%NAME, plain-authzid, xoauth2 or per-user.",
		"imap.user":                    "Who signs in for all users, with plain-authzid.",
		"imap.password":                "The password of who signs in for all users.",
		"imap.root":                    "The folder below which account folders lie, if any.",
		"imap.connections":             "Connections at a time in one process, one per user at most.",
		"imap.oauth.token_url":         "Where access tokens are had, with xoauth2.",
		"imap.oauth.client_id":         "The registration there.",
		"imap.oauth.client_secret":     "The registration's secret.",
		"imap.oauth.service_account":   "A service account's key (JSON) instead, which has a token for each user: Google.",
		"imap.oauth.scope":             "What is asked for.",
		"web.signin":                   "How people sign in who have no link: none, imap, header or oidc.",
		"trusted_proxies":              "Proxies in front, whose word on where requests come from counts.",
		"signin.domains":               "Domains whose users may sign in by a password; none: all.",
		"signin.imap.host":             "The IMAP server that knows the passwords.",
		"signin.imap.port":             "Its port, if not 993 (tls) or 143.",
		"signin.imap.security":         "tls, starttls, or none on this machine only.",
		"signin.imap.ca_file":          "Further roots for it (PEM).",
		"signin.imap.login":            "What it calls users: address, or local for what stands before the @.",
		"signin.header.name":           "Header in which a proxy says whose a request is.",
		"signin.oidc.issuer":           "The identity provider.",
		"signin.oidc.client_id":        "The registration there.",
		"signin.oidc.client_secret":    "The registration's secret; none: a public client.",
		"signin.oidc.scopes":           "What is asked for besides openid.",
		"signin.oidc.claim":            "The claim with the user's mailbox address.",
		"signin.oidc.allow_unverified": "Whether an email counts without email_verified.",
		"web.frame_ancestors":          "Origins whose pages may show the web pages in a frame.",
		"web.public_url":               "The address at which people see the web pages.",
		"web.brand.name":               "The name that users see on the web pages.",
		"web.brand.logo":               "The picture beside it.",
		"web.brand.color":              "The colour of buttons and links.",
		"web.brand.help_url":           "Where users find help.",
		"web.brand.privacy_url":        "Where they read what happens to their data.",
		"log.level":                    "debug, info, warn or error.",
		"log.format":                   "text or json.",
	}[key]
}

func meaningOfCopies(key string) string {
	return map[string]string{
		"enabled":          "Whether users may copy whole mailboxes.",
		"max_per_user":     "Unfinished copies per user.",
		"workers":          "Copies at a time in one process.",
		"any_target":       "Whether copies may go between any mailboxes; else one is the user's own.",
		"keep_credentials": "How long the passwords of an ended copy are kept.",
		"report_subjects":  "Whether reports by mail have subject lines.",
		"bandwidth":        "The most that one copy reads in a second, such as 2MB; 0: no limit.",
	}[key]
}

// help is kong's, and below that of the program as a whole all keys.
func help(o kong.HelpOptions, k *kong.Context) error {
	if err := kong.DefaultHelpPrinter(o, k); err != nil || k.Selected() != nil || k.Error != nil {
		return err
	}
	return describeKeys(k.Stdout)
}

// describeKeys names every key with its variable. What holds for one provider
// holds for all of them.
func describeKeys(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nConfiguration keys and variables, in the file that --config or %s names, in %s:\n", fileVariable,
		strings.Join(standardFiles(), " or "))
	for _, s := range shownSettings() {
		fmt.Fprintf(&b, "  %s, %s\n      %s\n", s.Name, strings.Join(schema().VariablesOf(s), ", "), meaning(s.Name))
	}
	fmt.Fprintf(&b, "  %s\n", oneForAll())
	_, err := io.WriteString(w, b.String())
	return err
}

// shownSettings are the keys, those of providers' pages once.
func shownSettings() []setting {
	return slices.DeleteFunc(allSettings(), func(s setting) bool {
		return strings.HasPrefix(s.Name, "oauth.") && !strings.HasPrefix(s.Name, "oauth."+oauthServers[0]+".")
	})
}

// oneForAll says what holds for the keys that shownSettings leaves out.
func oneForAll() string {
	return fmt.Sprintf("Instead of %s: %s.", oauthServers[0], strings.Join(oauthServers[1:], ", "))
}
