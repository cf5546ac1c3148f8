package main

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/outbound"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// zone answers for mail exchangers.
type zone map[string]string

func (z zone) LookupMX(_ context.Context, domain string) ([]*net.MX, error) {
	if host := z[domain]; host != "" {
		return []*net.MX{{Host: host, Pref: 10}}, nil
	}
	return nil, errors.New("no such domain")
}

// house.md section 5: a company's own domain is found by whose exchangers it
// has. What is known by the address is not looked up, and what nobody knows
// stays a guess.
func TestACompanysDomainIsFoundByItsMailExchangers(t *testing.T) {
	catalog, err := provider.New()
	if err != nil {
		t.Fatal(err)
	}
	p := presets{catalog, outbound.New(outbound.Options{Exchangers: zone{
		"firma.example": "aspmx.l.google.com.", "biuro.example": "biuro-example.mail.protection.outlook.com.",
		"sklep.example": "mx.sklep.example.", "gmail.com": "mx.yandex.net.",
		"lookalike.example": "notl.google.com.evil.example.",
		"proton.example":    "mail.protonmail.ch.",
	}})}
	for email, want := range map[string]account.Suggestion{
		"anna@firma.example":     {Source: "mx", Provider: "google", Username: "anna@firma.example"},
		"Anna@FIRMA.example":     {Source: "mx", Provider: "google", Username: "Anna@FIRMA.example"},
		"anna@biuro.example":     {Source: "mx", Provider: "microsoft365", Username: "anna@biuro.example"},
		"anna@proton.example":    {Source: "mx", Provider: "proton", Username: "anna@proton.example"},
		"anna@sklep.example":     {Source: "guess", Provider: "other", Username: "anna@sklep.example"},
		"anna@lookalike.example": {Source: "guess", Provider: "other", Username: "anna@lookalike.example"},
		"anna@none.example":      {Source: "guess", Provider: "other", Username: "anna@none.example"},
		"anna@gmail.com":         {Source: "preset", Provider: "google", Username: "anna@gmail.com"},
		"nobody":                 {Source: "none", Provider: "other"},
	} {
		got := p.Suggest(t.Context(), email)
		if got.Source != want.Source || got.Provider != want.Provider || got.Username != want.Username {
			t.Errorf("%s: %+v, want %+v", email, got, want)
		}
	}
	if s := p.Suggest(t.Context(), "anna@firma.example").Servers[remote.IMAP]; s.Host != "imap.gmail.com" ||
		s.Port != 993 {
		t.Errorf("the server is %+v", s)
	}
}

// A domain that only its exchangers reveal is asked about before the password is.
func TestAHostedDomainThatTakesNoPasswordIsRefusedBeforeOneIsAskedFor(t *testing.T) {
	of := func(c *provider.Catalog) presets {
		return presets{c, outbound.New(outbound.Options{Exchangers: zone{
			"biuro.example": "biuro-example.mail.protection.outlook.com.", "firma.example": "aspmx.l.google.com.",
		}})}
	}
	owner, err := owner.Parse("anna@firma.test")
	if err != nil {
		t.Fatal(err)
	}
	for email, refused := range map[string]bool{
		"jan@biuro.example": true, "jan@firma.example": false, "jan@none.example": false,
	} {
		f := accountFlags{connectionFlags: connectionFlags{Email: &email}}
		if err := f.locked(t.Context(), owner, of); (err != nil) != refused {
			t.Errorf("%s: %v", email, err)
		}
		host := "imap.biuro.example"
		f.Host = &host
		if err := f.locked(t.Context(), owner, of); err != nil { // The control: the server is named.
			t.Errorf("%s at %s: %v", email, host, err)
		}
	}
}

// What the catalogue knows of a provider reaches the schedule, by the server
// that an account names and not by the preset it was made with.
func TestWhatAProviderAllowsGoesByTheServer(t *testing.T) {
	catalog, err := provider.New()
	if err != nil {
		t.Fatal(err)
	}
	a := &app{catalog: catalog}
	at := func(preset, host string, proto remote.Protocol) remote.Mailbox {
		return remote.Mailbox{Provider: preset, Protocol: proto, Server: remote.Server{Host: host}}
	}
	if l := a.allowed(at("google", "imap.gmail.com", remote.IMAP)); l.Interval != 10*time.Minute || l.Connections != 15 ||
		l.BytesPerDay != 2500<<20 {
		t.Errorf("Gmail allows %+v", l)
	}
	if l := a.allowed(at("other", "pop.gmail.com", remote.POP3)); l.Interval != 10*time.Minute ||
		l.BytesPerDay != 1250<<20 {
		t.Errorf("Gmail allows %+v by POP3", l)
	}
	if l := a.allowed(at("google", "imap.firma.example", remote.IMAP)); l.Interval != 0 || l.Connections != 0 {
		t.Errorf("another's server allows %+v", l)
	}
	if a.allowedAt("imap.gmail.com") != 15 || a.allowedAt("imap.firma.example") != 0 {
		t.Error("the connections that hosts allow are lost")
	}
}
