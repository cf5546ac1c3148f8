package source

import (
	"errors"
	"strings"

	"github.com/emersion/go-imap/v2"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
)

// loginWords are what servers say when they refuse a login, in lower case, from
// the most to the least telling. The same words serve for POP3.
var loginWords = []struct {
	code  fault.Code
	words []string
}{
	{fault.AppPasswordRequired, []string{
		"application-specific password", "app-specific password", "application specific password", "app specific password",
		"app password", "application password", "use an app", "third-party app password",
	}},
	{fault.AccessDisabled, []string{
		"authenticated but not connected", "not enabled for imap", "imap is disabled", "imap access is disabled",
		"imap access disabled", "imap disabled", "enable imap", "imap is not enabled", "imap not enabled", "imap service is not",
		"imap access is not", "not authorized to use imap", "protocol disabled", "protocol is disabled",
		"basic authentication is disabled", "basicauthblocked", "basic auth is disabled",
	}},
	{fault.TooManyConnections, []string{
		"too many simultaneous", "too many connections", "too many concurrent", "maximum number of connections",
		"connection limit", "connections exceeded", "mail_max_userip_connections", "too many sessions",
	}},
	{fault.RateLimited, []string{
		"too many login", "too many failed", "too many attempts", "too many auth", "too many requests", "rate limit", "throttl",
		"bandwidth limit", "login rate", "temporarily blocked", "try again later", "wait before",
	}},
	{fault.AccountLocked, []string{
		"web login required", "log in via your web browser", "login via your web browser", "account is locked", "account locked", "account has been locked",
		"account is blocked", "account blocked", "has been blocked", "suspended", "account is disabled", "account disabled", "account has been disabled",
	}},
	{fault.MailboxInUse, []string{"mailbox in use", "mailbox is in use", "already in use", "locked by another"}},
	{fault.ServerUnavailable, []string{
		"temporar", "internal error", "internal server error", "server error", "unavailable", "try again", "backend", "maintenance", "not responding",
	}},
}

// loginCode finds the code of a refusal by its words, or returns otherwise.
func loginCode(text string, otherwise fault.Code) fault.Code {
	text = strings.ToLower(text)
	for _, w := range loginWords {
		for _, words := range w.words {
			if strings.Contains(text, words) {
				return w.code
			}
		}
	}
	return otherwise
}

// responseCodes are the codes of RFC 5530 and some of providers' own. A code
// counts more than words; AUTHENTICATIONFAILED alone is refined by them.
var responseCodes = map[imap.ResponseCode]fault.Code{
	"UNAVAILABLE":     fault.ServerUnavailable,
	"SERVERBUG":       fault.ServerUnavailable,
	"INUSE":           fault.MailboxInUse,
	"LIMIT":           fault.TooManyConnections,
	"THROTTLED":       fault.RateLimited,
	"OVERQUOTA":       fault.RateLimited,
	"CONTACTADMIN":    fault.AccountLocked,
	"WEBALERT":        fault.AccountLocked,
	"PRIVACYREQUIRED": fault.TLSFailure,
	"EXPIRED":         fault.AuthFailed,
}

// loginFault says why a server did not let us in.
func loginFault(kind imap.StatusResponseType, code imap.ResponseCode, text string, cred account.Credential) *fault.Error {
	f := &fault.Error{Op: "signing in"}
	known, ok := responseCodes[code]
	switch {
	case code == "WEBALERT" || code == "CONTACTADMIN":
		f.Code = loginCode(text, known)
	case ok:
		f.Code = known
	case kind == imap.StatusResponseTypeBad:
		f.Code = loginCode(text, fault.ProtocolError)
	case kind == imap.StatusResponseTypeBye:
		f.Code = loginCode(text, fault.ServerUnavailable)
	default:
		f.Code = loginCode(text, fault.AuthFailed)
	}
	if f.Code == fault.AuthFailed && cred.Auth == account.OAuth2 {
		f.Code = fault.OAuthReauthorizationRequired
	}
	f.Detail = serverSays(text, cred)
	switch code {
	case "EXPIRED":
		f.Detail = "The password has expired. " + f.Detail
	case "PRIVACYREQUIRED":
		f.Detail = "The server wants an encrypted connection. " + f.Detail
	}
	return f
}

// serverSays quotes a server, cleaned and without the secret.
func serverSays(text string, cred account.Credential) string {
	if text = fault.Clean(withoutSecret(text, cred.Secret), 200); text == "" || text == "-" {
		return "The server gave no reason."
	}
	return "The server says: " + text
}

// refusal returns the NO or BAD in err, or nil.
func refusal(err error) *imap.Error {
	var e *imap.Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// folderFault says why one folder could not be read.
func folderFault(op, name string, err error) *fault.Error {
	f := &fault.Error{Code: fault.FolderFailed, Op: op, Detail: "Folder " + name + " could not be read.", Err: err}
	if e := refusal(err); e != nil {
		f.Detail += " " + serverSays(e.Text, account.Credential{})
		f.Err = nil
	}
	return f
}
