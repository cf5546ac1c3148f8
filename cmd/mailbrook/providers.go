package main

import (
	"fmt"
	"strings"

	"github.com/mailbrook/mailbrook/internal/provider"
	"github.com/mailbrook/mailbrook/internal/remote"
)

type providersCmd struct {
	JSON bool `name:"json" help:"Print one JSON object per provider."`
}

// providerShown is what --json prints of a provider.
type providerShown struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Domains []string `json:"domains"`
	IMAP    string   `json:"imap"` // Host and port; empty: not offered.
	POP3    string   `json:"pop3"`
	Auth    []string `json:"auth"`
}

// Run lists the catalogue. It needs no installation.
func (c providersCmd) Run(t terminal) error {
	catalog, err := provider.New()
	if err != nil {
		return err
	}
	tab := newTable("id", "name", "imap", "pop3", "signs in by").sparing("name", "pop3").keeping("id", "imap", "pop3")
	for _, p := range catalog.All() {
		shown := providerShown{
			ID: p.ID, Name: p.DisplayName("en"), Domains: append([]string{}, p.Domains...),
			IMAP: serverText(p.Servers, remote.IMAP), POP3: serverText(p.Servers, remote.POP3), Auth: []string{},
		}
		for _, a := range p.Auth {
			shown.Auth = append(shown.Auth, string(a))
		}
		if c.JSON {
			if err := t.jsonLine(shown); err != nil {
				return err
			}
			continue
		}
		tab.add(shown.ID, shown.Name, shown.IMAP, shown.POP3, strings.Join(shown.Auth, ", "))
	}
	if c.JSON {
		return nil
	}
	return tab.write(t.page())
}

func serverText(all map[remote.Protocol]remote.Server, p remote.Protocol) string {
	s, ok := all[p]
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s:%d", s.Host, s.Port)
}
