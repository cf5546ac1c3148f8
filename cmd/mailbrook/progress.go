package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/mattn/go-runewidth"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/mailbrook/mailbrook/internal/account"
	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
	"github.com/mailbrook/mailbrook/internal/route"
	"github.com/mailbrook/mailbrook/internal/words"
)

// pullResult is how one account's visit went.
type pullResult struct {
	Account   account.Account
	Report    fetch.Report
	Took      time.Duration
	Diagnosis *account.Diagnosis // Nil when all went well.
	Removed   bool               // The account was removed meanwhile: there is nothing to diagnose.
	Skipped   bool               // It waits for its user, for what Diagnosis says, and was not visited.
}

// lineEvery is how often a long visit says how far it is, where there is no
// terminal to draw on.
const lineEvery = 5 * time.Second

// progress shows how far visits are: as a bar for each account on a terminal,
// as plain lines elsewhere, not at all beside JSON. It is safe for concurrent
// use.
type progress struct {
	now   func() time.Time
	lines io.Writer     // Plain lines, or nil.
	bars  *mpb.Progress // Or bars, or nil.
	room  page          // For the bars.

	mu     sync.Mutex
	tracks map[account.ID]*track
}

// newProgress shows the visits to these accounts on the terminal's error
// output, so that the standard output holds results only.
func newProgress(t terminal, accounts []account.Account, silent bool) *progress {
	p := &progress{now: time.Now, tracks: make(map[account.ID]*track, len(accounts))}
	p.room.ascii = !speaksUTF8(t.environ)
	for _, a := range accounts {
		p.tracks[a.ID] = &track{label: p.room.names(label(a))}
	}
	switch {
	case silent:
	case onTerminal(t.err):
		p.bars = mpb.New(mpb.WithOutput(t.err), mpb.PopCompletedMode())
		p.room.columns = columnsOf(t.err)
	default:
		p.lines = t.err
	}
	return p
}

// onTerminal reports whether somebody looks at what is written to w.
func onTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd()) && os.Getenv("TERM") != "dumb"
}

// label is what an account is called on the screen.
func label(a account.Account) string { return words.Clean(a.Email, 80) }

// track is how far one visit is.
type track struct {
	label string
	bar   *mpb.Bar
	began time.Time
	said  time.Time      // When the last line was written.
	part  route.Progress // As last reported.
	done  route.Progress // Sums of the parts before, when a visit continues in parts.
	ended string         // The last words, once it is over;
	short string         // and the same where there is little room.
}

// start says that a visit begins.
func (p *progress) start(a account.Account) {
	p.mu.Lock()
	t := p.tracks[a.ID]
	if t == nil {
		t = &track{label: p.room.names(label(a))}
		p.tracks[a.ID] = t
	}
	t.began, t.said = p.now(), p.now()
	if p.lines != nil {
		fmt.Fprintf(p.lines, "%s: visiting %s by %s\n", t.label, p.room.names(a.Server.Host), a.Protocol)
	}
	p.mu.Unlock()
	if p.bars == nil {
		return
	}
	// Bars call back to be described: they are never touched under the lock.
	name, width, words := p.shares(t.label)
	bar := p.bars.New(0, mpb.BarStyle().Filler("=").Tip(">").Padding(" "), mpb.BarWidth(width),
		mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + p.briefly(t, words) })))
	p.mu.Lock()
	defer p.mu.Unlock()
	t.bar = bar
}

// update notes and shows how far a visit is.
func (p *progress) update(id account.ID, pr route.Progress) {
	bar, sum := p.note(id, pr)
	if bar != nil {
		bar.SetTotal(sum.MessagesTotal, false)
		bar.SetCurrent(min(sum.MessagesDone, sum.MessagesTotal))
	}
}

func (p *progress) note(id account.ID, pr route.Progress) (*mpb.Bar, route.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tracks[id]
	if t == nil || t.ended != "" {
		return nil, pr
	}
	t.add(pr)
	if now := p.now(); p.lines != nil && now.Sub(t.said) >= lineEvery {
		t.said = now
		fmt.Fprintf(p.lines, "%s: %s\n", t.label, t.describe(now))
	}
	return t.bar, t.sum()
}

// finish says how a visit went.
func (p *progress) finish(r pullResult) {
	bar, sum := p.end(r)
	switch {
	case bar == nil:
	case r.Report.Err != nil:
		bar.Abort(false)
	default:
		all := max(1, sum.MessagesDone) // A bar of nothing would look undone.
		bar.SetTotal(all, false)
		bar.SetCurrent(all)
		bar.SetTotal(all, true)
	}
}

func (p *progress) end(r pullResult) (*mpb.Bar, route.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tracks[r.Account.ID]
	if t == nil || t.ended != "" {
		return nil, route.Progress{}
	}
	t.ended = r.outcome()
	if t.short = t.ended; r.Skipped {
		t.short = "waits: " + string(r.Diagnosis.Code)
	} else {
		if r.Diagnosis == nil {
			t.short = fmt.Sprintf("%s, %s in %s s", t.ended, words.Count(r.Report.Messages, "message"), seconds(r.Took))
		}
		t.ended = fmt.Sprintf("%s, %s, %s in %s s", t.ended, words.Count(r.Report.Messages, "message"),
			words.Size(r.Report.Bytes), seconds(r.Took))
	}
	if p.lines != nil {
		fmt.Fprintf(p.lines, "%s: %s\n", t.label, t.ended)
	}
	return t.bar, t.sum()
}

