package fetch

import (
	"context"

	"github.com/mailbrook/mailbrook/internal/mail"
)

// VisitJudged is Visit, and calls each with the verdict on each listed message, by the
// name under which it is fetched.
func (e *Engine) VisitJudged(ctx context.Context, l Lease, each func(folder string, id mail.ID, v Verdict)) Report {
	v := e.newVisit(l)
	r := v.visit(ctx)
	for _, p := range v.plans {
		_ = v.eachPage(&p.listing, func(at int, items []mail.Item) error {
			for i := range items {
				each(p.folder.Remote, p.item(at+i, items[i]).ID, p.verdicts[at+i])
			}
			return nil
		})
	}
	return r
}
