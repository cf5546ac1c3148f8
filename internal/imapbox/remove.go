package imapbox

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// RemoveFolder deletes a folder and everything below it, with the mail in it, and takes it off the
// subscriptions; and the staging folders of the accounts that were fetched into it. Removing what
// is not there is no error, as is a user whom the server does not know.
func (s *Store) RemoveFolder(ctx context.Context, o owner.Owner, folder string) error {
	return s.inOwn(ctx, "removing a folder", o, folder, func(c *conn) error {
		all, err := c.list()
		if err != nil {
			return err
		}
		tree := c.below(all, s.wireName(c, folder))
		journals := map[string]bool{}
		for _, l := range tree {
			if journal, _ := mail.ReadMark(s.o.Key, c.lastPart(l.name)); journal != "" {
				journals[journal] = true
			}
		}
		if err := s.delete(c, tree); err != nil {
			return err
		}
		return s.deleteStaging(c, func(journal string) bool { return journals[journal] })
	})
}

// RemoveEmptyFolder deletes an account folder in which there is nothing but our mark,
// with the mark. One that holds mail, or another folder, stays as it is. A message that comes in
// between the look at it and its removal would go with it: no server has a command for both.
func (s *Store) RemoveEmptyFolder(ctx context.Context, o owner.Owner, folder string) error {
	return s.inOwn(ctx, "removing an empty folder", o, folder, func(c *conn) error {
		all, err := c.list()
		if err != nil {
			return err
		}
		top := s.wireName(c, folder)
		tree := c.below(all, top)
		for _, l := range tree {
			if _, marks := mail.ReadMark(nil, strings.TrimPrefix(l.name, top+c.between())); l.name != top && !marks {
				return nil
			}
		}
		for _, l := range tree {
			if empty, err := c.isEmpty(l); err != nil || !empty {
				return err
			}
		}
		return s.delete(c, tree)
	})
}

// Forget deletes what we keep in a user's mailbox for ourselves: staging folders, with mail that was
// on its way. The mail that was delivered stays. Nobody may be delivering there.
func (s *Store) Forget(ctx context.Context, o owner.Owner) error {
	return s.ifThere(ctx, "forgetting a mailbox", o, func(c *conn) error {
		if _, err := c.list(); err != nil {
			return err
		}
		return s.deleteStaging(c, func(string) bool { return true })
	})
}