// wait ends the display, also of visits that never finished.
func (p *progress) wait() {
	if p.bars == nil {
		return
	}
	var open []*mpb.Bar
	p.mu.Lock()
	for _, t := range p.tracks {
		if t.bar != nil && t.ended == "" {
			t.ended, t.short = "not finished", "not finished"
			open = append(open, t.bar)
		}
	}
	p.mu.Unlock()
	for _, b := range open {
		b.Abort(false)
	}
	p.bars.Wait()
}

// shares divides the terminal's width: a third at most for the name, a fifth for
// the bar, and the rest for words.
func (p *progress) shares(label string) (name string, bar, words int) {
	if p.room.columns == 0 {
		return label, 30, 120
	}
	longest := 0
	p.mu.Lock()
	for _, t := range p.tracks {
		longest = max(longest, runewidth.StringWidth(t.label))
	}
	p.mu.Unlock()
	most := min(longest, p.room.columns/3)
	bar = max(10, min(30, p.room.columns/5-2))
	return runewidth.Truncate(label, most, p.room.dots()), bar, max(8, p.room.columns-most-bar-4)
}

// briefly describes a visit in at most so many columns.
func (p *progress) briefly(t *track, columns int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := t.describe(p.now())
	for _, shorter := range []string{text, t.brief(p.now())} {
		if text = shorter; runewidth.StringWidth(text) <= columns {
			return text
		}
	}
	return runewidth.Truncate(text, columns, p.room.dots())
}

// brief is describe without folder, octets and rate.
func (t *track) brief(now time.Time) string {
	if t.ended != "" {
		return t.short
	}
	s, took := t.sum(), now.Sub(t.began).Seconds()
	if s.MessagesTotal == 0 {
		return "looking for mail"
	}
	text := fmt.Sprintf("%d/%d", s.MessagesDone, s.MessagesTotal)
	if took >= 1 && s.MessagesDone > 0 {
		left := took / float64(s.MessagesDone) * float64(s.MessagesTotal-s.MessagesDone)
		text += ", " + clock(time.Duration(left*float64(time.Second))) + " left"
	}
	return text
}

// add notes how far the visit is. Counts that fall mean that its next part has begun.
func (t *track) add(pr route.Progress) {
	if pr.MessagesDone < t.part.MessagesDone || pr.BytesDone < t.part.BytesDone {
		t.done.MessagesDone += t.part.MessagesDone
		t.done.BytesDone += t.part.BytesDone
	}
	t.part = pr
}

// sum is how far the visit is over all its parts.
func (t *track) sum() route.Progress {
	s := t.part
	s.MessagesDone += t.done.MessagesDone
	s.MessagesTotal += t.done.MessagesDone
	s.BytesDone += t.done.BytesDone
	return s
}

// describe says how far the visit is: folder, messages, bytes, rate, time left.
func (t *track) describe(now time.Time) string {
	if t.ended != "" {
		return t.ended
	}
	s, took := t.sum(), now.Sub(t.began).Seconds()
	if s.MessagesTotal == 0 {
		return "looking for new mail"
	}
	text := fmt.Sprintf("%d/%d, %s", s.MessagesDone, s.MessagesTotal, words.Size(s.BytesDone))
	if folder := words.Clean(s.Folder, 40); folder != "" {
		text = folder + " " + text
	}
	if took >= 1 && s.MessagesDone > 0 {
		left := time.Duration(took / float64(s.MessagesDone) * float64(s.MessagesTotal-s.MessagesDone) * float64(time.Second))
		text += fmt.Sprintf(", %s/s, %s left", words.Size(int64(float64(s.BytesDone)/took)), clock(left))
	}
	return text
}

// outcome is the result in a word.
func (r pullResult) outcome() string {
	switch {
	case r.Skipped:
		return "skipped, waits for its user: " + string(r.Diagnosis.Code)
	case r.Removed:
		return "over: the account was removed meanwhile"
	case r.Diagnosis != nil:
		return string(r.Diagnosis.Code)
	case r.Report.Err != nil:
		return string(fault.CodeOf(r.Report.Err))
	}
	return "ok"
}

// printTable writes one row for each account.
func printTable(p page, results []pullResult) error {
	t := newTable("account", "protocol", "folder", "messages", "bytes", "seconds", "result").
		sparing("protocol", "folder", "seconds", "bytes").keeping("result").unbroken("account")
	for _, r := range results {
		t.add(p.names(label(r.Account)), string(r.Account.Protocol), r.Account.Folder, fmt.Sprint(r.Report.Messages),
			words.Size(r.Report.Bytes), seconds(r.Took), r.outcome())
	}
	return t.write(p)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }

// clock is a time as a clock shows it: 0:09, 12:34, 1:02:03.
func clock(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	if s < 3600 {
		return fmt.Sprintf("%d:%02d", s/60, s%60)
	}
	return fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
}
