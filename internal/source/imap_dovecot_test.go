package source

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// loopback returns a client that may reach servers on this machine. ca may be nil.
func loopback(ca *mailtest.CA, change func(*Options)) *Client {
	o := outbound.Options{
		AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		AllowAnyPort:  true, AllowPlaintext: true,
	}
	if ca != nil {
		o.RootCAs = ca.Pool()
	}
	opts := Options{Dialer: outbound.New(o)}
	if change != nil {
		change(&opts)
	}
	return New(opts)
}

func credential(user, secret string) remote.Credential {
	return remote.Credential{Auth: remote.Password, Username: user, Secret: remote.NewSecret(secret)}
}

func TestDovecotIsReadWholeAndUnchanged(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts mailtest.DovecotOptions
		port func(*mailtest.Dovecot) remote.Server
	}{
		{"by TLS", mailtest.DovecotOptions{}, func(d *mailtest.Dovecot) remote.Server {
			return remote.Server{Host: "localhost", Port: d.IMAPS, Security: remote.TLS}
		}},
		{"by STARTTLS, with a prefix and no LIST-STATUS", mailtest.DovecotOptions{
			Prefix:     "INBOX.",
			Capability: "IMAP4rev1 NAMESPACE",
		}, func(d *mailtest.Dovecot) remote.Server {
			return remote.Server{Host: "localhost", Port: d.IMAP, Security: remote.STARTTLS}
		}},
		{"by plaintext, where allowed", mailtest.DovecotOptions{Separator: "/"}, func(d *mailtest.Dovecot) remote.Server {
			return remote.Server{Host: "localhost", Port: d.IMAP, Security: remote.None}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := mailtest.StartDovecot(t, tc.opts)
			mailtest.Append(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret", mailtest.Corpus(7, 200, true))
			want := mailtest.ReadIMAP(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret")
			before := mailtest.Snapshot(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret")
			c := loopback(d.CA, nil)
			got := readAll(t, c, tc.port(d), credential("anna", "sekret"))
			if diff := cmp.Diff(inventory(want), inventory(got)); diff != "" || len(got) != 200 {
				t.Errorf("%d messages (-want +got):\n%s", len(got), diff)
			}
			if after := mailtest.Snapshot(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret"); after != before {
				t.Errorf("the remote changed:\n%s\nwas:\n%s", after, before)
			}
			if n := c.Refused(); n != 0 {
				t.Errorf("%d commands were refused", n)
			}
		})
	}
}

// inventory describes messages in an order of its own.
func inventory(ds []mailtest.Delivered) (all []string) {
	for _, d := range ds {
		all = append(all, fmt.Sprintf("%s %x %d %q %d", d.Folder, d.SHA, d.Size, d.Flags, d.Time.Unix()))
	}
	slices.Sort(all)
	return all
}

// readAll reads an account to its end, by the methods of a Session.
func readAll(t *testing.T, c *Client, s remote.Server, cred remote.Credential) []mailtest.Delivered {
	t.Helper()
	ctx := t.Context()
	session, err := c.Open(ctx, remote.Mailbox{Server: s, Protocol: remote.IMAP}, cred)
	if err != nil {
		t.Fatalf("opening: %v", err)
	}
	defer session.Close()
	folders, err := session.Folders(ctx)
	if err != nil {
		t.Fatalf("listing folders: %v", err)
	}
	var queries []mail.Query
	for _, f := range folders {
		if f.Problem != nil {
			t.Errorf("folder %q: %v", f.Wire, f.Problem)
		}
		if !f.Selectable {
			continue
		}
		if !f.Status.Known || f.Status.UIDValidity == 0 {
			t.Errorf("folder %q has no status", f.Wire)
		}
		queries = append(queries, mail.Query{Folder: f})
	}
	var wants []mail.Want
	err = session.List(ctx, queries, func(l mail.Listing, err error) error {
		if err != nil || !l.Complete {
			t.Errorf("listing %q: complete %v, %v", l.Folder.Wire, l.Complete, err)
		}
		wants = append(wants, mail.Want{Folder: l.Folder, Validity: l.Folder.Status.UIDValidity, Items: l.Items})
		return nil
	})
	if err != nil {
		t.Fatalf("listing: %v", err)
	}
	var got []mailtest.Delivered
	err = session.Fetch(ctx, wants, func(f mail.Folder, it mail.Item, body io.Reader) error {
		h := sha256.New()
		n, err := io.Copy(h, body)
		if err != nil {
			return err
		}
		d := mailtest.Delivered{
			Folder: strings.Join(f.Path, "/"), Size: n, Flags: letters(it.Flags), Time: it.Received,
			S: -1, W: -1,
		}
		if d.Folder == "" {
			d.Folder = "INBOX"
		}
		copy(d.SHA[:], h.Sum(nil))
		got = append(got, d)
		return nil
	}, func(f mail.Folder, it mail.Item, why *fault.Error) {
		t.Errorf("missed %d of %q: %v", it.ID.UID, f.Wire, why)
	})
	if err != nil {
		t.Fatalf("fetching: %v", err)
	}
	if err := session.Leave(ctx); err != nil {
		t.Errorf("leaving: %v", err)
	}
	return got
}

func letters(f mail.Flags) (s string) {
	for i, c := range "DFRS" {
		if f&(1<<i) != 0 {
			s += string(c)
		}
	}
	return s
}

func TestProbeReportsEachStep(t *testing.T) {
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{})
	mailtest.Append(t, d.Addr("imaps"), d.CA.Client(), "anna", "sekret", mailtest.Corpus(7, 12, false))
	for _, tc := range []struct {
		name     string
		server   remote.Server
		password string
		steps    string
		code     fault.Code
	}{
		{
			"TLS",
			remote.Server{Host: "localhost", Port: d.IMAPS, Security: remote.TLS},
			"sekret",
			"resolve connect tls greeting login folders", "",
		},
		{
			"STARTTLS",
			remote.Server{Host: "localhost", Port: d.IMAP, Security: remote.STARTTLS},
			"sekret",
			"resolve connect greeting tls login folders", "",
		},
		{
			"wrong password",
			remote.Server{Host: "localhost", Port: d.IMAPS, Security: remote.TLS},
			"geheim",
			"resolve connect tls greeting login!", fault.AuthFailed,
		},
		{
			"plaintext on the TLS port",
			remote.Server{Host: "localhost", Port: d.IMAP, Security: remote.TLS},
			"sekret",
			"resolve connect tls!", fault.TLSFailure,
		},
		{
			"POP3 port",
			remote.Server{Host: "localhost", Port: d.POP3S, Security: remote.TLS},
			"sekret",
			"resolve connect tls greeting!", fault.ProtocolError,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := loopback(d.CA, nil)
			var steps []string
			folders, err := c.Probe(t.Context(), remote.Mailbox{Server: tc.server, Protocol: remote.IMAP}, credential("anna",
				tc.password), func(s remote.Step) {
				name := string(s.Name)
				if !s.OK {
					name += "!"
				}
				steps = append(steps, name)
			})
			if got := strings.Join(steps, " "); got != tc.steps {
				t.Errorf("steps %s, want %s", got, tc.steps)
			}
			if fault.CodeOf(err) != tc.code {
				t.Errorf("error %v, want %s", err, tc.code)
			}
			if err == nil && (len(folders) != 1 || folders[0].Status.Messages != 12) {
				t.Errorf("folders %+v", folders)
			}
			if strings.Contains(fmt.Sprint(err), tc.password) {
				t.Errorf("the password is in the error: %v", err)
			}
		})
	}
}

