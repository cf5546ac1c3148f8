package store

import (
	"context"
	"strings"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// Shadow is a user that an earlier version accepted and that nobody can sign in
// as any more: its address is not in ASCII. All that it has is kept.
type Shadow struct {
	User     string
	Accounts int64
	// Like are other users whom somebody may take it for: their addresses are the
	// same once Unicode is folded.
	Like []string
}

// String says it in words.
func (s Shadow) String() string {
	if len(s.Like) == 0 {
		return "its address is not in ASCII: nobody can sign in as it"
	}
	return "its address is not in ASCII: nobody can sign in as it, and it looks like " + strings.Join(s.Like, ", ")
}

// Shadows lists them, by address. It reads the address of every user once.
func (s *Store) Shadows(ctx context.Context) ([]Shadow, error) {
	const op = "looking for users who cannot sign in"
	foreign := "length(CAST(owner AS BLOB)) <> length(owner)"
	if s.postgres {
		foreign = "octet_length(owner) <> char_length(owner)"
	}
	c := s.on(s.r)
	var out []Shadow
	// Whoever has accounts or limits is in owners; of who had them, journals know.
	err := c.each(ctx, func(r rowScanner) error {
		var x Shadow
		err := r.Scan(&x.User, &x.Accounts)
		out = append(out, x)
		return err
	}, `SELECT o.owner, (SELECT count(*) FROM accounts a WHERE a.owner = o.owner) FROM
		(SELECT owner FROM owners WHERE `+foreign+" UNION SELECT owner FROM accounts WHERE "+foreign+" UNION SELECT owner "+
		"FROM journals WHERE "+foreign+`) o
		ORDER BY o.owner`)
	if err != nil {
		return nil, s.wrap(ctx, op, err)
	}
	alike := map[string][]string{}
	for _, x := range out {
		like := owner.LooksLike(x.User)
		if _, seen := alike[like]; !seen {
			plain := ""
			if err := c.each(ctx, scanInto(&plain), "SELECT owner FROM owners WHERE owner = ?", like); err != nil {
				return nil, s.wrap(ctx, op, err)
			}
			if alike[like] = []string{}; plain != "" && plain != x.User {
				alike[like] = append(alike[like], plain)
			}
		}
		alike[like] = append(alike[like], x.User)
	}
	for i, x := range out {
		for _, other := range alike[owner.LooksLike(x.User)] {
			if other != x.User {
				out[i].Like = append(out[i].Like, other)
			}
		}
	}
	return out, nil
}
