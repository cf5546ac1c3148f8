package store

import "github.com/mailbrook/mailbrook/internal/schedule"

// lostNow is 1 in a claim that finds the lease of a process that died, else 0: a
// visit that was finished or given back, or that an edit cut short, has left no
// lease. Its arguments are the claiming process's name, the same with "/%", and
// from when to when the database was away: what a living process could not
// settle was no death.
const lostNow = `CASE WHEN lease_owner <> '' AND lease_owner <> ? AND lease_owner NOT LIKE ?
	AND NOT lease_until_ms BETWEEN ? AND ? THEN 1 ELSE 0 END`

// lostWith is lostNow for one lease that has run out.
func (s *Store) lostWith(worker, us string, until int64) int {
	if from, to := s.away(); worker == "" || process(worker) == us || from <= until && until <= to {
		return 0
	}
	return 1
}

// lane sees to it that a process visits one suspect at a time: an account
// whose last visits began and never ended, schedule.AbortedAlone of them in a row.
// Beside it are only accounts with nothing against them, so that another death
// makes nobody else a suspect; whoever was there at one death waits until
// the suspect's visit is over.
type lane struct {
	suspects  int // Under way and chosen.
	uncertain int // The same with fewer visits that never ended, but some.
	waiting   bool
}

// takes reports whether an account with so many visits that never ended may be
// visited now. Once a suspect has to wait, no more are let in that it waits for.
func (l *lane) takes(aborted int) bool {
	switch {
	case aborted == 0:
		return true
	case aborted < schedule.AbortedAlone:
		return l.suspects == 0 && !l.waiting
	case l.suspects > 0 || l.uncertain > 0:
		l.waiting = true
		return false
	}
	return true
}

// add notes a visit.
func (l *lane) add(aborted int) {
	switch {
	case aborted >= schedule.AbortedAlone:
		l.suspects++
	case aborted > 0:
		l.uncertain++
	}
}
