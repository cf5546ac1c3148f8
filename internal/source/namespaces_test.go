package source

import (
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/mailbrook/mailbrook/internal/mailtest"
	"github.com/mailbrook/mailbrook/internal/remote"
)

// bugreports, "To decide: other people's folders": whose a folder is.
func TestOtherPeoplesFoldersAreToldFromTheOwn(t *testing.T) {
	own := func(prefix string) []namespace { return []namespace{{prefix, "/"}} }
	for _, tc := range []struct {
		name         string
		ns           namespaces
		mine, others []string
	}{
		{name: "no namespaces", mine: []string{"INBOX", "user/anna", "Shared Folders/x"}},
		{
			"Cyrus, Dovecot, Stalwart",
			namespaces{personal: own(""), shared: []namespace{{"user/", "/"}, {"Shared Folders/", "/"}}},
			[]string{"INBOX", "Sent", "user", "users/x", "Shared Folders", "Archive/user/x"},
			[]string{"user/boss", "user/boss/Sent", "Shared Folders/support@firma.test/INBOX"},
		},
		{
			"Cyrus of old",
			namespaces{personal: []namespace{{"INBOX.", "."}}, shared: []namespace{{"user.", "."}, {"", "."}}},
			[]string{"INBOX", "INBOX.Sent", "inbox.Sent"},
			[]string{"user.boss", "bulletin", "INBOXES"},
		},
		{
			"nothing personal is listed",
			namespaces{shared: []namespace{{"", "."}, {"#shared/", "/"}}},
			[]string{"INBOX", "Sent"},
			[]string{"#shared/x"},
		},
		{
			"a prefix without its separator",
			namespaces{personal: own(""), shared: []namespace{{"#Public", "/"}, {"~", "/"}}},
			[]string{"#Publications", "#Publications/x"},
			[]string{"#Public", "#Public/x", "~boss", "~boss/x"},
		},
		{
			"below what is shared, and below the inbox",
			namespaces{personal: own("Shared/anna/"), shared: []namespace{{"Shared/", "/"}}},
			[]string{"Shared/anna/x", "INBOX/y"},
			[]string{"Shared/boss/x", "Shared/annabel"},
		},
		{
			"one prefix for both",
			namespaces{personal: own("INBOX/"), shared: own("INBOX/")},
			[]string{"INBOX", "INBOX/x"},
			nil,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, raw := range tc.mine {
				if folderFrom(raw, false, "/", tc.ns).Shared {
					t.Errorf("%q is another's", raw)
				}
			}
			for _, raw := range tc.others {
				if !folderFrom(raw, false, "/", tc.ns).Shared {
					t.Errorf("%q is one's own", raw)
				}
			}
		})
	}
}

// namespaceDialogue is the dialogue of a visit up to its list of folders. DONE stands
// for the tag of NAMESPACE; what stands before a | is a folder's flags.
func namespaceDialogue(offered bool, answer string, more ...string) string {
	var b strings.Builder
	caps := "IMAP4rev1"
	if offered {
		caps += " NAMESPACE"
	}
	b.WriteString("ALSO TAG LOGOUT => TAG OK bye\\r\\n\nALSO TAG STATUS * => TAG NO -\\r\\n\nS: * OK [CAPABILITY " + caps +
		"] hello\n" +
		"C~ TAG LOGIN \"anna\" *\nS: TAG OK [CAPABILITY " + caps + "] in\n")
	if offered {
		b.WriteString("C: TAG NAMESPACE\n")
	}
	b.WriteString("C: TAG LIST \"\" \"*\"\n")
	if offered {
		b.WriteString(strings.ReplaceAll(answer, "DONE", "TAG-1"))
	}
	for _, name := range append([]string{"INBOX", "INBOX.Sent", "INBOX.#news", "user.boss", "Biuro.Faktury"}, more...) {
		flags, name, found := strings.Cut(name, "|")
		if !found {
			flags, name = "", flags
		}
		b.WriteString("S: * LIST (" + flags + ") \".\" \"" + name + "\"\n")
	}
	b.WriteString("S: TAG OK -\n")
	return b.String()
}

