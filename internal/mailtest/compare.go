package mailtest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// CompareDelivered fails the test unless the messages at and below
// accountFolder are exactly those of the oracle, each as often, in its folder,
// with its bytes, flags and date. An empty accountFolder compares the whole
// mailbox, INBOX with INBOX.
func CompareDelivered(tb testing.TB, want Oracle, got []Delivered, accountFolder string) {
	tb.Helper()
	diffs := Differences(want, got, accountFolder)
	for i, d := range diffs {
		if i == 20 {
			tb.Errorf("and %d more", len(diffs)-i)
			break
		}
		tb.Error(d)
	}
}

// Differences says, in words, what distinguishes the delivered messages from
// the oracle. See CompareDelivered.
func Differences(want Oracle, got []Delivered, accountFolder string) []string {
	type key struct {
		folder string
		sha    [32]byte
	}
	wanted := make(map[key][]Expected)
	found := make(map[key][]Delivered)
	keys := make(map[key]bool)
	for _, e := range want {
		k := key{localFolder(accountFolder, e.Folder), e.SHA}
		wanted[k] = append(wanted[k], e)
		keys[k] = true
	}
	for _, d := range got {
		if accountFolder != "" && d.Folder != accountFolder && !strings.HasPrefix(d.Folder, accountFolder+"/") {
			continue
		}
		k := key{d.Folder, d.SHA}
		found[k] = append(found[k], d)
		keys[k] = true
	}
	var diffs []string
	order := slices.SortedFunc(maps.Keys(keys), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.folder, b.folder), slices.Compare(a.sha[:], b.sha[:]))
	})
	for _, k := range order {
		w, f := wanted[k], found[k]
		slices.SortFunc(w, func(a, b Expected) int { return cmp.Or(cmp.Compare(a.Flags, b.Flags), a.Date.Compare(b.Date)) })
		slices.SortFunc(f, func(a, b Delivered) int { return cmp.Or(cmp.Compare(a.Flags, b.Flags), a.Time.Compare(b.Time)) })
		if len(w) != len(f) {
			diffs = append(diffs, fmt.Sprintf("%s: %x is there %d times, want %d%s", k.folder, k.sha[:6], len(f), len(w),
				about(w, f)))
			continue
		}
		for i := range w {
			if w[i].Flags != f[i].Flags {
				diffs = append(diffs, fmt.Sprintf("%s: %x has flags %q, want %q%s", k.folder, k.sha[:6], f[i].Flags, w[i].Flags,
					about(w, f)))
			}
			if !w[i].Date.IsZero() && !w[i].Date.Equal(f[i].Time.Truncate(time.Second)) {
				diffs = append(diffs, fmt.Sprintf("%s: %x is of %s, want %s%s", k.folder, k.sha[:6],
					f[i].Time.UTC().Format(time.RFC3339), w[i].Date.UTC().Format(time.RFC3339), about(w, f)))
			}
		}
	}
	return diffs
}

// localFolder is where the contract puts a remote folder.
func localFolder(accountFolder, remote string) string {
	switch {
	case accountFolder == "":
		return remote
	case remote == "INBOX":
		return accountFolder
	default:
		return accountFolder + "/" + remote
	}
}

func about(w []Expected, f []Delivered) string {
	var b strings.Builder
	if len(w) > 0 {
		fmt.Fprintf(&b, " (%d octets", w[0].Size)
		if w[0].Odd != "" {
			fmt.Fprintf(&b, ", %s", w[0].Odd)
		}
		b.WriteString(")")
	}
	if len(f) > 0 {
		fmt.Fprintf(&b, " (found: %d octets %s)", f[0].Size, f[0].Path)
	}
	return b.String()
}
