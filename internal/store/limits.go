package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/insight"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// Who said what a user's limits are: owners.set_by.
const (
	setByNobody       = 0
	setForUser        = 1
	setByDomain       = 2
	setByInstallation = 3
)

func setBy(n int16) owner.LimitSource {
	switch n {
	case setForUser:
		return owner.LimitByMailbrook
	case setByDomain:
		return owner.LimitByDomain
	case setByInstallation:
		return owner.LimitByInstallation
	}
	return ""
}

// domainOf is the domain of a user's address in SQL, in the words of the index
// owners_by_domain.
const domainOf = "substr(owner, length(rtrim(owner, replace(owner, '@', ''))) + 1)"

// limitsAtOnce is of how many users limits are changed in one transaction: few
// enough that visits do not notice that they wait.
const limitsAtOnce = 500

// nothingElse is a change of a user's row that only recomputes its limits.
func nothingElse(*gorm.DB, *ownerRow) (map[string]any, error) { return nil, nil }

// inherit gives a row the default of its domain, or everybody's, unless its
// limits were set for this very user.
func (s *Store) inherit(ctx context.Context, c sqlConn, r *ownerRow) error {
	if r.SetBy == setForUser {
		return nil
	}
	_, domain, _ := strings.Cut(r.Owner, "@")
	var name string
	r.SetBytes, r.SetMessages, r.SetBy = never, never, setByNobody
	err := c.each(ctx, scanInto(&name, &r.SetBytes, &r.SetMessages), "SELECT domain, bytes, messages FROM default_limits "+
		"WHERE domain IN (?, ?) ORDER BY CASE WHEN domain = ? THEN 1 ELSE 0 END LIMIT 1", domain, owner.EveryDomain,
		owner.EveryDomain)
	switch name {
	case "":
	case owner.EveryDomain:
		r.SetBy = setByInstallation
	default:
		r.SetBy = setByDomain
	}
	return err
}

// DefaultLimits returns a page of the default limits, everybody's first, then by
// domain; and the domain after which the next page begins, "" after the last.
func (r Admin) DefaultLimits(ctx context.Context, after string, limit int) (page []insight.DefaultLimit, next string,
	err error,
) {
	s := r.s
	size := pageSize(limit)
	err = s.on(s.r).each(ctx, func(r rowScanner) error {
		var d insight.DefaultLimit
		var bytes, messages int64
		err := r.Scan(&d.Domain, &bytes, &messages)
		d.Limit = owner.Limit{Bytes: limitPointer(bytes), Messages: limitPointer(messages)}
		page = append(page, d)
		return err
	}, "SELECT domain, bytes, messages FROM default_limits WHERE domain > ? ORDER BY domain LIMIT ?", after, size+1)
	if err == nil && len(page) == 0 {
		err = s.nothing(ctx)
	}
	if err != nil {
		return nil, "", s.wrap(ctx, "listing default limits", err)
	}
	if len(page) > size {
		page = page[:size]
		next = page[size-1].Domain
	}
	return page, next, nil
}

// SetDefaultLimit sets what the users of a domain may hold (owner.EveryDomain:
// those whose domain has no default) of whom nothing else was said; nil takes the
// default back. It counts for deliveries at once, and for lists when SpreadLimits
// has come through.
func (r Admin) SetDefaultLimit(ctx context.Context, domain string, l *owner.Limit) error {
	s := r.s
	return s.write(ctx, "setting a default limit", func(tx *gorm.DB) error {
		c := s.on(tx)
		before, err := s.lockDefault(ctx, c, domain)
		if err != nil {
			return err
		}
		if l == nil {
			_, err = c.exec(ctx, "DELETE FROM default_limits WHERE domain = ?", domain)
		} else {
			_, err = c.exec(ctx, `INSERT INTO default_limits (domain, bytes, messages) VALUES (?, ?, ?)
				ON CONFLICT (domain) DO UPDATE SET bytes = excluded.bytes, messages = excluded.messages`, domain,
				limitColumn(l.Bytes), limitColumn(l.Messages))
		}
		if err != nil {
			return err
		}
		_, err = c.exec(ctx, `INSERT INTO default_limits_changed (domain, attempt) VALUES (?, ?)
			ON CONFLICT (domain) DO UPDATE SET attempt = excluded.attempt`, domain, uuid.NewString())
		if err != nil || l == nil && before == nil {
			return err
		}
		return s.record(ctx, c, defaultSet(domain, before, l))
	})
}

// lockDefault returns the default of a domain, which nobody else changes meanwhile; nil:
// it has none.
func (s *Store) lockDefault(ctx context.Context, c sqlConn, domain string) (l *owner.Limit, err error) {
	query := "SELECT bytes, messages FROM default_limits WHERE domain = ?"
	if s.postgres {
		query += " FOR UPDATE"
	}
	err = c.each(ctx, func(r rowScanner) error {
		var bytes, messages int64
		err := r.Scan(&bytes, &messages)
		l = &owner.Limit{Bytes: limitPointer(bytes), Messages: limitPointer(messages)}
		return err
	}, query, domain)
	return l, err
}

