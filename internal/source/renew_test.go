package source

import (
	"context"
	"io"
	"testing"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// TestATokenThatRunsOutDuringAVisitIsReplaced is F40 at a real server: the
// connection breaks, the token is over when the next one signs in, and another
// one is asked for; everything comes, once.
func TestATokenThatRunsOutDuringAVisitIsReplaced(t *testing.T) {
	const user = "anna@gmail.com"
	for _, protocol := range []remote.Protocol{remote.IMAP, remote.POP3} {
		t.Run(string(protocol), func(t *testing.T) {
			t.Parallel()
			ca := mailtest.NewCA(t)
			o := mailtest.StartOAuth(t, ca, user)
			d := mailtest.StartDovecot(t, mailtest.DovecotOptions{
				CA: ca, Users: map[string]string{user: "sekret"},
				Extra: append(o.Dovecot(t), noPenalty...),
			})
			msgs := mailtest.Corpus(5, 40, false)
			mailtest.Append(t, d.Addr("imaps"), ca.Client(), user, "sekret", msgs)
			var total, largest int64
			for _, e := range mailtest.ByPOP3(msgs) {
				total, largest = total+e.Size, max(largest, e.Size)
			}
			p := mailtest.StartProxy(t, d.Addr(string(protocol)+"s"))
			p.CutAfter(max(total/3, largest*5/4) + 20_000)
			renewed := 0
			cred := remote.Credential{Auth: remote.OAuth2, Username: user, Secret: remote.NewSecret(o.Give(user))}
			first := cred.Secret.Reveal()
			cred.Renew = func(_ context.Context, refused remote.Secret) (remote.Secret, error) {
				if renewed++; renewed == 1 && refused.Reveal() != first {
					t.Error("another secret is said to be refused than was sent")
				}
				p.CutAfter(1 << 40) // The next connection holds.
				return remote.NewSecret(o.Give(user)), nil
			}
			session, err := loopback(ca, nil).Open(t.Context(), remote.Mailbox{Protocol: protocol, Server: remote.Server{
				Host: "localhost", Port: p.Port(), Security: remote.TLS,
			}}, cred)
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			folders, err := session.Folders(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var want mail.Want
			for _, f := range folders {
				if f.Wire != "INBOX" {
					continue
				}
				err := session.List(t.Context(), []mail.Query{{Folder: f}}, func(l mail.Listing, err error) error {
					want = mail.Want{Folder: l.Folder, Validity: l.Folder.Status.UIDValidity, Items: l.Items}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			o.Expire() // Whoever is in stays in.
			got := map[mail.ID]int{}
			err = session.Fetch(t.Context(), []mail.Want{want}, func(_ mail.Folder, it mail.Item, body io.Reader) error {
				if _, err := io.Copy(io.Discard, body); err != nil {
					return err
				}
				got[it.ID]++
				return nil
			}, func(_ mail.Folder, it mail.Item, why *fault.Error) { t.Errorf("missed %v: %v", it.ID, why) })
			if err != nil || len(got) != len(msgs) {
				t.Errorf("%d of %d messages came: %v", len(got), len(msgs), err)
			}
			for id, n := range got {
				if n != 1 {
					t.Errorf("message %v came %d times", id, n)
				}
			}
			if renewed != 1 || p.Traffic().Connections < 3 {
				t.Errorf("over %d connections another token was asked for %d times, want once", p.Traffic().Connections, renewed)
			}
		})
	}
}

// TestASecretIsRenewedOnceAndOnlyForARefusal: what fails again is refused for
// good, and what fails otherwise is no reason.
func TestASecretIsRenewedOnceAndOnlyForARefusal(t *testing.T) {
	refused := fault.New(fault.OAuthReauthorizationRequired, "signing in")
	for name, tc := range map[string]struct {
		errs    []error
		opened  int
		renewed int
		code    fault.Code
	}{
		"well at once":        {[]error{nil}, 1, 0, ""},
		"refused once":        {[]error{refused, nil}, 2, 1, ""},
		"refused twice":       {[]error{refused, refused}, 2, 1, fault.OAuthReauthorizationRequired},
		"broken":              {[]error{fault.New(fault.ServerUnavailable, "")}, 1, 0, fault.ServerUnavailable},
		"refused, and broken": {[]error{refused, fault.New(fault.ServerUnavailable, "")}, 2, 1, fault.ServerUnavailable},
	} {
		opened, renewed := 0, 0
		cred := remote.Credential{Auth: remote.OAuth2, Secret: remote.NewSecret("old"), Renew: func(context.Context,
			remote.Secret,
		) (remote.Secret, error) {
			renewed++
			return remote.NewSecret("new"), nil
		}}
		_, err := renewing(t.Context(), &cred, func(c remote.Credential) (int, error) {
			if want := map[bool]string{true: "old", false: "new"}[opened == 0]; c.Secret.Reveal() != want {
				t.Errorf("%s: opened with %q", name, c.Secret.Reveal())
			}
			opened++
			return 0, tc.errs[opened-1]
		})
		if opened != tc.opened || renewed != tc.renewed || fault.CodeOf(err) != tc.code {
			t.Errorf("%s: opened %d times, renewed %d, %v", name, opened, renewed, err)
		}
	}
	cred := remote.Credential{Auth: remote.Password, Secret: remote.NewSecret("old")}
	if _, err := renewing(t.Context(), &cred, func(remote.Credential) (int, error) {
		return 0, refused
	}); fault.CodeOf(err) != fault.OAuthReauthorizationRequired {
		t.Errorf("a password: %v", err)
	}
}
