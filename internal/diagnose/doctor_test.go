package diagnose_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/diagnose"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

func catalog(t testing.TB) *provider.Catalog {
	t.Helper()
	c, err := provider.New()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// script is a Prober that reports what the test sets. With hang it waits for
// the context after that, as a server that says nothing makes the real one do.
type script struct {
	steps   []remote.Step
	folders []mail.Folder
	err     error
	hang    bool
	asked   *remote.Server
}

func (s script) Probe(ctx context.Context, a remote.Mailbox, _ remote.Credential,
	observe func(remote.Step),
) ([]mail.Folder, error) {
	if s.asked != nil {
		*s.asked = a.Server
	}
	for _, step := range s.steps {
		observe(step)
	}
	if s.hang {
		<-ctx.Done()
		return nil, fmt.Errorf("reading the greeting: %w", ctx.Err())
	}
	return s.folders, s.err
}

// ok are steps that went well.
func ok(names ...remote.StepName) (steps []remote.Step) {
	for _, n := range names {
		steps = append(steps, remote.Step{Name: n, OK: true, Took: time.Millisecond, Detail: words.Detail{words.Say("fine")}})
	}
	return steps
}

// failing is ok, and then one step that failed.
func failing(f *fault.Error, at remote.StepName, before ...remote.StepName) script {
	return script{
		steps: append(ok(before...), remote.Step{Name: at, Detail: f.Detail, Took: time.Millisecond}),
		err:   fmt.Errorf("probing: %w", f),
	}
}

const (
	resolve, connect, secure = remote.StepResolve, remote.StepConnect, remote.StepTLS
	greeting, login, list    = remote.StepGreeting, remote.StepLogin, remote.StepFolders
)

func TestEveryTroubleHasItsOwnDiagnosis(t *testing.T) {
	refused := fault.New(fault.AuthFailed, "signing in", words.Say("The server says: Invalid credentials"))
	for _, tc := range []struct {
		name     string
		provider string
		server   remote.Server
		probe    script
		code     fault.Code
		steps    []remote.StepName
		detail   string
	}{
		{
			"wrong protocol on a port", "other",
			remote.Server{Host: "mail.firma.example", Port: 993, Security: remote.TLS},
			failing(fault.New(fault.ProtocolError, "greeting",
				words.Say("This port speaks IMAP, not POP3.")), greeting, resolve, connect,
				secure),
			fault.ProtocolError,
			[]remote.StepName{resolve, connect, secure, greeting},
			"This port speaks IMAP, not POP3.",
		}, {
			"plaintext where TLS is due", "other",
			remote.Server{Host: "mail.firma.example", Port: 143, Security: remote.TLS},
			failing(fault.New(fault.TLSFailure, "securing",
				words.Say("this port seems to speak plaintext")), secure, resolve, connect),
			fault.TLSFailure,
			[]remote.StepName{resolve, connect, secure},
			"this port seems to speak plaintext",
		}, {
			"untrusted certificate", "other",
			remote.Server{Host: "mail.firma.example", Port: 993, Security: remote.TLS},
			failing(fault.New(fault.TLSCertificateInvalid, "securing",
				words.Say("the server's certificate comes from an unknown issuer")),
				secure, resolve, connect),
			fault.TLSCertificateInvalid,
			[]remote.StepName{resolve, connect, secure},
			"the server's certificate comes from an unknown issuer",
		}, {
			"wrong password", "other",
			remote.Server{Host: "mail.firma.example", Port: 993, Security: remote.TLS},
			failing(refused, login, resolve, connect, secure, greeting),
			fault.AuthFailed,
			[]remote.StepName{resolve, connect, secure, greeting, login},
			"The server says: Invalid credentials",
		}, {
			"app password needed", "google",
			remote.Server{Host: "imap.gmail.com", Port: 993, Security: remote.TLS},
			failing(refused, login, resolve, connect, secure, greeting),
			fault.AppPasswordRequired,
			[]remote.StepName{resolve, connect, secure, greeting, login},
			"The server says: Invalid credentials",
		}, {
			"app password needed, whatever preset was chosen", "other",
			remote.Server{Host: "imap.mail.me.com", Port: 993, Security: remote.TLS},
			failing(refused, login, resolve, connect, secure, greeting),
			fault.AppPasswordRequired,
			[]remote.StepName{resolve, connect, secure, greeting, login},
			"The server says: Invalid credentials",
		}, {
			"Microsoft takes no password", "microsoft365",
			remote.Server{Host: "outlook.office365.com", Port: 993, Security: remote.TLS},
			failing(refused, login, resolve, connect, secure, greeting),
			fault.OAuthReauthorizationRequired,
			[]remote.StepName{resolve, connect, secure, greeting, login},
			"The server says: Invalid credentials",
		}, {
			"another server under Google's preset", "google",
			remote.Server{Host: "mail.firma.example", Port: 993, Security: remote.TLS},
			failing(refused, login, resolve, connect, secure, greeting),
			fault.AuthFailed,
			[]remote.StepName{resolve, connect, secure, greeting, login},
			"The server says: Invalid credentials",
		}, {
			"inner hosts look like any other that may not be named", "other",
			remote.Server{Host: "db.firma.example", Port: 993, Security: remote.TLS},
			failing(fault.New(fault.HostNotAllowed, "resolving", words.Say("10.1.2.3 is not a public address")), resolve),
			fault.HostNotAllowed,
			[]remote.StepName{resolve},
			"This host or port is not one that an account may name.",
		}, {
			"no STLS, told between two steps", "other",
			remote.Server{Host: "pop3.firma.example", Port: 110, Security: remote.STARTTLS},
			script{steps: ok(resolve, connect, greeting), err: fault.New(fault.STARTTLSUnsupported, "securing",
				words.Say("no STLS"))},
			fault.STARTTLSUnsupported,
			[]remote.StepName{resolve, connect, greeting, secure},
			"no STLS",
		}, {
			"the connection breaks between two steps, no TLS", "other",
			remote.Server{Host: "pop3.firma.example", Port: 110, Security: remote.None},
			script{steps: ok(resolve, connect), err: fault.New(fault.ServerUnavailable, "reading")},
			fault.ServerUnavailable,
			[]remote.StepName{resolve, connect, greeting},
			"The server is out of order for now.",
		}, {
			"nothing was begun", "other",
			remote.Server{Host: "mail.firma.example", Port: 993, Security: remote.TLS},
			script{err: fmt.Errorf("a defect")},
			fault.Internal,
			[]remote.StepName{resolve},
			"Something went wrong on our side.",
		}, {
			"folders cannot be listed", "other",
			remote.Server{Host: "mail.firma.example", Port: 993, Security: remote.TLS},
			failing(fault.New(fault.ServerUnavailable, "listing",
				words.Say("The server does not list its folders.")), list, resolve,
				connect, secure, greeting, login),
			fault.ServerUnavailable,
			[]remote.StepName{resolve, connect, secure, greeting, login, list},
			"The server does not list its folders.",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var asked remote.Server
			tc.probe.asked = &asked
			rep := diagnose.NewDoctor(tc.probe, catalog(t)).Probe(t.Context(), account.Account{
				Provider: tc.provider,
				Protocol: remote.POP3, Server: tc.server,
			}, remote.Credential{})
			var names []remote.StepName
			for i, s := range rep.Steps {
				names = append(names, s.Name)
				if s.OK != (i < len(rep.Steps)-1) {
					t.Errorf("step %s: ok is %v", s.Name, s.OK)
				}
			}
			if rep.OK || rep.Diagnosis == nil || rep.Diagnosis.Code != tc.code || rep.Diagnosis.Since.IsZero() ||
				!slices.Equal(names, tc.steps) {
				t.Fatalf("%+v, %+v", rep, rep.Diagnosis)
			}
			if last := rep.Steps[len(rep.Steps)-1]; last.Detail.String() != tc.detail {
				t.Errorf("the failed step says %q, want %q", last.Detail, tc.detail)
			}
			if d := rep.Diagnosis.Detail.String(); d != "" && d != tc.detail {
				t.Errorf("the diagnosis says %q", d)
			}
			if asked != tc.server {
				t.Errorf("asked %+v", asked)
			}
		})
	}
}

func TestATestEndsAfterItsPatienceWhoeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		probe := script{steps: ok(resolve, connect, secure), hang: true}
		a := account.Account{Provider: "other", Protocol: remote.IMAP, Server: remote.Server{
			Host: "mail.firma.example",
			Port: 993, Security: remote.TLS,
		}}
		rep := diagnose.NewDoctor(probe, catalog(t)).Probe(t.Context(), a, remote.Credential{})
		if took := time.Since(began); took != diagnose.Patience {
			t.Errorf("took %v", took)
		}
		last := rep.Steps[len(rep.Steps)-1]
		if rep.OK || rep.Diagnosis.Code != fault.ConnectTimeout || last.Name != greeting || last.OK ||
			last.Took != diagnose.Patience || !strings.Contains(rep.Diagnosis.Detail.String(), "too slowly: after 90 seconds") {
			t.Errorf("%+v, %+v", rep, rep.Diagnosis)
		}
	})
}

func TestATestThatIsStoppedIsNotBlamedOnTheServer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	rep := diagnose.NewDoctor(script{steps: ok(resolve), hang: true}, catalog(t)).Probe(ctx, account.Account{
		Protocol: remote.IMAP,
	}, remote.Credential{})
	if rep.OK || rep.Diagnosis.Code != fault.Internal {
		t.Errorf("%+v, %+v", rep, rep.Diagnosis)
	}
}

