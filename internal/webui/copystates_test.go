package webui_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp/kb"
)

// copyState is a state of the pages of copies, and the way to it from a page.
type copyState struct {
	name, path string
	copies     []func(string) object
	before     func(*copyFake)
	then       func(*tab)
	ready      string
}

const planned = "document.querySelector('.mapping')"

func copyStates() []copyState {
	of := func(c func(string) object) []func(string) object { return []func(string) object{c} }
	at := func(c func(string) object) string {
		id, ok := c("en")["id"].(string)
		if !ok {
			panic("a copy has no id")
		}
		return "/copies/" + id
	}
	live := func(name string, c func(string) object, ready string) copyState {
		return copyState{name: "copy-" + name, path: at(c), copies: of(c), ready: ready}
	}
	buttons := "document.querySelector('.actions .primary, .actions button')"
	step := func(name, ready string, before func(*copyFake), then func(*tab)) copyState {
		return copyState{name: "copies-" + name, path: "/copies/new", before: before, then: then, ready: ready}
	}
	plan := func(p *tab) {
		p.source()
		p.press(sayContinue.in(p.dev))
	}
	every := []func(string) object{
		copyQueued, copyRunning, copyWaiting, copyPaused, copyRefused, copyPerfect, copyRemarks, copyFailed, copyCancelled,
	}
	return []copyState{
		{name: "copies-none", path: "/copies", ready: "document.querySelector('.empty')"},
		{
			name: "copies-every-state", path: "/copies", copies: every,
			ready: "document.querySelectorAll('.card').length === 9",
		},
		{
			name: "copies-full", path: "/copies", copies: of(copyRunning),
			before: func(f *copyFake) { f.set(func() { f.limit = 1 }) },
			ready:  "document.querySelector('.card')",
		},
		{
			name: "copies-off", path: "/copies", ready: heading, before: func(f *copyFake) {
				f.refuses("GET /v1/copies", problem(403, "copies_disabled", nil))
			},
		},
		{name: "copies-forget", path: "/copies", copies: of(copyPerfect), ready: opened, then: func(p *tab) {
			p.hit("document.querySelector('.card-actions button')")
		}},
		step("source", "document.activeElement?.name === 'email'", nil, nil),
		step("source-settings", "document.activeElement && document.querySelector('.advanced[open]')", nil, func(p *tab) {
			p.enter(sayOldAddress.in(p.dev), "anna@nieznana.test")
			p.sees("nieznana.test")
			p.keys(kb.Enter)
			p.until("document.activeElement?.name === 'password'")
			p.keys("x" + kb.Enter)
		}),
		step("into", "document.querySelector('input[name=into]')", nil, (*tab).source),
		step("into-below", "document.querySelector('input[name=prefix]')?.checkVisibility()", nil, func(p *tab) {
			p.source()
			p.hit("document.querySelector('input[value=below]')")
		}),
		step("target", labelled(sayNewAddress.en)+" || "+labelled(sayNewAddress.pl), nil, func(p *tab) {
			p.source()
			p.hit("document.querySelector('input[value=other]')")
			p.press(sayContinue.in(p.dev))
		}),
		step("looking", "document.querySelector('main progress')", func(f *copyFake) {
			f.set(func() { f.hold = make(chan struct{}) })
		}, plan),
		step("plan", planned, nil, func(p *tab) {
			plan(p)
			p.until(planned)
			js[any](p, "document.querySelectorAll('main details').forEach((d) => { d.open = true; }); null")
		}),
		step("plan-crowded", planned, func(f *copyFake) { f.set(func() { f.plan = crowdedPlan }) }, plan),
		step("plan-wrong", "document.querySelector('[aria-invalid]')", nil, func(p *tab) {
			plan(p)
			p.until(planned)
			js[any](p, "document.querySelector('.mapping input[name=map]').value = ''; null")
			p.press(sayContinue.in(p.dev))
		}),
		step("start", "document.querySelector('input[name=start_at]')", nil, func(p *tab) {
			plan(p)
			p.press(sayContinue.in(p.dev))
		}),
		step("exists", "document.querySelector('.trouble-box .notice a')", func(f *copyFake) {
			f.refuses("POST /v1/copies", problem(409, "copy_exists", object{
				"copy": object{"id": newCopyID, "state": "running", "since": in(0)},
			}))
		}, func(p *tab) {
			plan(p)
			p.until(planned)
			p.press(sayContinue.in(p.dev))
			p.press(sayStart.in(p.dev))
		}),
		step("begun", "document.getElementById('code')", nil, func(p *tab) {
			plan(p)
			p.until(planned)
			p.press(sayContinue.in(p.dev))
			p.press(sayStart.in(p.dev))
		}),
		live("queued", copyQueued, buttons), live("running", copyRunning, "document.querySelector('.bars li')"),
		live("waiting", copyWaiting, buttons), live("paused", copyPaused, buttons),
		live("refused", copyRefused, "document.querySelector('input[type=password]')"),
		live("perfect", copyPerfect, "document.querySelector('.notice.good')"),
		live("remarks", copyRemarks, "document.querySelectorAll('.skipped li').length === 2"),
		live("failed", copyFailed, buttons), live("cancelled", copyCancelled, buttons),
		{
			name: "copy-erased", path: at(copyRemarks), copies: of(copyRemarks), ready: "document.querySelector('form input')",
			then: func(p *tab) { p.press(said{"Synchronise", "Synchronizuj"}.in(p.dev)) },
		},
		{name: "copy-cancel", path: at(copyRunning), copies: of(copyRunning), ready: opened, then: func(p *tab) {
			p.press(said{"Cancel the copy", "Anuluj kopiowanie"}.in(p.dev))
		}},
		{
			name: "copy-status", path: "/copies/status", copies: of(copyWaiting), ready: "document.querySelector('#found')",
			then: func(p *tab) {
				p.enter(sayOldAddress.in(p.dev), "anna.nowak@gmail.com")
				p.enter(sayCode.in(p.dev), copyCode)
				p.keys(kb.Enter)
			},
		},
	}
}

// TestEveryStateOfThePagesOfCopies is TestEveryStateOfEveryPage for copies, whose states an installation of its own
// makes up. It runs alone as well.
func TestEveryStateOfThePagesOfCopies(t *testing.T) {
	pictures := os.Getenv("MAILBROOK_PICTURES")
	for i, devices := range turns {
		for _, dev := range devices {
			t.Run(dev.name, func(t *testing.T) {
				f := newCopyFake(t, copyUser)
				p := f.at(dev, "/copies")
				for n, state := range copyStates() {
					if n%2 != i {
						continue
					}
					f.become(state)
					p.fresh(f.URL + state.path)
					if state.then != nil {
						state.then(p)
					}
					p.until(state.ready)
					wrong := p.faults()
					if pictures != "" {
						p.picture(filepath.Join(pictures, state.name+"-"+dev.name+".png"))
					}
					for _, fault := range append(wrong, p.unreached()...) {
						t.Errorf("%s: %s", state.name, fault)
					}
				}
			})
		}
	}
}

// set changes an installation between two requests.
func (f *copyFake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// become makes an installation what a state needs.
func (f *copyFake) become(s copyState) {
	f.mu.Lock()
	if f.hold != nil {
		close(f.hold)
	}
	f.copies, f.limit, f.plan, f.hold, f.refuse = s.copies, 9, planOfCopy, nil, map[string]object{}
	f.mu.Unlock()
	if s.before != nil {
		s.before(f)
	}
}
