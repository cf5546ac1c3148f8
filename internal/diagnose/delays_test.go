package diagnose_test

import (
	"strings"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/diagnose"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Every kind of delay, with every failure that may be its cause: there are
// three texts in each language, and in no other.
func TestEveryDelayIsExplainedInEveryLanguage(t *testing.T) {
	at := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	c := diagnose.Context{Protocol: remote.IMAP, Host: "imap.firma.example", Email: "anna@firma.example"}
	codes := append(fault.Codes(), "")
	for _, kind := range account.DelayKinds() {
		for _, code := range codes {
			for n, d := range []account.Delay{
				{Kind: kind},
				{Kind: kind, AtHost: true, Asked: true},
				{Kind: kind, Interval: 10 * time.Minute, Daily: 2500 << 20},
				{Kind: kind, Since: at, Until: at},
			} {
				a := account.Account{Status: account.Status{Failures: 3 * n, Delay: &d}}
				if code != "" {
					a.Status.Diagnosis = &account.Diagnosis{Code: code, Since: at}
				}
				c.Admin = !c.Admin // Each in turn.
				en, pl := diagnose.ExplainDelay(a, "en", c), diagnose.ExplainDelay(a, "pl", c)
				where := string(kind) + " " + string(code)
				for _, s := range []string{en.Title, en.Evidence, en.Advice, pl.Title, pl.Evidence, pl.Advice} {
					if s == "" || strings.ContainsAny(s, "{}") || strings.Contains(s, "  ") || strings.Contains(s, "..") ||
						s != strings.TrimSpace(s) {
						t.Errorf("%s: %q", where, s)
					}
				}
				if len(en.Title) > 70 || len(pl.Title) > 80 || strings.HasSuffix(en.Title, ".") {
					t.Errorf("%s: not a title: %q, %q", where, en.Title, pl.Title)
				}
				if m := polish.FindString(names.ReplaceAllString(en.Title+" "+en.Evidence+" "+en.Advice, "")); m != "" {
					t.Errorf("%s: Polish in English: %q", where, m)
				}
				if m := english.FindString(names.ReplaceAllString(pl.Title+" "+pl.Evidence+" "+pl.Advice, "")); m != "" {
					t.Errorf("%s: English in Polish: %q in %+v", where, m, pl)
				}
				if en.Help != pl.Help {
					t.Errorf("%s: what helps depends on the language", where)
				}
			}
		}
	}
}

func TestWhatHelpsAgainstADelay(t *testing.T) {
	until := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		d        account.Delay
		code     fault.Code
		help     diagnose.Help
		evidence string
	}{
		{account.Delay{Kind: account.DelayPaused}, "", diagnose.Resume, "in this account's settings"},
		{account.Delay{Kind: account.DelayMaintenance}, "", diagnose.Nothing, "by an administrator"},
		{account.Delay{Kind: account.DelayAttention}, fault.AuthFailed, diagnose.SignIn, "The last 3 fetches failed: the " +
			"user name or the password was refused"},
		{account.Delay{Kind: account.DelayAttention}, fault.OAuthReauthorizationRequired, diagnose.SignIn, ""},
		{account.Delay{Kind: account.DelayAttention}, fault.TLSCertificateInvalid, diagnose.Server, ""},
		{account.Delay{Kind: account.DelayAttention}, fault.AccountLocked, diagnose.Fetch, ""},
		{
			account.Delay{Kind: account.DelayBackoff, Until: until},
			fault.ConnectTimeout, diagnose.Fetch,
			"The last 3 fetches failed: the server did not answer in time.",
		},
		{account.Delay{Kind: account.DelayBackoff, Until: until}, fault.DNSFailure, diagnose.Server, ""},
		{
			account.Delay{Kind: account.DelayBackoff, Until: until},
			fault.VisitAborted, diagnose.Settings,
			"broke off on our side",
		},
		{account.Delay{Kind: account.DelayBackoff, Until: until}, fault.AppPasswordRequired, diagnose.SignIn, ""},
		{
			account.Delay{Kind: account.DelayBudget, Until: until},
			fault.RateLimited, diagnose.Settings,
			"the provider asks for a pause",
		},
		{account.Delay{Kind: account.DelayBudget, AtHost: true}, "", diagnose.Nothing, "under way at imap.firma.example"},
		{account.Delay{Kind: account.DelayBudget}, "", diagnose.Nothing, "of your accounts"},
		{account.Delay{Kind: account.DelayQuota, Until: until}, fault.LocalOverQuota, diagnose.Space, "no room"},
		{
			account.Delay{Kind: account.DelayOutage, Until: until},
			fault.ConnectTimeout, diagnose.Nothing,
			"at imap.firma.example failed",
		},
		{account.Delay{Kind: account.DelayBackoff}, fault.ConnectRefused, diagnose.Server, "The last 3 fetches failed"},
		{account.Delay{Kind: account.DelayWaiting}, "", diagnose.Fetch, "It is due"},
		{account.Delay{Kind: account.DelayWaiting, Asked: true}, "", diagnose.Nothing, "It is due"},
	} {
		a := account.Account{Status: account.Status{Failures: 3, Delay: &tc.d}}
		if tc.code != "" {
			a.Status.Diagnosis = &account.Diagnosis{Code: tc.code}
		}
		got := diagnose.ExplainDelay(a, "en", diagnose.Context{Host: "imap.firma.example"})
		if got.Help != tc.help || !strings.Contains(got.Evidence, tc.evidence) {
			t.Errorf("%+v, %s: %+v", tc.d, tc.code, got)
		}
	}
}

// TestADailyAllowanceIsWrittenAsEverySize: in the unit that fits, with the reader's decimal sign.
func TestADailyAllowanceIsWrittenAsEverySize(t *testing.T) {
	d := account.Delay{Kind: account.DelayBudget, Daily: 2_500_000_000}
	a := account.Account{Status: account.Status{Delay: &d}}
	for lang, want := range map[words.Language]string{
		words.English: "At least 2.5 GB were fetched", words.Polish: "pobrano co najmniej 2,5 GB,",
	} {
		if got := diagnose.ExplainDelay(a, lang, diagnose.Context{Host: "imap.firma.example"}); !strings.Contains(
			got.Evidence, want) {
			t.Errorf("%s: %s", lang, got.Evidence)
		}
	}
}