func TestAGoodTestListsWhatIsThere(t *testing.T) {
	known := func(n uint32) mail.Status { return mail.Status{Known: true, Messages: n} }
	folders := []mail.Folder{
		{Wire: "INBOX", Selectable: true, Status: known(3)},
		{Wire: "Archive", Path: []string{"Archive"}, Status: known(100)}, // Holds only others.
		{Wire: "Archive.2023", Path: []string{"Archive", "2023"}, Selectable: true, Status: known(40)},
		{Wire: "Wys&AUI-ane", Path: []string{"Wysłane"}, Selectable: true},
		{Wire: "x", Path: []string{"a\u202eb\r\nc"}, Selectable: true, Status: known(1)},
		{Wire: "user", Path: []string{"user"}, Shared: true},
		{Wire: "bad", Path: []string{"bad"}, Problem: fault.New(fault.FolderFailed, "")},
		{Wire: "user.boss", Path: []string{"user", "boss"}, Selectable: true, Status: known(900), Shared: true},
	}
	for name, err := range map[string]error{"": nil, "and a failed farewell is no failure": fault.New(
		fault.ServerUnavailable, "leaving", words.Say("gone"))} {
		probe := script{steps: ok(resolve, connect, greeting, secure, login, list), folders: folders, err: err}
		rep := diagnose.NewDoctor(probe, catalog(t)).Probe(t.Context(), account.Account{
			Protocol: remote.IMAP,
			Server:   remote.Server{Security: remote.STARTTLS},
		}, remote.Credential{})
		want := account.TestReport{OK: true, Steps: probe.steps, Folders: []string{
			"INBOX", "Archive/2023",
			"Wysłane", "ab c", "bad",
		}, Shared: []string{"user/boss"}, Messages: 44}
		if d := cmp.Diff(want, rep); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// A test reports chosen folders that are not there, as the visit will (see
// TestChosenFoldersThatAreNotThereAreReported of package fetch).
func TestATestReportsChosenFoldersThatAreNotThere(t *testing.T) {
	there := []mail.Folder{
		{Selectable: true},
		{Path: []string{"Sent"}, SpecialUse: `\Sent`, Selectable: true},
		{Path: []string{"Archive"}},
		{Path: []string{"Archive", "2023"}, Selectable: true},
	}
	unreadable := mail.Folder{Path: []string{"?"}, Problem: fault.New(fault.FolderFailed, "listing")}
	for name, c := range map[string]struct {
		include []string
		folders []mail.Folder
		told    string
	}{
		"the control":          {[]string{"inbox", "Sent", `\Sent`, "Archive"}, there, ""},
		"all":                  {nil, there, ""},
		"some are not there":   {[]string{"INBOX", "sent", `\Junk`, "Gone"}, there, `sent, \Junk, Gone`},
		"it may be unreadable": {[]string{"Gone"}, append([]mail.Folder{unreadable}, there...), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := script{steps: ok(resolve, connect, secure, greeting, login, list), folders: c.folders}
			a := account.Account{
				Server: remote.Server{Security: remote.TLS}, Folders: route.FolderRules{Include: c.include},
			}
			rep := diagnose.NewDoctor(s, catalog(t)).Probe(t.Context(), a, remote.Credential{})
			if w := rep.Warning; !rep.OK || rep.Diagnosis != nil || (w != nil) != (c.told != "") ||
				w != nil && (w.Code != fault.FolderFailed || w.Detail.String() != fmt.Sprintf(fault.NotThere, c.told)) {
				t.Errorf("report %+v, warning %+v", rep, w)
			}
		})
	}
}

func TestRefine(t *testing.T) {
	c := catalog(t)
	for _, tc := range []struct {
		id, host   string
		code, want fault.Code
		detail     string
	}{
		{"google", "imap.gmail.com", fault.AuthFailed, fault.AppPasswordRequired, ""},
		{"google", "imap.gmail.com", fault.AppPasswordRequired, fault.AppPasswordRequired, ""},
		{"google", "imap.gmail.com", fault.RateLimited, fault.RateLimited, ""},
		{"google", "imap.gmail.com", fault.AccessDisabled, fault.AccessDisabled, ""},
		{"yahoo", "", fault.AuthFailed, fault.AuthFailed, ""}, // No host: nothing is proven.
		{"outlook", "outlook.office365.com", fault.AuthFailed, fault.OAuthReauthorizationRequired, ""},
		{"outlook", "outlook.office365.com", fault.AppPasswordRequired, fault.OAuthReauthorizationRequired, ""},
		{
			"outlook", "outlook.office365.com", fault.AccessDisabled, fault.OAuthReauthorizationRequired,
			"The server says: [AUTH] BasicAuthBlocked",
		},
		{"outlook", "outlook.office365.com", fault.AccessDisabled, fault.AccessDisabled, "User is authenticated but not " +
			"connected."},
		{"gmx-de", "imap.gmx.net", fault.AuthFailed, fault.AuthFailed, ""},
		{"other", "mail.firma.example", fault.AuthFailed, fault.AuthFailed, ""},
		{"nosuch", "mail.firma.example", fault.AuthFailed, fault.AuthFailed, ""},
	} {
		err := &fault.Error{Code: tc.code, Op: "signing in", Detail: words.Plain(tc.detail), RetryAfter: time.Minute}
		got := diagnose.Refine(c, tc.id, tc.host, err)
		if got.Code != tc.want || got.Detail.String() != tc.detail || got.RetryAfter != time.Minute ||
			got.Op != "signing in" {
			t.Errorf("%s at %s: %v, want %s", tc.code, tc.host, got, tc.want)
		}
		if err.Code != tc.code {
			t.Error("the caller's error was changed")
		}
	}
	if diagnose.Refine(c, "google", "imap.gmail.com", nil) != nil {
		t.Error("nothing became something")
	}
}

func TestNoReportHoldsThePassword(t *testing.T) {
	const canary = "c4nary-pa55"
	cred := remote.Credential{Auth: remote.Password, Username: "anna", Secret: remote.NewSecret(canary)}
	var out strings.Builder
	for _, probe := range []script{
		{steps: ok(resolve, connect, secure, greeting, login, list)},
		failing(fault.New(fault.AuthFailed, "signing in", words.Say("no")), login, resolve, connect, secure, greeting),
	} {
		d := diagnose.NewDoctor(probe, catalog(t))
		rep := d.Probe(t.Context(), account.Account{Protocol: remote.IMAP, Server: remote.Server{Security: remote.TLS}},
			cred)
		fmt.Fprintf(&out, "%v %+v %#v %v", rep, rep, rep, rep.Diagnosis)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "report", rep, "doctor", d)
	}
	if strings.Contains(out.String(), canary) {
		t.Error("the password was printed")
	}
}