const (
	namespacesTold = "S: * NAMESPACE ((\"INBOX.\" \".\")) ((\"user.\" \".\")) ((\"Biuro.\" \".\"))\nS: DONE OK -\n"
	noNamespaces   = "S: DONE NO [UNAVAILABLE] Try again later\n"
)

// othersOf opens an account of which this is remembered and returns the folders
// that are others', all names, and what is remembered then.
func othersOf(t *testing.T, dialogue, remembered string) (others, names []string, then string) {
	t.Helper()
	script := mailtest.Play(t, dialogue, mailtest.ScriptOptions{})
	session, err := loopback(script.CA, nil).Open(t.Context(), reach(remote.None, script.Port(), remembered),
		credential("anna", testSecret))
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	folders, err := session.Folders(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range folders {
		names = append(names, displayName(f))
		if f.Shared {
			others = append(others, f.Wire)
		}
	}
	return others, names, session.Capabilities()
}

// One visit at which a server does not tell its namespaces, or not in a form that
// can be read, makes nobody's folders the account's own, nor any folder another's,
// and gives none another name.
func TestNamespacesThatAreNotToldAreAsTheyWere(t *testing.T) {
	want := []string{"user.boss", "Biuro.Faktury", "user.new"}
	_, names, remembered := othersOf(t, namespaceDialogue(true, namespacesTold, "user.new"), "")
	for _, tc := range []struct {
		name    string
		offered bool
		answer  string
	}{
		{"told", true, namespacesTold},
		{"NO", true, noNamespaces},
		{"BAD", true, "S: DONE BAD what?\n"},
		{"nothing", true, "S: DONE OK -\n"},
		{"of nothing", true, "S: * NAMESPACE NIL NIL NIL\nS: DONE OK -\n"},
		{"without a meaning", true, "S: * NAMESPACE user.\nS: DONE OK -\n"},
		{"half of it", true, "S: * NAMESPACE ((\"INBOX.\" \".\")) ((\"user.\" \".\") user\nS: DONE OK -\n"},
		{"offered no more", false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			known := remembered
			for range 2 { // What was not told is not forgotten by the visit after it either.
				others, called, then := othersOf(t, namespaceDialogue(tc.offered, tc.answer, "user.new"), known)
				if diff := cmp.Diff(want, others); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(names, called); diff != "" {
					t.Error(diff)
				}
				known = then
			}
		})
	}
	t.Run("control: nothing is remembered", func(t *testing.T) {
		others, called, then := othersOf(t, namespaceDialogue(true, noNamespaces, "user.new"), "")
		if slices.Contains(others, "Biuro.Faktury") || slices.Equal(called, names) || strings.Contains(then, capNamespaces) {
			t.Errorf("others' are %q of %q, remembered is %q", others, called, then)
		}
	})
	t.Run("control: other ones are listed", func(t *testing.T) {
		told := "S: * NAMESPACE ((\"\" \".\")) NIL NIL\nS: DONE OK -\n"
		others, _, then := othersOf(t, namespaceDialogue(true, told, "user.new"), remembered)
		if len(others) > 0 || !strings.Contains(then, capNamespaces+"p.,") || strings.Contains(then, "user") {
			t.Errorf("others' are %q, remembered is %q", others, then)
		}
	})
}