// SpreadLimits writes default limits that changed into the rows of their users,
// by which lists go. Broken off, it starts over; several at once do no harm.
func (s *Store) SpreadLimits(ctx context.Context) error {
	changed := map[string]string{}
	err := s.on(s.r).each(ctx, func(r rowScanner) error {
		var domain, attempt string
		err := r.Scan(&domain, &attempt)
		changed[domain] = attempt
		return err
	}, "SELECT domain, attempt FROM default_limits_changed")
	if err != nil {
		return s.wrap(ctx, "spreading default limits", err)
	}
	for domain, attempt := range changed {
		if err := s.spread(ctx, domain); err != nil {
			return s.wrap(ctx, "spreading default limits", err)
		}
		// Whoever changed it again meanwhile sees to it, or is seen to next time.
		_, err := s.on(s.w).exec(ctx, "DELETE FROM default_limits_changed WHERE domain = ? AND attempt = ?", domain, attempt)
		if err != nil {
			return s.wrap(ctx, "spreading default limits", err)
		}
	}
	return nil
}

func (s *Store) spread(ctx context.Context, domain string) error {
	where, args := []string{"set_by <> ?"}, []any{setForUser}
	if domain != owner.EveryDomain {
		where, args = append(where, domainOf+" = ?"), append(args, domain)
	}
	for after := ""; ; {
		err := s.write(ctx, "spreading default limits", func(tx *gorm.DB) error {
			rows, last, err := s.lockRows(tx, where, args, after)
			after = last
			for i := range rows {
				if err == nil {
					_, err = s.rewrite(tx, &rows[i])
				}
			}
			return err
		})
		if err != nil || after == "" {
			return err
		}
	}
}

// lockRows returns the next rows that meet conditions, by address, and after
// which address those begin that come then, "" after the last.
func (s *Store) lockRows(tx *gorm.DB, where []string, args []any, after string) (rows []ownerRow, next string,
	err error,
) {
	query := "SELECT " + ownerColumns + " FROM owners WHERE " + strings.Join(append(where[:len(where):len(where)],
		"owner > ?"), " AND ") + " ORDER BY owner LIMIT ?"
	if s.postgres {
		query += " FOR UPDATE"
	}
	err = tx.Raw(query, append(args[:len(args):len(args)], after, limitsAtOnce)...).Scan(&rows).Error
	if err == nil && len(rows) == limitsAtOnce {
		next = rows[len(rows)-1].Owner
	}
	return rows, next, err
}

// rewrite brings a row that is locked in line with its default and saves what is
// other than it was; changed says whether what was set for the user is, too.
func (s *Store) rewrite(tx *gorm.DB, r *ownerRow) (changed bool, err error) {
	before := *r // But for what was set.
	if err := s.inherit(tx.Statement.Context, s.on(tx), r); err != nil {
		return false, err
	}
	set := r.limited()
	done := tx.Table("owners").Where("owner = ?", r.Owner).Where("set_bytes <> ? OR set_messages <> ? OR set_by <> ?",
		r.SetBytes, r.SetMessages, r.SetBy).Updates(set)
	if done.Error != nil {
		return false, done.Error
	}
	return done.RowsAffected > 0, s.resumeStopped(tx.Statement.Context, s.on(tx), *r, before)
}

// ChangeLimits changes the limits of the next users that a filter chooses, at most
// 500 in one transaction, by address. The first step begins after "". A user who
// comes to meet the filter by a step is not changed twice.
func (r Admin) ChangeLimits(ctx context.Context, f insight.QuotaFilter, change owner.LimitChange,
	after string,
) (step insight.LimitStep, err error) {
	s := r.s
	where, args, err := chosenBy(f, s.postgres)
	if err != nil {
		return insight.LimitStep{}, err
	}
	err = s.write(ctx, "setting the quotas of many", func(tx *gorm.DB) error {
		step = insight.LimitStep{}
		rows, next, err := s.lockRows(tx, where, args, after)
		if err != nil {
			return err
		}
		for i := range rows {
			r, before := &rows[i], rows[i]
			if change.Inherit {
				r.SetBy = setByNobody
			} else {
				l := change.Of(r.set())
				r.SetBytes, r.SetMessages, r.SetBy = limitColumn(l.Bytes), limitColumn(l.Messages), setForUser
			}
			changed, err := s.rewrite(tx, r)
			if err != nil {
				return err
			}
			o, err := owner.Stored(r.Owner)
			if err != nil {
				return fmt.Errorf("reading a quota: %w", err)
			}
			if changed {
				step.Changed++
				if err := s.record(ctx, s.on(tx), limitsSet(o, before, *r)); err != nil {
					return err
				}
			}
			if err := s.forgetOwner(tx, o); err != nil {
				return err
			}
		}
		step.Matching, step.Next = int64(len(rows)), next
		return nil
	})
	return step, s.wrap(ctx, "setting the quotas of many", err)
}

// CountQuotas says how many users a filter chooses.
func (r Admin) CountQuotas(ctx context.Context, f insight.QuotaFilter) (n int64, err error) {
	s := r.s
	where, args, err := chosenBy(f, s.postgres)
	if err != nil {
		return 0, err
	}
	err = s.on(s.r).row(ctx, "SELECT count(*) FROM owners WHERE "+strings.Join(where, " AND "), args...).Scan(&n)
	if err == nil && n == 0 {
		err = s.nothing(ctx)
	}
	return n, s.wrap(ctx, "counting users", err)
}

// chosenBy are the conditions of a filter, at least one.
func chosenBy(f insight.QuotaFilter, postgres bool) (where []string, args []any, err error) {
	bad := &account.InvalidError{}
	where, args = quotaConditions(f, bad, postgres)
	return append(where, "1 = 1"), args, bad.OrNil()
}
