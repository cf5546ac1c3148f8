package archtest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestHouse holds the project to its rules.
func TestHouse(t *testing.T) {
	root := top(t)
	module, files := moduleOf(t, root), load(t, root)
	document, err := os.ReadFile(filepath.Join(root, "docs", "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		found []violation
	}{
		{"packages import only what the map allows", checkImports(module, files)},
		{"no package may import what it does not", checkGrants(module, files, mayImport)},
		{"the map is the document's", checkMap(string(document), mayImport)},
		{"third parties are confined", checkConfined(module, files)},
		{"only outbound dials", checkDials(files)},
		{"only imapbox writes into mailboxes at servers", checkWrites(module, files)},
		{"contexts end every wait", checkContexts(files, beginsContext)},
		{"texts for people are in words", checkPolish(files, mayHavePolish)},
		{"packages are named after what they are about", checkNames(files)},
		{"everything exported says what it is, and no function is endless", checkDocs(files)},
		{"what is exported is used elsewhere", checkExports(module, files, loadTests(t, root), keptExports)},
		{"a subtest's failure ends that subtest alone", checkSubtests(t, root)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, v := range sorted(tc.found) {
				t.Error(v)
			}
		})
	}
}

// TestRulesBite plants every kind of violation and expects each to be found,
// and nothing else.
func TestRulesBite(t *testing.T) {
	const root = "testdata/planted"
	files := load(t, root)
	for _, tc := range []struct {
		name  string
		found []violation
		want  []string
	}{
		{"imports", checkImports("example.test/house", files), []string{
			"internal/account/account.go: nobody imports cmd",
			"internal/fetch/fetch.go: fetch imports mailtest, which is for tests only",
			"internal/fetch/fetch.go: fetch must not import account",
			"internal/fetch/fetch.go: fetch must not import source",
			"internal/fetch/sub/sub.go: fetch must not import maildir",
			"internal/utils/strings.go: package utils is not on the map of internal/archtest",
		}},
		{"grants", checkGrants("example.test/house", files, map[string][]string{
			"fetch": {"source", "outbound"}, "cmd": {everything},
		}), []string{"internal/archtest: fetch may import outbound and does not: take the grant away"}},
		{"map", checkMap("| `internal/fault` | why | nothing |\n| `internal/fetch` | the engine | mail fault |\n",
			map[string][]string{
				"fault": {}, "fetch": {"fault"}, "mail": {},
			}), []string{
			"docs/ARCHITECTURE.md: fetch may import \"fault\", not \"mail fault\"",
			"docs/ARCHITECTURE.md: has no row for internal/mail",
		}},
		{"confined", checkConfined("example.test/house", files), []string{
			"internal/fault/fault.go: fault imports the standard library only, not github.com/google/uuid",
			"internal/fetch/fetch.go: fetch must not import database/sql",
			"internal/fetch/fetch.go: fetch must not import github.com/emersion/go-imap/v2",
			"internal/fetch/fetch.go: fetch must not import gorm.io/gorm",
			"internal/fetch/sub/sub.go: fetch must not import os/exec",
		}},
		{"dials", checkDials(files), []string{
			"internal/source/source.go: imports crypto/tls without its name",
			"internal/source/source.go:19: network.Dialer is for package outbound alone",
			"internal/source/source.go:24: network.Dial is for package outbound alone",
			"internal/source/source.go:28: http.DefaultClient is for package outbound alone",
			"internal/source/source.go:31: http.Get is for package outbound alone",
			"internal/source/source.go:34: imapclient.DialTLS is for package outbound alone",
		}},
		{"writes", checkWrites("example.test/house", files), []string{
			"internal/source/writes.go:10: wire.NewWriter is for package imapbox alone",
			"internal/source/writes.go:10: wire.Permission is for package imapbox alone",
			"internal/source/writes.go:12: wire.Writer is for package imapbox alone",
		}},
		{"contexts", checkContexts(files, map[string]string{
			"internal/outbound/outbound.go Reasoned": "argued", "internal/outbound/outbound.go Gone": "needless",
		}), []string{
			"internal/account/account.go: imports context without its name",
			"internal/archtest: internal/outbound/outbound.go Gone begins no context: take its reason away",
			"internal/outbound/outbound.go:12: context.Background is for main and tests: take a context from the caller",
			"internal/outbound/outbound.go:15: context.TODO is for main and tests: take a context from the caller",
		}},
		{"polish", checkPolish(files, map[string]string{
			"internal/fetch/sub": "argued", "internal/maildir/maildir.go": "needless",
		}), []string{
			"internal/archtest: internal/maildir/maildir.go has no text in Polish: take its reason away",
			"internal/fault/fault.go:11: a text in Polish, which is for package words alone",
			"internal/fault/fault.go:12: a text in Polish, which is for package words alone",
			"internal/fault/fault.go:13: a text in Polish, which is for package words alone",
		}},
		{"names", checkNames(files), []string{"internal/utils: a package called utils says nothing of what is in it"}},
		{"docs", checkDocs(files), []string{
			"internal/fetch/sub: no file has a package comment that begins with Package sub",
			"internal/maildir/maildir.go:12: exported Box has no comment",
			"internal/maildir/maildir.go:14: exported Open has no comment",
			"internal/maildir/maildir.go:18: exported Close has no comment",
			"internal/maildir/maildir.go:20: endless has 122 lines, more than 120",
			"internal/maildir/maildir.go:5: exported Limit has no comment",
			"internal/utils: no file has a package comment that begins with Package utils",
		}},
		{"exports", checkExports("example.test/house", load(t, "testdata/exports"), loadTests(t, "testdata/exports"),
			map[string]string{"parcel.Listed": "a reason", "parcel.Post": "none is needed"}), []string{
			"internal/archtest: parcel.Post needs no reason to be exported: take it away",
			"internal/parcel/parcel.go:20: parcel.Alone is used by no other package: it need not be exported",
			"internal/parcel/parcel.go:35: parcel.Parcel.Shake is used by no other package: it need not be exported",
			"internal/parcel/parcel.go:44: parcel.Inside is used by no other package: it need not be exported",
		}},
		{"subtests", checkSubtests(t, root), []string{
			"internal/fetch/fetch_test.go:26: w keeps another test's *testing.T beside it: take w.in(t)",
			"internal/fetch/fetch_test.go:33: all keeps another test's *testing.T beside it: take all.in(t)",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, v := range sorted(tc.found) {
				got = append(got, v.String())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("violations found (-want +got):\n%s", diff)
			}
		})
	}
}
