package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

const (
	ringUsers    = 3 // Each fetches the next one's mailbox; one more fetches its own by another name.
	ringMessages = 12
)

// ring is users of one installation who fetch each other's mailboxes here, by a
// Dovecot that serves them.
type ring struct {
	*site
	dovecot *mailtest.Dovecot
	users   []*user
	own     []mailtest.Oracle // What arrived in each one's own inbox.
}

func ringName(i int) string { return "ring" + strconv.Itoa(i) + "@firma.test" }

// closeRings adds a ring to each installation.
func (w *world) closeRings(ctx context.Context) error {
	for _, s := range w.sites {
		logins := map[string]string{}
		for i := range ringUsers + 1 {
			logins[ringName(i)] = password
		}
		// The last one's mailbox opens by another name too.
		logins["alias"] = password + "::::::user=" + ringName(ringUsers)
		r := &ring{site: s}
		r.dovecot = mailtest.StartDovecot(w.stage, mailtest.DovecotOptions{
			Users: logins, CA: w.ca, Separator: "/",
			Extra: []string{"mail_location = maildir:" + s.path(s.name, "mail") + "/%d/%n"},
		})
		w.rings = append(w.rings, r)
		for i := range ringUsers + 1 {
			u := &user{site: s, name: ringName(i)}
			r.users = append(r.users, u)
			r.own = append(r.own, nil)
			login := ringName((i + 1) % ringUsers)
			if i == ringUsers {
				login = "alias"
			}
			a := &account{protocol: "imap", username: login, password: password, email: fmt.Sprintf("ring%d@elsewhere.test", i)}
			if err := u.add(ctx, a, place{"localhost", r.dovecot.IMAPS, "tls"}); err != nil {
				return err
			}
			r.arrive(i, ringMessages)
		}
	}
	return nil
}

// arrive puts n messages into the inbox of one of the ring.
func (r *ring) arrive(i, n int) {
	r.corpus++
	got := mailtest.Append(r.stage, r.dovecot.Addr("imaps"), r.ca.Client(), ringName(i), password,
		mailtest.Corpus(r.seed+r.corpus<<20, n, false))
	r.own[i] = append(r.own[i], got...)
}

// verdict says where a message of the ring is twice in a mailbox, or is missing
// in its own or in the next one's.
func (r *ring) verdict() (bad []string) {
	for i, u := range r.users {
		if _, err := os.Stat(u.maildir()); err != nil {
			bad = append(bad, fmt.Sprintf("lost: the mailbox of %s: %v", u.name, err))
			continue
		}
		held := map[[32]byte]int{}
		for _, d := range mailtest.ReadMaildir(r.stage, u.maildir()) {
			held[d.SHA]++
		}
		doubled, lost := 0, 0
		for _, n := range held {
			doubled += n - 1
		}
		wanted := r.own[i]
		if i < ringUsers {
			wanted = append(wanted[:len(wanted):len(wanted)], r.own[(i+1)%ringUsers]...)
		}
		for _, e := range wanted {
			if held[e.SHA] == 0 {
				lost++
			}
		}
		r.counts.lost += lost
		r.counts.doubled += doubled
		if doubled > 0 {
			bad = append(bad, fmt.Sprintf("doubled: %d messages of %s on %s, in a ring", doubled, u.name, r.site.name))
		}
		if lost > 0 {
			bad = append(bad, fmt.Sprintf("lost: %d messages of %s on %s, in a ring", lost, u.name, r.site.name))
		}
	}
	return bad
}
