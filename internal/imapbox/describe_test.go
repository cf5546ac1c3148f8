package imapbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/internal/mail"
	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/owner"
)

// describe looks at anna's mailbox.
func describe(t *testing.T, s *Store, of ...string) Description {
	t.Helper()
	r := s.Reader(anna())
	defer func() { _ = r.Close() }()
	d, err := r.Describe(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d Description) folder(t *testing.T, name string) mail.Folder {
	t.Helper()
	i := slices.IndexFunc(d.Folders, func(f mail.Folder) bool { return f.Name() == name })
	if i < 0 {
		t.Fatalf("no %s in %+v", name, d.Folders)
	}
	return d.Folders[i]
}

// described looks at a mailbox with a folder of messages and an empty inbox, and says what there is.
func described(t *testing.T, f *office) Description {
	t.Helper()
	o := f.open(anna(), 1, owner.Limit{})
	f.deliver(o, "Kopia/Wysłane", 7, 700)
	_ = o.Close()
	r := f.Reader(anna())
	name, err := r.Name(t.Context(), "Kopia/Wysłane")
	_ = r.Close()
	if err != nil {
		t.Fatal(err)
	}
	before := describe(t, f.Store)
	if before.folder(t, "Kopia/Wysłane").Status.Known && before.folder(t, "Kopia/Wysłane").Status.Messages != 7 {
		t.Errorf("%+v", before)
	}
	d := describe(t, f.Store, name)
	if st := d.folder(t, "INBOX").Status; !st.Known || st.Messages != 0 || st.UIDValidity == 0 {
		t.Errorf("the inbox: %+v", st)
	}
	if st := d.folder(t, "Kopia/Wysłane").Status; st.Messages != 7 || st.UIDNext < 8 || st.UIDValidity == 0 {
		t.Errorf("the folder: %+v", st)
	}
	if !d.folder(t, "Kopia/Wysłane").Selectable || d.Delimiter == "" {
		t.Errorf("%+v", d)
	}
	if d.NewestIn != name || len(d.Newest) < describedNewest || d.Newest[0].Size != 700 {
		t.Errorf("the newest in %q: %+v", d.NewestIn, d.Newest)
	}
	for _, flag := range []string{`\seen`, `\flagged`, `\answered`, `\draft`, `\*`} {
		if !slices.Contains(d.Flags, flag) {
			t.Errorf("%s is not among %q", flag, d.Flags)
		}
	}
	return d
}

func TestDescribeAtDovecot(t *testing.T) {
	t.Parallel()
	f := newOffice(t)
	d := described(t, f)
	if d.AppendLimit != 0 || d.Counted {
		t.Errorf("%+v", d)
	}
	snapshot := f.Adm("fetch", "-u", anna().String(), "mailbox uid flags date.received size.virtual", "all")
	describe(t, f.Store)
	now := f.Adm("fetch", "-u", anna().String(), "mailbox uid flags date.received size.virtual", "all")
	if now != snapshot {
		t.Errorf("it changed something:\n%s\n%s", snapshot, now)
	}
}

func TestDescribeAtCyrus(t *testing.T) {
	t.Parallel()
	d := described(t, officeAtCyrus(t, mailtest.StartCyrus(t, mailtest.CyrusOptions{Alt: true})))
	if !strings.Contains(d.Rights, "i") || !strings.Contains(d.Rights, "k") {
		t.Errorf("rights: %q", d.Rights)
	}
}

// What servers say, each in its way, and what they refuse to say.
func TestDescribeTakesAServersWord(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		caps string
		on   map[string]string // By verb: untagged answers, or "NO".
		want func(d Description) string
		is   string
	}{
		"APPENDLIMIT of all": {
			caps: "APPENDLIMIT=2500", is: "2500 false",
			want: func(d Description) string { return fmt.Sprint(d.AppendLimit, d.ByStatus) },
		},
		"APPENDLIMIT by STATUS": {
			caps: "APPENDLIMIT", on: map[string]string{"STATUS \"INBOX\" (APPENDLIMIT)": `* STATUS "INBOX" (APPENDLIMIT 99)`},
			is: "99 true", want: func(d Description) string { return fmt.Sprint(d.AppendLimit, d.ByStatus) },
		},
		"APPENDLIMIT refused": {
			caps: "APPENDLIMIT", on: map[string]string{"STATUS \"INBOX\" (APPENDLIMIT)": "NO"},
			is: "0 false", want: func(d Description) string { return fmt.Sprint(d.AppendLimit, d.ByStatus) },
		},
		"quota": {
			caps: "QUOTA", on: map[string]string{"GETQUOTAROOT": `* QUOTA "" (STORAGE 10 512)`}, is: "true 10240 524288",
			want: func(d Description) string { return fmt.Sprint(d.Counted, d.Used.Bytes, *d.Limit.Bytes) },
		},
		"no quota": {
			caps: "QUOTA", on: map[string]string{"GETQUOTAROOT": "NO"}, is: "false",
			want: func(d Description) string { return fmt.Sprint(d.Counted) },
		},
		"rights": {
			caps: "ACL", on: map[string]string{"MYRIGHTS": `* MYRIGHTS "INBOX" lrs`}, is: "lrs",
			want: func(d Description) string { return d.Rights },
		},
		"rights refused": {
			caps: "ACL", on: map[string]string{"MYRIGHTS": "NO"}, is: "", want: func(d Description) string { return d.Rights },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newModel(t)
			m.mu.Lock() // Whoever looks for a server that is gone may come by its port.
			m.caps += " " + c.caps
			m.on = func(verb, args string, _ int) string {
				for what, says := range c.on {
					if strings.HasPrefix(verb+" "+args, what) {
						if says == "NO" {
							return "TAG NO not said"
						}
						return says + "\r\nTAG OK said"
					}
				}
				return ""
			}
			m.mu.Unlock()
			v := newVisitorAt(t, m, m.l.Addr().String(), "sekret")
			if got := c.want(describe(t, v.store)); got != c.is {
				t.Errorf("%q, want %q", got, c.is)
			}
		})
	}
}
