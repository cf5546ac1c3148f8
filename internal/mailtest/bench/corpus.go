package main

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/mailbrook/mailbrook/internal/mailtest"
)

// letters makes messages whose sizes are those of real mailboxes: log-normal
// with a median of 8 KB and a 95th percentile of 150 KB, 5 MB at most. The same
// seed makes the same messages.
type letters struct {
	r            *rand.Rand
	scale        float64
	text, base64 string
	when         map[string]time.Time
	made         int
}

const (
	medianSize = 8192
	sizeSpread = 1.768 // Of the logarithm: the 95th percentile is 18 times the median.
	largest    = 5 << 20
)

func newLetters(seed uint64, scale float64) *letters {
	l := &letters{r: rand.New(rand.NewPCG(seed, 0x62656e6368)), scale: scale, when: map[string]time.Time{}}
	words := strings.Fields("the invoice meeting report please find attached regards schedule budget contract tomorrow " +
		"faktura umowa żółć gęślą jaźń")
	var b strings.Builder
	for b.Len() < 1<<20 {
		for range 10 {
			b.WriteString(words[l.r.IntN(len(words))] + " ")
		}
		b.WriteByte('\n')
	}
	l.text = b.String()
	b.Reset()
	line := make([]byte, 57)
	for b.Len() < largest+(1<<20) {
		for i := range line {
			line[i] = byte(l.r.Uint32())
		}
		b.WriteString(base64.StdEncoding.EncodeToString(line) + "\n")
	}
	l.base64 = b.String()
	return l
}

func (l *letters) size() int {
	n := largest
	if l.r.IntN(1000) > 0 {
		n = int(math.Exp(l.r.NormFloat64()*sizeSpread + math.Log(medianSize)))
	}
	return max(300, min(int(float64(n)*l.scale), largest))
}

// cut returns whole lines of about n octets.
func (l *letters) cut(text string, n int) string {
	n = min(n, len(text)-1000)
	from := l.r.IntN(len(text) - n)
	from += strings.IndexByte(text[from:], '\n') + 1
	to := min(from+n, len(text))
	to = from + strings.LastIndexByte(text[from:to], '\n') + 1
	if to <= from {
		return "short\n"
	}
	return text[from:to]
}

// next returns one message for the folder, of the given size or, for 0, of a
// usual one.
func (l *letters) next(folder string, size int) mailtest.Message {
	if size == 0 {
		size = l.size()
	}
	l.made++
	when, ok := l.when[folder]
	if !ok {
		when = time.Date(2023, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	when = when.Add(time.Duration(30+l.r.IntN(6000)) * time.Second)
	l.when[folder] = when
	var b strings.Builder
	date := when.Format(time.RFC1123Z)
	for k := range 2 + l.r.IntN(4) {
		fmt.Fprintf(&b, "Received: from mx%d.example.test (mx%d.example.test [192.0.2.%d])\n\tby mail.example.test "+
			"(Postfix) with ESMTPS id %X\n\tfor <user@example.test>; %s\n",
			k, k, l.r.IntN(250), l.r.Uint32(), date)
	}
	fmt.Fprintf(&b, "From: \"Anna Nowak\" <%x@example.test>\nTo: user@example.test\nSubject: message %d\nDate: "+
		"%s\nMessage-ID: <%d.%x@mail.example.test>\nMIME-Version: 1.0\n",
		l.r.Uint32(), l.made, date, l.made, l.r.Uint64())
	room := max(80, size-b.Len()-300)
	if room <= 40_000 {
		b.WriteString("Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" + l.cut(l.text, room))
	} else {
		b.WriteString("Content-Type: multipart/mixed; boundary=\"=_x\"\n\n--=_x\nContent-Type: text/plain; " +
			"charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" + l.cut(l.text, 2000))
		b.WriteString("--=_x\nContent-Type: application/pdf\nContent-Transfer-Encoding: base64\n\n")
		for room -= 2000; room > 0; room -= largest {
			b.WriteString(l.cut(l.base64, min(room, largest)))
		}
		b.WriteString("--=_x--\n")
	}
	m := mailtest.Message{Folder: folder, Data: []byte(b.String()), Date: when}
	for _, f := range []struct {
		letter  string
		percent int
	}{{"F", 5}, {"R", 20}, {"S", 80}} {
		if l.r.IntN(100) < f.percent {
			m.Flags += f.letter
		}
	}
	return m
}

// fill writes n messages into a Maildir, a few at a time, spread over the
// folders, the inbox a little fuller. It returns their octets.
func (l *letters) fill(store string, folders []string, n int) (octets int64, err error) {
	const atOnce = 250
	for done := 0; done < n; {
		var some []mailtest.Message
		for range min(atOnce, n-done) {
			folder := folders[0]
			if l.r.IntN(20) > 0 {
				folder = folders[l.r.IntN(len(folders))]
			}
			m := l.next(folder, 0)
			octets += int64(len(m.Data))
			some = append(some, m)
		}
		if err := mailtest.WriteMaildir(store, some); err != nil {
			return octets, fmt.Errorf("writing a mailbox: %w", err)
		}
		done += len(some)
	}
	return octets, nil
}