// ifThere does something in a user's mailbox. Where the server does not know the user, there is nothing
// to do.
func (s *Store) ifThere(ctx context.Context, op string, o owner.Owner, do func(c *conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b := s.take(o)
	defer s.give(b)
	err := s.use(ctx, op, o, b, func(c *conn) error {
		defer func() {
			c.removable = nil
			clear(b.marked)
			b.mu.Lock()
			defer b.mu.Unlock()
			b.seen, b.full = seen{}, nil
		}()
		return do(c)
	})
	if errors.Is(err, owner.ErrNoMailbox) {
		s.o.Log.WarnContext(ctx, "the server of the users' mailboxes does not let us into one: nothing is removed there",
			"user", o, "doing", op, "error", err)
		return nil
	}
	return err
}

// inOwn does something with an account folder in a user's mailbox, if there is one.
func (s *Store) inOwn(ctx context.Context, op string, o owner.Owner, folder string, do func(c *conn) error) error {
	if folder == "" || slices.Contains(strings.Split(folder, "/"), "") || mail.IsReservedFolder(folder) {
		return internal(op, "this folder is no account folder")
	}
	return s.ifThere(ctx, op, o, func(c *conn) error {
		if top := s.wireName(c, folder); strings.EqualFold(top, "INBOX") || s.isStaging(top) || c.isForeign(top) {
			return internal(op, "this folder is no account folder")
		}
		return do(c)
	})
}

// listed is a folder that the server lists.
type listed struct {
	name    string
	selects bool // It can be opened.
}

// list learns the folders that there are now. It also returns those that cannot be opened.
func (c *conn) list() (all []listed, err error) {
	c.folders = map[string]bool{}
	_, err = c.Do(`LIST "" "*"`, func(a wire.Answer) error {
		if a.Kind == "LIST" && len(a.Values) >= 3 {
			c.listed(a)
			name := a.Values[2].Text
			all = append(all, listed{name: name, selects: c.folders[name]})
		}
		return nil
	})
	c.noteSubstitutes()
	return all, err
}

// below returns a folder and all below it, the innermost first: a removal cut short leaves no folder
// without parents.
func (c *conn) below(all []listed, top string) (tree []listed) {
	for _, l := range all {
		if l.name == top || strings.HasPrefix(l.name, top+c.between()) {
			tree = append(tree, l)
		}
	}
	slices.SortFunc(tree, func(a, b listed) int {
		return cmp.Or(cmp.Compare(len(b.name), len(a.name)), cmp.Compare(a.name, b.name))
	})
	return tree
}

// lastPart is the last part of a folder's name.
func (c *conn) lastPart(name string) string { return name[strings.LastIndex(name, c.between())+1:] }

// isEmpty reports whether a folder holds no message.
func (c *conn) isEmpty(l listed) (bool, error) {
	if !l.selects {
		return true, nil
	}
	messages := int64(-1)
	_, err := c.Do("STATUS "+wire.Quote(l.name)+" (MESSAGES)", func(a wire.Answer) error {
		if a.Kind == "STATUS" && len(a.Values) == 2 {
			if said, ok := a.Values[1].Pairs()["MESSAGES"]; ok {
				messages = said.Number()
			}
		}
		return nil
	})
	if no := (*wire.Refused)(nil); refusedAs(err, &no) {
		if there, also := c.exists(l.name); also != nil || there {
			return false, errors.Join(err, also)
		}
		return true, nil // Somebody else was faster.
	}
	return messages == 0, err
}

// delete deletes exactly these folders, and takes them off the subscriptions.
func (s *Store) delete(c *conn, folders []listed) error {
	if len(folders) == 0 {
		return nil
	}
	if _, err := c.examines("INBOX"); err != nil { // None of them is open then.
		return err
	}
	c.removable = map[string]bool{}
	defer func() { c.removable = nil }()
	for _, l := range folders {
		c.removable[l.name] = true
	}
	for _, l := range folders {
		s.o.Step("remove.delete")
		if err := c.remove(l.name); err != nil {
			return err
		}
		if _, err := c.Do("UNSUBSCRIBE "+wire.Quote(l.name), nil); err != nil && c.Failure() != nil {
			return err
		}
	}
	return nil
}

// remove deletes one folder that may be. One that is gone is no error, nor is one that is no more than a
// place for others.
func (c *conn) remove(name string) error {
	_, err := c.Do("DELETE "+wire.Quote(name), nil)
	if no := (*wire.Refused)(nil); refusedAs(err, &no) {
		delete(c.folders, name)
		if there, also := c.exists(name); also != nil || there {
			return errors.Join(err, also)
		}
		err = nil
	}
	if err == nil {
		delete(c.folders, name)
	}
	return err
}

// deleteStaging deletes the staging folders of journals.
func (s *Store) deleteStaging(c *conn, of func(journal string) bool) error {
	for name := range c.folders {
		journal, _, ok := mail.ReadStagingFolder(s.o.Key, name)
		if !ok || c.isForeign(name) || !of(journal) {
			continue
		}
		s.o.Step("remove.staging")
		if err := c.removeStaging(name); err != nil {
			return err
		}
	}
	return nil
}

// challengeOld is when a challenge's folder is one that a process left behind
// when it was killed.
const challengeOld = 10 * time.Minute

// Challenge makes an empty folder in the user's mailbox whose name nobody can
// guess, until remove is called. The name is "" where the server does not know the user.
func (s *Store) Challenge(ctx context.Context, o owner.Owner) (name string, remove func() error, err error) {
	const op = "making a folder for a test"
	name = mail.ChallengeFor(strings.ToLower(rand.Text()))
	b := s.take(o)
	defer s.give(b)
	err = s.use(ctx, op, o, b, func(c *conn) error {
		if err := s.dropChallenges(c, b); err != nil {
			return err
		}
		s.o.Step("challenge.create")
		_, err := c.Do("CREATE "+wire.Quote(c.prefix+name), nil)
		return err
	})
	if errors.Is(err, owner.ErrNoMailbox) {
		return "", func() error { return nil }, nil
	}
	if err != nil {
		return "", nil, err
	}
	return name, func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), challengePatience)
		defer cancel()
		b := s.take(o)
		defer s.give(b)
		return s.use(ctx, "removing a folder of a test", o, b, func(c *conn) error {
			return s.dropChallenge(c, c.prefix+name)
		})
	}, nil
}

// challengePatience is how long is waited for the server when a challenge is to be removed.
const challengePatience = 30 * time.Second

// dropChallenges removes what a process left behind that was killed: what has been there for some
// time, by what this one has seen.
func (s *Store) dropChallenges(c *conn, b *box) error {
	if _, err := c.list(); err != nil {
		return err
	}
	now := s.o.Now()
	since := map[string]time.Time{}
	for name := range c.folders {
		if !mail.IsChallenge(strings.TrimPrefix(name, c.prefix)) {
			continue
		}
		first, known := b.challenges[name]
		if !known {
			first = now
		}
		if now.Sub(first) <= challengeOld {
			since[name] = first
		} else if err := s.dropChallenge(c, name); err != nil {
			return err
		}
	}
	b.challenges = since
	return nil
}

// dropChallenge removes a folder of a test, unless somebody put a message there.
func (s *Store) dropChallenge(c *conn, name string) error {
	if empty, err := c.isEmpty(listed{name: name, selects: true}); err != nil || !empty {
		return err
	}
	c.removable = map[string]bool{name: true}
	defer func() { c.removable = nil }()
	s.o.Step("challenge.delete")
	return c.remove(name)
}
