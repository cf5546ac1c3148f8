package logins

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// ledger writes down what it is asked.
type ledger struct {
	asked []string
	wait  time.Duration
	fail  error
	at    Attempt
}

func (l *ledger) Reserve(_ context.Context, a Attempt, _ Limits) (string, time.Duration, error) {
	l.asked, l.at = append(l.asked, "reserve"), a
	return "place", l.wait, l.fail
}

func (l *ledger) Release(_ context.Context, id string) error {
	l.asked = append(l.asked, "release "+id)
	return l.fail
}

func (l *ledger) Accept(ctx context.Context, id string, _ Attempt, proof string) error {
	l.asked = append(l.asked, "accept "+id+" "+proof)
	return ctx.Err()
}

func (l *ledger) Refuse(ctx context.Context, id string, _ Attempt, _ Limits) error {
	l.asked = append(l.asked, "refuse "+id)
	return ctx.Err()
}

func anOwner(t *testing.T, s string) owner.Owner {
	t.Helper()
	o, err := owner.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func theAccount(t *testing.T) remote.Mailbox {
	return remote.Mailbox{
		Secret: remote.SecretRef{Owner: anOwner(t, "anna@firma.test"), Subject: "a"}, Username: "anna", Edits: 7,
		Server: remote.Server{Host: "imap.example.org", Security: remote.TLS},
	}
}

var addrs = []netip.Addr{netip.MustParseAddr("192.0.2.7")}

// TestAPlaceIsTakenBeforeALoginAndKeptByThoseThatFail, and a credential that was
// accepted when it was last sent costs nothing until it is refused.
func TestAPlaceIsTakenBeforeALoginAndKeptByThoseThatFail(t *testing.T) {
	for _, tc := range []struct {
		name   string
		proof  string
		how    remote.SignIn
		wanted []string
	}{
		{"accepted", "", remote.SignInAccepted, []string{"reserve", "accept place 7"}},
		{"refused", "", remote.SignInRefused, []string{"reserve", "refuse place"}},
		{"sent and not answered", "", remote.SignInFailed, []string{"reserve", "refuse place"}},
		{"never sent", "", remote.SignInUntried, []string{"reserve", "release place"}},
		{"proven, accepted", "7", remote.SignInAccepted, nil},
		{"proven, the connection broke", "7", remote.SignInFailed, nil},
		{"proven, never sent", "7", remote.SignInUntried, nil},
		{"proven, refused", "7", remote.SignInRefused, []string{"refuse "}},
		{"proven before an edit", "6", remote.SignInRefused, []string{"reserve", "refuse place"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := &ledger{}
			a := theAccount(t)
			a.LoginProof = tc.proof
			ctx, cancel := context.WithCancel(t.Context())
			settle, err := New(Options{Ledger: l}).Admit(ctx, a, addrs)
			if err != nil {
				t.Fatal(err)
			}
			cancel() // Whoever asked has gone: it is counted all the same.
			if settle(tc.how); !slices.Equal(l.asked, tc.wanted) {
				t.Errorf("asked %q, not %q", l.asked, tc.wanted)
			}
		})
	}
}

func TestWhoIsHeldBackIsToldUntilWhen(t *testing.T) {
	l := New(Options{Ledger: &ledger{wait: time.Minute}})
	_, err := l.Admit(t.Context(), theAccount(t), addrs)
	var held *remote.HeldBackError
	f := fault.Of(err)
	if !errors.As(err, &held) || held.Wait != time.Minute || f.Code != fault.RateLimited || f.RetryAfter != time.Minute ||
		l.Held() != 1 {
		t.Errorf("%v, %d held", err, l.Held())
	}
	if d := (&account.Diagnosis{Code: f.Code, Detail: f.Detail}); !d.HeldBack() {
		t.Error("its diagnosis is not known again")
	}
}

func TestACountThatCannotBeKeptAdmitsNobody(t *testing.T) {
	_, err := New(Options{Ledger: &ledger{fail: errors.New("the database is away")}}).Admit(t.Context(), theAccount(t),
		addrs)
	if fault.CodeOf(err) != fault.Internal {
		t.Errorf("%v", err)
	}
}

// TestAProofWithoutACertificateIsOneOfAddresses: where nothing says which server it was,
// a name that leads elsewhere by now proves nothing.
func TestAProofWithoutACertificateIsOneOfAddresses(t *testing.T) {
	a := theAccount(t)
	a.Server.Security = remote.None
	a.LoginProof = a.Proof(addrs)
	l := &ledger{}
	limiter := New(Options{Ledger: l})
	for _, tc := range []struct {
		addrs []netip.Addr
		asked int
	}{
		{addrs, 0},
		{[]netip.Addr{netip.MustParseAddr("::ffff:192.0.2.7")}, 0},
		{[]netip.Addr{netip.MustParseAddr("198.51.100.1")}, 1},
	} {
		l.asked = nil
		if _, err := limiter.Admit(t.Context(), a, tc.addrs); err != nil || len(l.asked) != tc.asked {
			t.Errorf("%v: asked %q, %v", tc.addrs, l.asked, err)
		}
	}
}

func TestALoginHasOneNameHoweverItIsSpelt(t *testing.T) {
	for _, tc := range []struct {
		name  string
		spelt []string
	}{
		{name: "anna", spelt: []string{
			"anna", "Anna", " ANNA ", "anna@gmail.com", "Anna@GoogleMail.com", "a.n.n.a@gmail.com", "anna+x@gmail.com",
			"anna%gmail.com",
			`FIRMA\anna`, "firma/anna", "gmail.com!anna", `"anna"@gmail.com`, "recent:anna@gmail.com", `FIRMA\anna\biuro`,
			"ａｎｎａ", "ánna", "an\u0303nå", "anna\u00ad", "an\u200bna", "anna*admin", "an\tna",
		}},
		{name: "k", spelt: []string{"k", "K", "\u212A", "\uFF4B@x.test"}},
		{name: "annamaria", spelt: []string{"anna-maria", "anna_maria", "anna.maria"}},
		{name: "+", spelt: []string{"+", "+@x.test"}},
	} {
		for _, s := range tc.spelt {
			if got, _ := reduce(s); got != tc.name {
				t.Errorf("%q is %q, not %q", s, got, tc.name)
			}
		}
	}
	for _, spelt := range []string{
		"anna", "recent:anna@x.test", `FIRMA\anna\x1`, "x1/anna", "anna/x1", "a:b:anna:c",
		"x+anna", "anna*x",
	} {
		if !slices.Contains(Names(spelt), "anna") {
			t.Errorf("%q may name %q, not anna", spelt, Names(spelt))
		}
	}
	for _, other := range []string{"anny", "hanna", "anna1", "bartek@anna.test"} {
		if got, _ := reduce(other); got == "anna" {
			t.Errorf("%q is taken for anna", other)
		}
	}
	if _, domain := reduce("Anna@GMail.com."); domain != "gmail.com" {
		t.Errorf("domain %q", domain)
	}
}

// TestHostsPortsAndProtocolsMakeNoOtherCount of one user's, and name one mailbox of
// everybody's as long as they lead to the same address.
func TestHostsPortsAndProtocolsMakeNoOtherCount(t *testing.T) {
	a := theAccount(t)
	want := attempt(a, addrs)
	b := a
	b.Server = remote.Server{Host: "192.0.2.7", Port: 110, Security: remote.None}
	b.Protocol = remote.POP3
	mixed := []netip.Addr{netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("::ffff:192.0.2.7")}
	if got := attempt(b, mixed); !slices.Equal(got.Names, want.Names) || got.Mailbox != want.Mailbox ||
		got.Home == want.Home {
		t.Errorf("%+v and %+v", got, want)
	}
	b.Server.Host = "IMAP.example.org."
	if got := attempt(b, []netip.Addr{netip.MustParseAddr("198.51.100.1")}); !slices.Equal(got.Names, want.Names) ||
		got.Mailbox == want.Mailbox || got.Home != want.Home {
		t.Errorf("%+v and %+v", got, want)
	}
}
