package webui_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/mailbrook/mailbrook/internal/webui"
)

var (
	sayOldAddress = said{"Address of the old mailbox", "Adres dotychczasowej skrzynki"}
	sayNewAddress = said{"Address of the new mailbox", "Adres nowej skrzynki"}
	sayNewCopy    = said{"Copy a mailbox", "Skopiuj skrzynkę"}
	sayApp        = said{"App password", "Hasło do aplikacji"}
	sayCheck      = said{"Check and continue", "Sprawdź i kontynuuj"}
	sayStart      = said{"Start the copy", "Rozpocznij kopiowanie"}
	sayCode       = said{"Code", "Kod"}
)

// source goes through the wizard's first step.
func (p *tab) source() {
	p.tb.Helper()
	p.enter(sayOldAddress.in(p.dev), "anna.nowak@gmail.com")
	p.sees(said{"Google recognised", "Rozpoznano: Google"}.in(p.dev))
	p.press(sayContinue.in(p.dev))
	p.enter(sayApp.in(p.dev), "abcd efgh")
	p.press(sayContinue.in(p.dev))
	p.until("document.querySelector('input[name=where]')")
}

// TestAMailboxIsCopiedByMouse: from the empty list through the four steps to the live page, whose news come by
// themselves, and to the report; what is asked of the API is what was chosen, and no more.
func TestAMailboxIsCopiedByMouse(t *testing.T) {
	t.Parallel()
	for _, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			f := newCopyFake(t, copyUser)
			p := f.at(dev, "/copies")
			p.sound("copies-empty")
			p.press(sayNewCopy.in(dev))
			p.source()

			// What is known of a provider is tested at once, with the words of copies.
			got := strings.Join(f.requests(), "\n")
			if !strings.Contains(got, "POST /v1/connection-tests") || strings.Contains(got, "sender_name") {
				t.Errorf("the test was asked for with %s", got)
			}
			p.hit("document.querySelector('input[value=below]')")
			p.enter(said{"Folder for everything", "Folder na wszystko"}.in(dev), "Gmail")
			p.press(sayContinue.in(dev))

			// The plan: a name is edited, a folder left out.
			name := said{"Name of Archive/2023 in the new mailbox", "Nazwa folderu Archive/2023 w nowej skrzynce"}.in(dev)
			p.enter(name, "INBOX")
			p.press(sayContinue.in(dev))
			p.until("document.activeElement?.name === 'map' && document.querySelector('[aria-invalid]')")
			p.enter(name, "Old")
			p.hit(`document.querySelectorAll(".pick input")[1]`)
			p.sees(said{"You have changed what this plan was made for.", "Ten plan powstał dla innych ustawień."}.in(dev))
			p.press(said{"Look again", "Sprawdź ponownie"}.in(dev))
			p.until(labelled(name) + "?.value === 'Old' && !document.querySelectorAll('.pick input')[1].checked")
			p.press(sayContinue.in(dev))
			f.requests()
			p.press(sayStart.in(dev))
			p.sees(copyCode)
			p.sound("copies-begun")
			want := `"options":{"prefix":"Gmail","folders":{"exclude":["` // The second by its name.
			if got := strings.Join(f.requests(), "\n"); !strings.Contains(got, want) ||
				!strings.Contains(got, `"map":{"Archive/2023":"Old"}`) || !strings.Contains(got, `"target":{"protocol":"local"}`) {
				t.Errorf("the copy was asked for with %s", got)
			}

			// The live page.
			p.press(said{"See how it goes", "Zobacz przebieg"}.in(dev))
			p.until("location.pathname === '/copies/" + newCopyID + "'")
			f.turns(dev.lang, func(lang string) object { c := copyRunning(lang); c["id"] = newCopyID; return c })
			p.sees(said{"Copying messages", "Kopiowanie wiadomości"}.in(dev))
			p.until("document.querySelector('progress').value === 4321")
			news := progressAt(5_000)
			news["copy_id"], news["phase"] = newCopyID, "copying"
			f.tell("copy_progress", news)
			p.until("document.querySelector('progress').value === 5000")
			f.requests()
			p.press(said{"Pause", "Wstrzymaj"}.in(dev))
			p.until(toast)
			if got := strings.Join(f.requests(), "\n"); got != "POST /v1/copies/"+newCopyID+"/pause " {
				t.Errorf("pausing asks for %q", got)
			}
			f.turns(dev.lang, func(lang string) object { c := copyRemarks(lang); c["id"] = newCopyID; return c })
			p.sees(said{"To be looked at", "Do sprawdzenia"}.in(dev))
			p.until("document.querySelectorAll('.skipped li').length === 2")
			p.press(said{"Next page", "Następna strona"}.in(dev))
			p.until("document.querySelectorAll('.skipped li').length === 1")
			p.quiet()
		})
	}
}

