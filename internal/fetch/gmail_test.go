package fetch_test

import (
	"fmt"
	"testing"
)

// gmail is a remote whose folders are labels: every message is in All Mail,
// most are elsewhere too.
func gmail(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, "[Gmail]/Wszystkie", "[Gmail]/Ważne", "Praca", "Rodzina", "INBOX", "[Gmail]/Wysłane")
	for i, use := range []string{`\All`, `\Important`, "", "", "", `\Sent`} {
		w.remote.folders[i].use = use
	}
	w.remote.globals = map[string]string{}
	return w
}

// label puts a message into folders by their place in the list.
func (w *world) label(n int, folders ...int) {
	body := letters(n+1, "gm")[n]
	w.remote.globals[body] = fmt.Sprint("gm:", 1000+n)
	for _, f := range folders {
		w.remote.folders[f].add(body)
	}
}

func TestAMessageWithFiveLabelsIsFetchedOnceAndFiledWhereItsUserFiledIt(t *testing.T) {
	w := gmail(t)
	for i := range 30 {
		switch {
		case i < 10:
			w.label(i, 0, 1, 2, 3, 4) // Inbox and labels.
		case i < 20:
			w.label(i, 0, 2, 3) // Labels only.
		default:
			w.label(i, 0) // Archived.
		}
	}
	r := w.visit(t.Context())
	if r.Err != nil || r.Messages != 30 || w.remote.fetched != 30 {
		t.Fatalf("report %+v, fetched %d", r, w.remote.fetched)
	}
	for folder, want := range map[string]int{
		"Gmail": 10, "Gmail/Praca": 10, "Gmail/Rodzina": 0,
		"Gmail/[Gmail]/Wszystkie": 10, "Gmail/[Gmail]/Ważne": 0,
	} {
		if got := len(w.box.folders[folder]); got != want {
			t.Errorf("%s holds %d messages, want %d", folder, got, want)
		}
	}
	before := w.journal.commits
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 0 || w.journal.commits != before {
		t.Fatalf("the second visit: %+v, %d commits", r, w.journal.commits-before)
	}
	// A label given to an old message, and one that is taken away and given again.
	w.label(25, 3)
	w.label(30, 0, 4)
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 1 || len(w.box.folders["Gmail/Rodzina"]) != 0 {
		t.Fatalf("a label on an old message: %+v", r)
	}
}

func TestALabelledMessageIsNotForgottenWhenItsFirstCopyCannotBeFetched(t *testing.T) {
	w := gmail(t)
	for i := range 10 {
		w.label(i, 0, 4)
	}
	w.remote.breakAfter = 4
	if r := w.visit(t.Context()); r.Err == nil {
		t.Fatal("it did not break")
	}
	w.remote.breakAfter = 0
	if r := w.visit(t.Context()); r.Err != nil {
		t.Fatal(r.Err)
	}
	if n := len(w.box.folders["Gmail"]) + len(w.box.folders["Gmail/[Gmail]/Wszystkie"]); n != 10 {
		t.Errorf("%d of 10 messages", n)
	}
	for name, n := range w.box.names {
		if n != 1 {
			t.Errorf("%s was delivered %d times", name, n)
		}
	}
}

// RFC 8474's ids are equal for copies in ordinary folders: those stay copies.
func TestCopiesInOrdinaryFoldersStayCopies(t *testing.T) {
	w := newWorld(t, "INBOX", "Copies")
	w.remote.globals = map[string]string{}
	for i, body := range letters(5, "x") {
		w.remote.globals[body] = fmt.Sprint("em:", i)
		w.remote.folders[0].add(body)
		w.remote.folders[1].add(body)
	}
	if r := w.visit(t.Context()); r.Err != nil || r.Messages != 10 {
		t.Fatalf("report %+v", r)
	}
	w.complete(t)
}
