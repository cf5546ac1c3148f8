package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/mailbrook/mailbrook/api"
	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/audit"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// Audit keeps who did what. What changes the database is written down by whatever
// changes it; who acts goes with the context, see audit.By.
type Audit interface {
	// Acts returns a page, the newest first. A cursor that was not given out is an
	// *account.InvalidError.
	Acts(ctx context.Context, f audit.Filter) (audit.Page, error)
	// Record writes down what happens elsewhere, before it does.
	Record(ctx context.Context, e audit.Entry) error
}

// actor is who acts by a request.
func (who Identity) actor(client string) audit.Actor {
	role := audit.User
	if who.Admin {
		role = audit.Admin
	}
	return audit.Actor{Role: role, Name: who.Owner.String(), Client: client}
}

// AdminListAudit returns a page of acts.
func (s *server) AdminListAudit(ctx context.Context,
	r api.AdminListAuditRequestObject,
) (api.AdminListAuditResponseObject, error) {
	p := r.Params
	f := audit.Filter{
		Query: value(p.Query), Role: audit.Role(value(p.Role)), Actor: value(p.Actor),
		Action: audit.Action(value(p.Action)), From: value(p.From), To: value(p.To), Limit: value(p.Limit),
		Cursor: value(p.Cursor),
	}
	if p.Account != nil {
		f.Account = account.ID(p.Account.String())
	}
	if p.User != nil {
		var err error
		if f.User, err = anyOwner(*p.User); err != nil {
			bad := &account.InvalidError{}
			bad.Add("user", "invalid", "must be a full mailbox address, such as anna@example.org")
			return nil, bad
		}
	}
	page, err := s.Audit.Acts(ctx, f)
	if err != nil {
		return nil, err
	}
	out := api.AdminListAudit200JSONResponse{
		Entries: make([]api.AuditEntry, len(page.Entries)), CompleteSince: when(page.Since), NextCursor: text(page.Next),
	}
	for i, e := range page.Entries {
		out.Entries[i] = auditJSON(e)
	}
	return out, nil
}

// auditJSON is an act as the document has it.
func auditJSON(e audit.Entry) api.AuditEntry {
	out := api.AuditEntry{
		Id: strconv.FormatInt(e.ID, 10), At: utc(e.At), Role: api.AuditEntryRole(e.Actor.Role), Actor: text(e.Actor.Name),
		Client: text(e.Actor.Client), Action: api.AuditAction(e.Action), AccountId: text(string(e.Account)),
		Changed: list(e.Changed), Details: e.Details,
	}
	if !e.User.IsZero() {
		out.User = text(e.User.String())
	}
	if out.Details == nil {
		out.Details = map[string]string{}
	}
	return out
}

// anyOwner reads an address of a user who may be one of an earlier version, as whom
// nobody signs in any more.
func anyOwner(s string) (owner.Owner, error) {
	o, err := owner.Parse(s)
	if err != nil {
		o, err = owner.Stored(s)
	}
	return o, err
}

// AdminExportUser sends all that is stored about a user.
func (s *server) AdminExportUser(ctx context.Context,
	r api.AdminExportUserRequestObject,
) (api.AdminExportUserResponseObject, error) {
	o, err := anyOwner(r.User)
	if err != nil {
		return nil, account.ErrNotFound
	}
	return export{s, ctx, o}, nil
}

// export is a document that is sent while it is read.
type export struct {
	*server
	ctx  context.Context
	user owner.Owner
}

const (
	// exportAtOnce is how much of an export is sent at a time.
	exportAtOnce = 64 << 10
	// exportPatience is how long a reader may take for so much of it.
	exportPatience = time.Minute
)

// VisitAdminExportUserResponse sends the document.
func (e export) VisitAdminExportUserResponse(w http.ResponseWriter) error {
	return e.sendLong(e.ctx, w, "application/json", "export.json", func(out io.Writer) error {
		return e.Users.Export(e.ctx, e.user, out)
	})
}

// patient writes to a reader who may be slow, as long as it reads on.
type patient struct {
	w     io.Writer
	to    *http.ResponseController
	begin func()
	begun bool
}

func (p *patient) Write(b []byte) (int, error) {
	if !p.begun {
		p.begun = true
		p.begin()
	}
	if err := p.to.SetWriteDeadline(time.Now().Add(exportPatience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, fmt.Errorf("setting a deadline: %w", err)
	}
	return p.w.Write(b)
}
