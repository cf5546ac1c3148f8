package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"reflect"
	"testing"
	"time"
)

// echo answers each line with a line, as long as it is asked.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				for {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					fmt.Fprint(c, line)
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestTheProxyCountsSequentialRoundTrips(t *testing.T) {
	for name, test := range map[string]struct {
		ahead  []int // Lines sent at once, each time all answers are read.
		hangUp bool  // One more line, whose answer is not waited for.
		want   traffic
	}{
		"one after the other": {ahead: []int{1, 1, 1}, want: traffic{
			Conns: 1, Depth: 3, Waited: 3, Turns: 2, Up: 6,
			Down: 6,
		}},
		"pipelined": {ahead: []int{3}, want: traffic{Conns: 1, Depth: 1, Waited: 1, Up: 6, Down: 6}},
		"a farewell unwaited for": {ahead: []int{1, 1}, hangUp: true, want: traffic{
			Conns: 1, Depth: 3, Waited: 2, Turns: 2,
			Up: 6, Down: 6,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := newDistance(echo(t), 20*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			defer d.close()
			c, err := net.Dial("tcp", d.l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(c)
			for _, n := range test.ahead {
				lines := ""
				for range n {
					lines += "x\n"
				}
				fmt.Fprint(c, lines)
				for range n {
					if _, err := r.ReadString('\n'); err != nil {
						t.Fatal(err)
					}
				}
			}
			if test.hangUp {
				fmt.Fprint(c, "x\n")
				if err := c.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			defer c.Close()
			if !test.hangUp {
				c.Close()
			}
			if got := d.take(); got != test.want {
				t.Errorf("counted %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestCommitsAreCountedInAWriteAheadLog(t *testing.T) {
	const page = 512
	header := make([]byte, 32)
	binary.BigEndian.PutUint32(header, 0x377f0682)
	binary.BigEndian.PutUint32(header[8:], page)
	copy(header[16:], "saltsalt")
	frame := func(salt string, commit uint32) []byte {
		f := make([]byte, 24+page)
		binary.BigEndian.PutUint32(f[4:], commit)
		copy(f[8:], salt)
		return f
	}
	wal := header
	for _, f := range [][]byte{
		frame("saltsalt", 0), frame("saltsalt", 2), frame("saltsalt", 3),
		frame("formerly", 9), // Of before a reset.
	} {
		wal = append(wal, f...)
	}
	for name, test := range map[string]struct {
		wal            []byte
		commits, pages int
		bad            bool
	}{
		"two commits, three pages": {wal: wal, commits: 2, pages: 3},
		"a page cut short":         {wal: wal[:32+2*(24+page)+100], commits: 1, pages: 2},
		"nothing written":          {},
		"something else":           {wal: []byte("no write-ahead log, but long enough to be one"), bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			n, pages, err := commits(test.wal)
			if n != test.commits || pages != test.pages || (err != nil) != test.bad {
				t.Errorf("%d commits, %d pages, %v", n, pages, err)
			}
		})
	}
}

func TestTheSameSeedMakesTheSameMail(t *testing.T) {
	a, b := newLetters(7, 1), newLetters(7, 1)
	for range 50 {
		if x, y := a.next("INBOX", 0), b.next("INBOX", 0); !reflect.DeepEqual(x, y) {
			t.Fatal("they differ")
		}
	}
}

func TestCasesThatAreNone(t *testing.T) {
	for _, list := range []string{"", "A", "Q0", "A-1", "A0,"} {
		if _, err := parseCases(list); err == nil {
			t.Errorf("%q was taken", list)
		}
	}
}