// Newcomer N9: what Dovecot lists of its namespaces "shared/" and "Public/" passed for
// the account's own folders, as did all that cannot be opened.
func TestAFolderThatOnlyHoldsOthersIsNotCounted(t *testing.T) {
	const told = "S: * NAMESPACE ((\"\" \".\")) ((\"shared.\" \".\")) ((\"Public.\" \".\"))\nS: DONE OK -\n"
	dialogue := namespaceDialogue(true, told, `\Noselect|shared`, `\Noselect|Public`, `\Noselect|shared.ok`,
		"shared.ok.Projekty", "Public.Team", `\Noselect|Archive`, "Archive.2023", "sharedness")
	others, _, _ := othersOf(t, dialogue, "")
	want := []string{"shared", "Public", "shared.ok", "shared.ok.Projekty", "Public.Team"}
	if diff := cmp.Diff(want, others); diff != "" {
		t.Error(diff)
	}
	others, _, _ = othersOf(t, namespaceDialogue(true, told, "shared", "Public"), "") // The control: they hold mail.
	if len(others) > 0 {
		t.Errorf("%q are others'", others)
	}
	script := mailtest.Play(t, dialogue+"C: TAG EXAMINE \"INBOX\"\nS: TAG OK -\n", mailtest.ScriptOptions{})
	defer script.Close()
	var last remote.Step
	_, err := loopback(nil, nil).Probe(t.Context(), remote.Mailbox{
		Server: remote.Server{Host: "localhost", Port: script.Port(), Security: remote.None}, Protocol: remote.IMAP,
	}, credential("anna", testSecret), func(s remote.Step) { last = s })
	// INBOX, INBOX.Sent, INBOX.#news, user.boss, Biuro.Faktury, Archive.2023, sharedness.
	if err != nil || last.Name != remote.StepFolders || last.Detail.String() != "7 folders" {
		t.Errorf("%+v, %v", last, err)
	}
}

// At a first visit nothing is known. Then names that servers give to what is
// others' are that, unless they hold mail as a user's own folder does.
func TestNamespacesThatWereNeverToldAreSupposed(t *testing.T) {
	for _, tc := range []struct {
		name    string
		offered bool
		answer  string
		list    []string
		want    []string
	}{
		{"NO", true, noNamespaces, nil, []string{"user.boss"}},
		{
			"usual names", true, noNamespaces,
			[]string{
				`\Noselect|Shared Folders`, "Shared Folders.it@firma", "public.a", "INBOX.user.x", "Publications.x",
				"#shared.x",
			},
			[]string{"user.boss", "Shared Folders", "Shared Folders.it@firma", "public.a", "#shared.x"},
		},
		{"own folders of such names", true, noNamespaces, []string{"user", "Shared", "Shared.Holidays"}, nil},
		{"the rest cannot be read", true, "S: * NAMESPACE ((\"\" \".\")) user.\nS: DONE OK -\n", nil, []string{"user.boss"}},
		{"never offered", false, "", nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			others, _, then := othersOf(t, namespaceDialogue(tc.offered, tc.answer, tc.list...), "")
			if diff := cmp.Diff(tc.want, others); diff != "" {
				t.Error(diff)
			}
			if strings.Contains(then, capNamespaces) {
				t.Errorf("what was supposed is remembered: %q", then)
			}
		})
	}
}

func TestNamespacesAreRememberedInWhateverFormTheyAre(t *testing.T) {
	for _, ns := range []namespaces{
		{personal: []namespace{{"INBOX.", "."}, {"", "/"}}, shared: []namespace{{"user.", "."}, {"", ""}}},
		{shared: []namespace{{"#a b;c,d=e%\x80\xff\"", "\\"}, {"Zażółć+", "%"}}},
	} {
		word := ns.word()
		if strings.ContainsFunc(word, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("%q is not printable", word)
		}
		got := rememberedNamespaces(parseCapabilities("A " + word + " X-STATELESS=2026-01-01"))
		if got == nil || cmp.Diff(ns, *got, cmp.AllowUnexported(namespaces{}, namespace{})) != "" {
			t.Errorf("%q is read as %v", word, got)
		}
	}
	for _, broken := range []string{capNamespaces + "s%zz,x", "NAMESPACE", ""} {
		if got := rememberedNamespaces(imap.CapSet{imap.Cap(broken): {}}); got != nil {
			t.Errorf("%q is read as %v", broken, got)
		}
	}
}
