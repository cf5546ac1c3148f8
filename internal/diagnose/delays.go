package diagnose

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/words"
)

// Help is the one thing that a person can do about a delay.
type Help string

// What helps.
const (
	Nothing  Help = ""         // It passes by itself, or somebody else has to act.
	Fetch    Help = "fetch"    // Have it visited now.
	Resume   Help = "resume"   // Switch it on.
	SignIn   Help = "sign_in"  // Enter the password, or sign in at the provider, again.
	Server   Help = "server"   // Check the server's name, port and encryption.
	Settings Help = "settings" // Change another setting, as the advice says.
	Space    Help = "space"    // Make room in the own mailbox.
)

// Delay is what keeps an account's mail away, in words.
type Delay struct {
	Title    string // One line, without a full stop.
	Evidence string // What shows it.
	Advice   string // What to do, or that there is nothing to do.
	Help     Help
}

// ExplainDelay says in a person's language ("en" or "pl") what keeps an
// account's mail away, what shows it, and the one thing that helps. The account
// must have a delay.
func ExplainDelay(a account.Account, lang words.Language, c Context) Delay {
	d, code := a.Status.Delay, fault.Internal
	if a.Status.Diagnosis != nil {
		code = a.Status.Diagnosis.Code
	}
	why, advice := Explain(code, lang, c)
	t, help := c.delay(d, code)
	if t.Advice.En != "" {
		advice = t.Advice.In(lang)
	}
	fill := strings.NewReplacer("{host}", account.Letters(c.Host), "{why}", within(why),
		"{n}", words.Failures(a.Status.Failures, lang),
		"{minutes}", strconv.Itoa(int(d.Interval.Minutes())), "{size}", words.SizeIn(d.Daily, lang))
	return Delay{
		Title: fill.Replace(t.Title.In(lang)), Evidence: fill.Replace(t.Evidence.In(lang)), Advice: advice,
		Help: help,
	}
}

// delay returns what is said of a delay, to whoever reads it; code is that of the last visit.
func (c Context) delay(d *account.Delay, code fault.Code) (t words.DelayText, help Help) {
	t = words.Delays[string(d.Kind)]
	theirs := words.AdminDelays[string(d.Kind)]
	switch d.Kind {
	case account.DelayPaused:
		help = Resume
	case account.DelayAttention, account.DelayBackoff:
		if help = cure(code); c.given(code) {
			help = Fetch
		}
	case account.DelayQuota:
		help = Space
	case account.DelayWaiting:
		if help = Fetch; d.Asked {
			t.Advice, help = words.AlreadyRequested, Nothing
		}
	case account.DelayBudget:
		switch {
		case code == fault.RateLimited && c.HeldBack:
			t, theirs, help = words.LoginPause, words.AdminLoginPause, SignIn
		case d.Daily > 0:
			t, theirs = words.DailyBudget, words.AdminDailyBudget
		case !d.Until.IsZero():
			t, help = words.ProviderBudget, Settings
		case d.AtHost:
			t, theirs = words.HostBudget, words.AdminHostBudget
		default:
			t, theirs = words.UserBudget, words.AdminUserBudget
		}
	}
	if c.Admin {
		t = t.Over(theirs)
	}
	return t, help
}

// within is a title as it stands behind a colon, in a sentence.
func within(title string) string {
	first, n := utf8.DecodeRuneInString(title)
	if second, _ := utf8.DecodeRuneInString(title[n:]); !unicode.IsUpper(second) { // No abbreviation.
		title = string(unicode.ToLower(first)) + title[n:]
	}
	return strings.TrimSuffix(title, ".")
}

// cure is what helps against a failure.
func cure(code fault.Code) Help {
	switch code {
	case fault.AuthFailed, fault.AppPasswordRequired, fault.OAuthReauthorizationRequired:
		return SignIn
	case fault.DNSFailure, fault.HostNotAllowed, fault.ConnectRefused,
		fault.TLSCertificateInvalid, fault.STARTTLSUnsupported:
		return Server
	case fault.FolderFailed, fault.MailLoop, fault.VisitAborted:
		return Settings
	}
	return Fetch
}