// TestACopyGoesToAnotherServer where the installation allows it; the control is one that does not.
func TestACopyGoesToAnotherServer(t *testing.T) {
	t.Parallel()
	f := newCopyFake(t, copyUser)
	p := f.at(desktop, "/copies/new")
	p.source()
	p.press("Into a mailbox at another server")
	p.press("Continue")
	p.enter(sayNewAddress.en, "anna@nowa.test")
	p.press("Continue")
	p.enter("Password", "tajne")
	p.press("Continue")
	p.enter("Server", "imap.nowa.test")
	p.enter("Port", "993")
	p.enter("User name", "anna")
	p.press(sayCheck.en)
	p.until("document.querySelector('.mapping')")
	f.requests()
	p.press("Continue")

	// A side that fails then is shown where it can be mended, and nothing that was typed is lost.
	f.refuses("POST /v1/copies", problem(422, "connection_test_failed", object{
		"side": "target", "steps": []object{}, "diagnosis": object{
			"code": "auth_failed", "title": "The password was refused", "detail": "", "advice": "Enter it again.",
			"retryable": false, "since": nil,
		},
	}))
	p.press(sayStart.en)
	p.until("document.activeElement?.name === 'password'")
	p.sees("The password was refused")
	p.enter("Password", "tajne2")
	p.press(sayCheck.en)
	p.until("document.querySelector('.mapping')")
	p.press("Continue")

	// A copy that is there is led to.
	f.refuses("POST /v1/copies", problem(409, "copy_exists", object{
		"copy": object{"id": newCopyID, "state": "waiting", "since": "2026-11-30T05:00:00Z"},
	}))
	p.press(sayStart.en)
	p.sees("waiting.")
	p.until("document.querySelector('.notice a[href=\"/copies/" + newCopyID + "\"]')")
	f.requests()
	p.press(sayStart.en)
	p.sees(copyCode)
	got := strings.Join(f.requests(), "\n")
	for _, want := range []string{
		`"target":{"email":"anna@nowa.test"`, `"password":"tajne2"`, `"host":"imap.nowa.test"`, `"password":"abcd efgh"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the copy was asked for without %s: %s", want, got)
		}
	}
	// Nothing of the passwords stays behind.
	kept := js[string](p, "JSON.stringify(sessionStorage) + JSON.stringify(localStorage)")
	if strings.Contains(kept, "tajne") || strings.Contains(kept, "efgh") {
		t.Errorf("the browser keeps %s", kept)
	}
	p.quiet()

	own := newCopyFake(t, copyUser)
	own.kind = "own"
	q := own.at(desktop, "/copies/new")
	q.source()
	q.until("!" + named("Into a mailbox at another server"))
	q.sees("Into your own mailbox, " + copyUser)
	q.quiet()
}

// TestNewPasswordsOfACopy: one that is refused is entered on the page; what was erased is asked for when it is needed.
func TestNewPasswordsOfACopy(t *testing.T) {
	t.Parallel()
	f := newCopyFake(t, copyUser, copyRefused, copyRemarks)
	p := f.at(desktop, "/copies")
	p.press("Fix it: anna.nowak@gmail.com to " + copyUser)
	p.enter("Password of the old mailbox, anna.nowak@gmail.com", "nowe")
	f.requests()
	p.press(sayCheck.en)
	p.until(toast)
	id := copyRefused("en")["id"].(string)
	if got := strings.Join(f.requests(), "\n"); got != `PATCH /v1/copies/`+id+` {"source":{"password":"nowe"}}` {
		t.Errorf("the password is sent by %s", got)
	}
	p.goTo("/copies/" + copyRemarks("en")["id"].(string))
	p.press("Synchronise")
	p.until("document.activeElement?.type === 'password'")
	if got := f.requests(); len(got) != 0 {
		t.Errorf("without passwords it was asked for: %q", got)
	}
	p.keys("nowe" + kb.Enter)
	p.until(toast)
	p.quiet()
}

// TestTheStateOfACopyByItsCode is for whoever is not signed in: a wrong code says nothing, and the control is the right
// one.
func TestTheStateOfACopyByItsCode(t *testing.T) {
	t.Parallel()
	for _, dev := range some(t, owners) {
		t.Run(dev.name, func(t *testing.T) {
			f := newCopyFake(t, "", copyRunning)
			p := f.at(dev, "/copies/status")
			p.sound("copy-status")
			p.enter(sayOldAddress.in(dev), "anna.nowak@gmail.com")
			p.enter(sayCode.in(dev), "AAAA-BBBB")
			p.keys(kb.Enter)
			p.sees(said{"There is no copy with this address and this code.", "Nie ma kopiowania z tym adresem"}.in(dev))
			p.enter(sayCode.in(dev), copyCode)
			p.keys(kb.Enter)
			p.sees(said{"Copying messages", "Kopiowanie wiadomości"}.in(dev))
			p.sound("copy-status-found")
			// All else wants a session.
			p.goTo("/copies")
			p.sees(said{"Please sign in", "Zaloguj się"}.in(dev))
			p.quiet()
		})
	}
}

// TestACopyOfAMailboxThatIsSignedInToOnItsProvidersPage: the way back leads to the copy that it was left for, and the
// grant is sent with it. The control is that the way leads through the page for accounts.
func TestACopyOfAMailboxThatIsSignedInToOnItsProvidersPage(t *testing.T) {
	t.Parallel()
	f := newCopyFake(t, copyUser, copyRefused)
	f.onPage = true
	p := f.at(desktop, "/copies/new")
	p.enter(sayOldAddress.en, "anna.nowak@gmail.com")
	p.sees("Google recognised")
	p.press("Continue")
	p.press("Sign in with Google")
	p.until("location.pathname === '/copies/new' && document.querySelector('.whose .good')")
	p.press(sayCheck.en)
	p.until("document.querySelector('input[name=where]')")
	p.sees("This mailbox is being copied already") // Another one of it is not over.
	p.press("Continue")
	p.until(planned)
	got := strings.Join(f.requests(), "\n")
	if !strings.Contains(got, `"grant":"`+grant+`"`) || !strings.Contains(got, "/v1/oauth/google/start") {
		t.Errorf("the plan is asked for with %s", got)
	}
	p.quiet()
}

// TestTheCodeOutlivesAChangeOfLanguage, as it is shown once; the control is the page opened again, which shows none.
func TestTheCodeOutlivesAChangeOfLanguage(t *testing.T) {
	t.Parallel()
	f := newCopyFake(t, copyUser)
	p := f.at(desktop, "/copies/new")
	p.source()
	p.press("Continue")
	p.until(planned)
	p.press("Continue")
	p.press(sayStart.en)
	p.sees(copyCode)
	js[any](p, `(() => { const e = document.getElementById("language");
		e.value = "pl"; e.dispatchEvent(new Event("change")); return null; })()`)
	p.sees("Kopiowanie rozpoczęte")
	p.sees(copyCode)
	p.goTo("/copies")
	p.goTo("/copies/new")
	p.until("document.activeElement?.name === 'email' && !document.body.innerText.includes(" + quote(copyCode) + ")")
	p.quiet()
}

// TestTheFoldersThatAreChosenAreCopied: whatever is ticked, in whatever order, the rules that are sent choose it, as
// the document has rules. The control is a rule for the inbox, which would hold for nothing below it.
func TestTheFoldersThatAreChosenAreCopied(t *testing.T) {
	t.Parallel()
	p := newCopyFake(t, copyUser).at(desktop, "/copies")
	base := js[string](p, `document.querySelector("script[src]").src.replace(/app\.js$/, "")`)
	got := js[string](p, `import(`+quote(base+"copydraft.js")+`).then(({choose, rules}) => {
		const folders = ["INBOX", "INBOX/Old", "A", "A/B", "A/B/C", "A/B/C/D", "E", "S", "S/T"].map((source) =>
			({source, shared: source.startsWith("S")}));
		const usual = Object.fromEntries(folders.map((f) => [f.source, !f.shared]));
		const covers = (rule, name) => name === rule || rule !== "INBOX" && name.startsWith(rule + "/");
		const copied = ({include = [], exclude = []}, f) => !exclude.some((r) => covers(r, f.source)) &&
			(include.length ? include.some((r) => covers(r, f.source)) : !f.shared);
		let seed = 1;
		const next = (n) => (seed = (seed * 48271) % 2147483647) % n;
		for (let round = 0; round < 2000; round++) {
			const chosen = {...usual}, way = [];
			for (let i = next(8); i >= 0; i--) {
				const f = folders[next(folders.length)], on = next(2) === 1;
				choose(folders, chosen, f, on);
				way.push((on ? "+" : "-") + f.source);
				if (chosen[f.source] !== on) return way + " leaves " + f.source;
			}
			if (!folders.some((f) => chosen[f.source])) continue; // The page sends nothing then.
			const r = rules(folders, chosen, usual);
			for (const f of folders) {
				if (copied(r, f) !== chosen[f.source]) return way + " sends " + JSON.stringify(r) + ", by which " + f.source +
					(chosen[f.source] ? " is not" : " is") + " copied";
			}
		}
		return copied({exclude: ["INBOX"]}, folders[1]) ? "" : "the control";
	})`)
	if got != "" {
		t.Error(got)
	}
}

// TestCopiesInAFrameOfAnotherSite are as live as elsewhere; the control is a site that is not configured.
func TestCopiesInAFrameOfAnotherSite(t *testing.T) {
	t.Parallel()
	webmail := newWebmail(t)
	f := newCopyFake(t, copyUser, copyPaused)
	f.pages = webui.Handler(webui.Options{FrameAncestors: []string{webmail.origin()}})
	p := webmail.lookFrom(t, f.URL+"/copies")
	in := frame{p, f.URL}
	in.until(`document.querySelector(".card .state[data-copy=paused]")`)
	f.turns("en", func(lang string) object { c := copyRunning(lang); c["id"] = copyPaused(lang)["id"]; return c })
	in.until(`document.querySelector(".card .state[data-copy=running]")`)
	in.until(`(document.querySelector(".card a").click(), true)`)
	in.until(`document.querySelector(".bars li")`)

	webmail.shows.Store(newCopyFake(t, copyUser).URL + "/copies")
	p.do(chromedp.Reload())
	p.eventually("the frame is refused", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return strings.Contains(strings.Join(p.messages, " "), "frame")
	})
}
