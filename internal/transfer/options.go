package transfer

import (
	"cmp"
	"slices"
	"strings"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/route"
)

// complete returns the options with defaults for what was left out.
func (d OptionsDraft) complete() Options {
	o := d.Options
	o.Existing = cmp.Or(o.Existing, ExistingIgnore)
	o.Labels = cmp.Or(o.Labels, LabelsFirst)
	o.Order = cmp.Or(o.Order, OldestFirst)
	o.Verify = cmp.Or(o.Verify, VerifySample)
	o.Prefix = strings.Trim(o.Prefix, "/")
	return o
}

// check notes what is wrong with options.
func (o Options) check(bad *account.InvalidError) {
	oneOf(bad, "options.existing", o.Existing, ExistingIgnore)
	oneOf(bad, "options.labels", o.Labels, LabelsFirst)
	oneOf(bad, "options.order", o.Order, OldestFirst, NewestFirst)
	oneOf(bad, "options.verify", o.Verify, VerifyQuick, VerifySample, VerifyFull)
	if o.MaxBytes != 0 && (o.MaxBytes < route.LeastMessageBytes || o.MaxBytes > route.MostMessageBytes) {
		bad.Add("options.max_bytes", "out_of_range", "must be between %d and %d", route.LeastMessageBytes,
			route.MostMessageBytes)
	}
	if o.BytesPerSec < 0 {
		bad.Add("options.bytes_per_second", "out_of_range", "must not be negative: 0 sets no limit")
	}
	if !o.Since.IsZero() && !o.Before.IsZero() && !o.Since.Before(o.Before) {
		bad.Add("options.since", "invalid", "must be earlier than options.before")
	}
	if o.NotifyEmail != "" {
		bad.Add("options.notify_email", "not_offered", "must be left out: the report goes into the new mailbox alone")
	}
}

func oneOf[T ~string](bad *account.InvalidError, field string, v T, of ...T) {
	if slices.Contains(of, v) {
		return
	}
	all := make([]string, len(of))
	for i, x := range of {
		all[i] = string(x)
	}
	bad.Add(field, "invalid", "must be one of: %s", strings.Join(all, ", "))
}
