package imapbox

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
	"github.com/mailbrook/mailbrook/internal/wire"
)

// seenAt is a message as a Reader lists it.
type seenAt struct {
	size, received int64
}

// look lists a folder by its name for us.
func (f *office) look(r *Reader, folder string) (validity uint32, all map[uint32]seenAt) {
	f.t.Helper()
	name, err := r.Name(f.t.Context(), folder)
	if err != nil {
		f.t.Fatal(err)
	}
	all = map[uint32]seenAt{}
	validity, there, err := r.Look(f.t.Context(), name, func(uid uint32, size, received int64) error {
		all[uid] = seenAt{size, received}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	if !there {
		return 0, nil
	}
	return validity, all
}

// What was delivered is listed where the server said that it is, with the date and size that it was given, and read
// octet for octet; none is marked as read by that. Each kind of delivery is asked.
func readsBack(t *testing.T, f *office) {
	ctx := t.Context()
	d := f.open(anna(), 1, owner.Limit{})
	placed := map[mail.Token]mail.Placed{}
	deliver := func(folder string, n, size int) []mail.Placement {
		ps := f.stage(d, folder, n, size)
		sealed, err := d.Seal(ctx, ps)
		if err != nil {
			t.Fatal(err)
		}
		for i := range ps {
			ps[i].Spool = sealed[i].Spool
		}
		if _, err := d.Publish(ctx, ps); err != nil {
			t.Fatal(err)
		}
		for _, x := range d.Placed() {
			placed[x.Token] = x
		}
		if again := d.Placed(); len(again) > 0 {
			t.Error("told twice", again)
		}
		return ps
	}
	sent := map[string][]mail.Placement{
		"Kopia": deliver("Kopia", 130, 700), "Kopia/Wysłane A": deliver("Kopia/Wysłane A", 3, 900),
	}
	_ = d.Close()

	r := f.Reader(anna())
	defer func() { _ = r.Close() }()
	for folder, ps := range sent {
		validity, all := f.look(r, folder)
		if len(all) != len(ps) {
			t.Errorf("%s: %d are listed of %d", folder, len(all), len(ps))
		}
		name, _ := r.Name(ctx, folder)
		uids := slices.Collect(maps.Keys(all))
		prints := map[uint32]mail.Fingerprint{}
		if err := r.Read(ctx, name, validity, uids, func(uid uint32, p mail.Fingerprint) { prints[uid] = p }); err != nil {
			t.Fatal(err)
		}
		for _, p := range ps {
			at := placed[p.Token]
			if at.Validity != validity || all[at.UID] != (seenAt{p.Fingerprint.Size, p.Received.Unix()}) {
				t.Errorf("%s: said to be at %+v, where lies %+v", folder, at, all[at.UID])
			}
			if prints[at.UID] != p.Fingerprint {
				t.Errorf("%s: another message lies at %d", folder, at.UID)
			}
		}
		err := r.Read(ctx, name, validity+1, uids, func(uint32, mail.Fingerprint) { t.Error("read under another validity") })
		if err != nil {
			t.Error(err)
		}
		names, err := r.Folders(ctx)
		if err != nil || !slices.Contains(names, name) || slices.ContainsFunc(names, f.isStaging) {
			t.Error(names, err)
		}
	}
	if _, all := f.look(r, "Nowhere"); all != nil {
		t.Error("a folder that is not there is listed")
	}
}

func TestReaderReadsBackWhatWasDelivered(t *testing.T) {
	t.Parallel()
	for _, direct := range []bool{false, true} {
		t.Run(fmt.Sprintf("dovecot, direct %t", direct), func(t *testing.T) {
			t.Parallel()
			f := newOffice(t)
			f.o.Direct = direct
			readsBack(t, f)
			if seen := f.Adm("fetch", "-u", anna().String(), "flags", "all"); strings.Contains(seen, "Seen") {
				t.Error("it is marked as read")
			}
		})
	}
	t.Run("cyrus", func(t *testing.T) {
		t.Parallel()
		readsBack(t, officeAtCyrus(t, mailtest.StartCyrus(t, mailtest.CyrusOptions{Alt: true})))
	})
}

// A server that lists fewer messages than it counts is no proof that the others are gone.
func TestReaderTakesNoShortListForWhole(t *testing.T) {
	t.Parallel()
	for _, short := range []bool{false, true} {
		m := newModel(t)
		v := newVisitor(t, m)
		if err := v.visit(); err != nil {
			t.Fatal(err)
		}
		dropped := false
		m.mu.Lock()
		m.data = func(line string) string {
			if short && !dropped && strings.Contains(line, "INTERNALDATE") {
				dropped = true
				return "* OK nothing"
			}
			return line
		}
		m.mu.Unlock()
		v.restart()
		r := v.store.Reader(anna())
		n := 0
		validity, there, err := r.Look(t.Context(), "Gmail", func(uint32, int64, int64) error {
			n++
			return nil
		})
		if short && (err == nil || n != 2) || !short && (!there || validity == 0 || n != 3 || err != nil) {
			t.Error(short, validity, there, n, err)
		}
		_ = r.Close()
	}
}

// Where a server tells nothing of UIDs, or what cannot be true, nothing is noted, and mail is delivered all the same.
func TestPlacesAreNotedOnlyAsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code string
		want int
	}{
		"told":                 {"[COPYUID 77 1:3 11:13]", 3},
		"not told":             {"", 0},
		"too few":              {"[COPYUID 77 1:3 11:12]", 0},
		"no numbers":           {"[COPYUID x 1:3 11:13]", 0},
		"too many":             {"[COPYUID 77 1:4294967295 1:4294967295]", 0},
		"not a word of a code": {"[COPYUID 77]", 0},
	} {
		d := &Delivery{moved: map[uint32]lies{}}
		code, args, _ := strings.Cut(strings.Trim(c.code, "[]"), " ")
		d.learnMoved(wire.Reply{Kind: "OK", Code: code, Args: args})
		for uid := range uint32(5) {
			d.notePlace(mail.Placement{Token: mail.Token(fmt.Sprint(uid))}, d.moved[uid].validity, d.moved[uid].uid)
		}
		if got := d.Placed(); len(got) != c.want || c.want > 0 && got[0] != (mail.Placed{Token: "1", Validity: 77, UID: 11}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// A long folder is asked for in spans that leave no UID out, as an answer has a limit; one whose UIDs lie far apart, or
// of which the server says no UIDNEXT, as a whole.
func TestSpansLeaveNoUIDOut(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		n, next uint32
		is      []string
	}{
		{0, 0, []string{"1:*"}},
		{500_000, 900_000, []string{"1:*"}},
		{500_001, 0, []string{"1:*"}},
		{500_001, 4_000_000_000, []string{"1:*"}},
		{500_001, 500_002, []string{"1:500000", "500001:1000000", "500002:*"}},
		{600_000, 1_000_001, []string{"1:500000", "500001:1000000", "1000001:*"}},
	} {
		if got := (&conn{next: x.next}).spans(x.n); !slices.Equal(got, x.is) {
			t.Errorf("%d messages below %d: %q, want %q", x.n, x.next, got, x.is)
		}
	}
}
