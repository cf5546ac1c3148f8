package account

import (
	"context"
	"slices"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/remote"
	"github.com/mailbrook/mailbrook/internal/words"
)

// refuseOwn refuses a server of the operator's own, where users' mailboxes
// lie: what is fetched there comes from here. Its error has the code mail_loop.
func (r *Registry) refuseOwn(ctx context.Context, s remote.Server) error {
	if !r.Remotes.OwnHost(ctx, s.Host) {
		return nil
	}
	return fault.New(fault.MailLoop, "checking the server",
		words.Say("This server holds the mailboxes of this service itself."))
}

// probe runs a connection test, and fails one that leads into the owner's own
// mailbox, whatever the names by which it does: while the test runs there is a
// folder in the mailbox that nobody else can have.
func (r *Registry) probe(ctx context.Context, a Account, l login) TestReport {
	challenge := ""
	if a.Protocol == remote.IMAP { // POP3 shows no folders: the first visit finds out.
		name, remove, err := r.Folders.Challenge(ctx, a.Owner)
		if err != nil {
			r.Log.WarnContext(ctx, "testing whether a connection leads back", "user", a.Owner, "error", err)
		} else {
			challenge = name
			defer func() {
				if err := remove(); err != nil {
					r.Log.WarnContext(ctx, "removing the folder of a test", "user", a.Owner, "error", err)
				}
			}()
		}
	}
	rep := r.Prober.Probe(ctx, a, l.credential(a))
	if !rep.OK || challenge == "" || !slices.Contains(rep.Folders, challenge) {
		return rep
	}
	detail := words.Detail{words.Say("This is your own mailbox, and would be fetched into itself.")}
	rep.OK, rep.Folders, rep.Shared, rep.Messages, rep.Warning = false, nil, nil, 0, nil
	rep.Diagnosis = &Diagnosis{Code: fault.MailLoop, Detail: detail, Since: r.Now().UTC()}
	if last := len(rep.Steps) - 1; last >= 0 {
		rep.Steps = slices.Clone(rep.Steps)
		rep.Steps[last].OK, rep.Steps[last].Detail = false, detail
	}
	return rep
}
