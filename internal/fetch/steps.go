package fetch

import (
	"context"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/memory"
)

// step is one part of a visit. It relies on what the steps before it did, as the lists
// below say, and leaves what it found out in the verdicts.
type step struct {
	name string // For logs.
	do   func(v *visit, ctx context.Context) error
}

// visitSteps are what a visit does, in this order.
func visitSteps() []step {
	return []step{
		// Nothing was begun: a visit that finds no memory is as if it had not been.
		{"take memory", (*visit).takeMemory},
		// The lease is held. Where no mailbox was made yet, this signs in first.
		{"open the mailbox", (*visit).openMailbox},
		// The mailbox is open, and this visit wrote neither to the journal nor to the spool.
		{"compare generations", (*visit).compareGenerations},
		// It is known whether journal and spool belong together: only then is a file that is
		// gone from the spool proof of a delivery.
		{"recover", (*visit).recover},
		// Nothing of earlier visits holds room any more. If the mailbox is full, the server is
		// not contacted at all.
		{"ask for room", (*visit).askForRoom},
		// There is a mailbox with room. The server was not asked for its folders, which it
		// is along with the login: it has to show the mark among them.
		{"mark the folder", (*visit).mark},
		// All that can end a visit without a login was done.
		{"sign in", (*visit).signIn},
		// The session is open. After this each message of each listing has a verdict.
		{"survey", (*visit).survey},
		// Each message that may be another than its name says is known as suspect.
		{"look at suspects", (*visit).examineSuspects},
		// A name is its message's again, or its message is still suspect: what is found in
		// the mailbox by a name is that message.
		{"reconcile", (*visit).reconcile},
		// What is in the mailbox is settled, whatever its date.
		{"apply the start", (*visit).applyStart},
		// What is to be fetched is wanted: nothing from before the start uses up a known
		// message that a wanted one is.
		{"rematch", (*visit).rematch},
		// What can be decided over whole folders is decided; the rest goes by windows.
		{"fetch", (*visit).fetchWindows},
		// All that came is committed: what the server refuses now keeps nothing away.
		{"describe", (*visit).describeSkipped},
		// Nothing is left to be asked, and what was taken is committed (POP3: RFC 1939
		// section 6 lets QUIT remove messages).
		{"leave", (*visit).leave},
	}
}

// windowSteps are what is done with each window, in this order.
func windowSteps() []step {
	return []step{
		// The window before is committed.
		{"fill the window", (*visit).fillWindow},
		// The window has the newest messages of all folders.
		{"pair twins", (*visit).pairTwins},
		// One of each pair of twins is left: what is too large is listed once.
		{"skip what is too large", (*visit).skipTooLarge},
		// The window has what is to be downloaded and nothing else.
		{"load what was fetched here", (*visit).loadFetchedHere},
		// The same, and it is known what of it this installation fetched before.
		{"transfer", (*visit).transfer},
	}
}

// perform does steps until one of them fails.
func (v *visit) perform(ctx context.Context, steps []step) error {
	for _, s := range steps {
		if err := s.do(v, ctx); err != nil {
			v.log.DebugContext(ctx, "a step ends the visit", "step", s.name, "error", err)
			return err
		}
	}
	return nil
}

// run performs a visit from its first step to its last, or to the one that fails.
func (v *visit) run(ctx context.Context) error {
	defer v.close()
	defer v.keepCapabilities(ctx)
	return v.perform(ctx, visitSteps())
}

// close ends what a visit holds.
func (v *visit) close() {
	if v.delivery != nil {
		_ = v.delivery.Close()
	}
	if v.session != nil {
		_ = v.session.Close()
	}
}

func (v *visit) takeMemory(ctx context.Context) error {
	return memory.Of(ctx).Take(ctx, visitCost)
}

// askForRoom fails when the mailbox takes nothing more.
func (v *visit) askForRoom(ctx context.Context) error {
	if err := v.delivery.Reserve(ctx, 1, 1); err != nil {
		return err
	}
	v.delivery.Release(1, 1)
	return nil
}

// signIn signs in at the remote, if that was not done yet.
func (v *visit) signIn(ctx context.Context) error {
	if v.session != nil {
		return nil
	}
	c, err := v.Credentials.Credential(ctx, v.lease.Route.From)
	if err != nil {
		return fault.Wrap(fault.Internal, "reading the credential", err)
	}
	s, err := v.Source.Open(ctx, v.lease.Route.From, c)
	if err != nil {
		return err
	}
	v.session = s
	return nil
}

// leave ends the session as the protocol wants it.
func (v *visit) leave(ctx context.Context) error {
	v.delivery.Finish(ctx)
	if err := v.session.Leave(ctx); err != nil {
		v.log.DebugContext(ctx, "leaving the server", "error", err)
	}
	return nil
}
