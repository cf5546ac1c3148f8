package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/mailbrook/mailbrook/api"
)

// TestTheTableOfCallsIsCurrent: docs/routes.md is what the document says today, and
// leaves no call out.
func TestTheTableOfCallsIsCurrent(t *testing.T) {
	var fresh bytes.Buffer
	if err := write(&fresh); err != nil {
		t.Fatal(err)
	}
	kept, err := os.ReadFile("../../docs/routes.md")
	if err != nil || !bytes.Equal(kept, fresh.Bytes()) {
		t.Errorf("docs/routes.md is not what openapi.yaml says (%v): run go generate ./api/...", err)
	}
	doc, err := api.Spec()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			n++
			row := "| `" + method + " " + path + "` | " + op.Summary + " |"
			if strings.Count(fresh.String(), row) != 1 {
				t.Errorf("the table does not have one row %s", row)
			}
			admin := strings.HasPrefix(path, "/v1/admin")
			if says := strings.Contains(fresh.String(), "| admin "+row); says != admin {
				t.Errorf("%s %s is for administrators: %v, the table says %v", method, path, admin, says)
			}
		}
	}
	if rows := strings.Count(fresh.String(), "\n| ") - 2; rows != n {
		t.Errorf("%d rows for %d calls", rows, n)
	}
}

// The control: a document that has one call more, and one that lets administrators' calls
// be made by users, make another table.
func TestAnotherDocumentMakesAnotherTable(t *testing.T) {
	doc, err := api.Parse() // Of its own: it is changed.
	if err != nil {
		t.Fatal(err)
	}
	before := calls(doc)
	item := doc.Paths.Find("/v1/admin/stats")
	item.Get.Security = doc.Paths.Find("/v1/session").Get.Security
	doc.Paths.Set("/v1/one-more", doc.Paths.Find("/v1/session"))
	after := calls(doc)
	if len(after) != len(before)+2 {
		t.Errorf("%d calls after %d", len(after), len(before))
	}
	for _, c := range after {
		if c.path == "/v1/admin/stats" && c.who != "user" {
			t.Errorf("%s is for %s", c.path, c.who)
		}
	}
}