// A password of any octets but line breaks signs in, however it has to be sent.
func TestAnyPasswordSignsIn(t *testing.T) {
	secrets := map[string]string{"quotes": `a"b\c "`, "umlauts": "pässwörd żółć", "percent": "{5}%s * NIL"}
	for _, capability := range []string{"", "IMAP4rev1 LITERAL+", "IMAP4rev1 IMAP4rev2"} {
		t.Run("capabilities "+capability, func(t *testing.T) {
			d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Users: secrets, Capability: capability})
			for user, secret := range secrets {
				var mu sync.Mutex // What the server says last is read beside Leave.
				var transcript strings.Builder
				c := loopback(d.CA, func(o *Options) {
					o.Transcript = func(line string) { mu.Lock(); defer mu.Unlock(); transcript.WriteString(line + "\n") }
				})
				server := remote.Server{Host: "localhost", Port: d.IMAPS, Security: remote.TLS}
				session, err := c.Open(t.Context(), remote.Mailbox{Server: server, Protocol: remote.IMAP}, credential(
					user, secret))
				if err != nil {
					t.Errorf("%s: %v", user, err)
					continue
				}
				session.Leave(context.WithoutCancel(t.Context()))
				mu.Lock()
				if strings.Contains(transcript.String(), secret) || !strings.Contains(transcript.String(), "***") {
					t.Errorf("the transcript of %s:\n%s", user, transcript.String())
				}
				mu.Unlock()
			}
		})
	}
}

// Folder names that the server made in every way come back as they are.
func TestDovecotFolderNames(t *testing.T) {
	d := mailtest.StartDovecot(t, mailtest.DovecotOptions{Separator: "/"})
	names := []string{"R&D", "Entwürfe/2024 (alt)", `Zitat "x" \ y`, "Wysłane", "日本語/受信", "a%c*d", "inbox2"}
	for _, n := range names {
		d.Adm("mailbox", "create", "-u", "anna", n)
	}
	c := loopback(d.CA, nil)
	server := remote.Server{Host: "localhost", Port: d.IMAPS, Security: remote.TLS}
	session, err := c.Open(t.Context(), remote.Mailbox{Server: server, Protocol: remote.IMAP}, credential("anna",
		"sekret"))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	folders, err := session.Folders(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	var queries []mail.Query
	for _, f := range folders {
		got[strings.Join(f.Path, "/")] = true
		if f.Selectable {
			queries = append(queries, mail.Query{Folder: f})
		}
	}
	for _, n := range names {
		if !got[n] {
			t.Errorf("%q is missing in %v", n, got)
		}
	}
	err = session.List(t.Context(), queries, func(l mail.Listing, err error) error {
		if err != nil {
			t.Errorf("%q: %v", l.Folder.Wire, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
