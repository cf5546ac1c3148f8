package httpapi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/mailbrook/mailbrook/internal/owner"
)

// callers is a server that has so many connections at a time. A path's first part
// is what a request is, its second who asks. "ask" and "stream" last until they
// are let go.
type callers struct {
	*testing.T
	at    string
	began chan string
	letGo map[string]chan struct{}
}

func newCallers(t *testing.T, most int, bound func(net.Listener, int, *slog.Logger) net.Listener) *callers {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cs := &callers{t, l.Addr().String(), make(chan string), map[string]chan struct{}{}}
	for _, who := range []string{"anna", "jan", "ewa", "ola", "piotr", "zofia", "adam", "lech"} {
		cs.letGo[who] = make(chan struct{})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/open", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/{kind}/{who}", func(_ http.ResponseWriter, r *http.Request) {
		who := r.PathValue("who")
		o, err := owner.Parse(who + "@firma.test")
		if err != nil {
			panic(err)
		}
		defer asks(r.Context(), o)()
		switch r.PathValue("kind") {
		case "stream":
			streams(r.Context())
			fallthrough
		case "ask":
			cs.began <- who
			select {
			case <-cs.letGo[who]:
			case <-r.Context().Done():
			}
		}
	})
	log := slog.New(slog.DiscardHandler)
	server := Server("", mux, log)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(bound(l, most, log)) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return cs
}

func unbounded(l net.Listener, _ int, _ *slog.Logger) net.Listener { return l }

// call is one connection.
type call struct {
	*callers
	net.Conn
	from *bufio.Reader
}

func (cs *callers) call() *call {
	cs.Helper()
	conn, err := (&net.Dialer{}).DialContext(cs.Context(), "tcp", cs.at)
	if err != nil {
		cs.Fatal(err)
	}
	cs.Cleanup(func() { _ = conn.Close() })
	return &call{cs, conn, bufio.NewReader(conn)}
}

func (c *call) send(path string) *call {
	// What a closed connection says to this is what answered says, too.
	_, _ = fmt.Fprintf(c.Conn, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path)
	return c
}

// answered reports whether a request was answered; else the connection was closed.
func (c *call) answered() bool {
	resp, err := http.ReadResponse(c.from, nil)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err == nil && resp.StatusCode == http.StatusOK
}

// does begins a request that lasts.
func (c *call) does(kind, who string) *call {
	c.Helper()
	c.send("/" + kind + "/" + who)
	if got := <-c.began; got != who {
		c.Fatalf("%s began, want %s", got, who)
	}
	return c
}

// rests has made a request.
func (c *call) rests(who string) *call {
	c.Helper()
	if !c.send("/quick/" + who).answered() {
		c.Fatalf("%s is not answered", who)
	}
	return c
}

func TestCallersWhoAreSilentKeepNobodyAway(t *testing.T) {
	for _, tc := range []struct {
		name  string
		bound func(net.Listener, int, *slog.Logger) net.Listener
		left  int
	}{
		{"four at a time", Bounded, 4},
		{"the control: as many as come", unbounded, 12},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cs := newCallers(t, 4, tc.bound)
			var silent []*call
			for range 12 {
				silent = append(silent, cs.call())
			}
			for i := 11; i >= 0; i-- { // From the last, which shows that all before it were accepted.
				if got, want := silent[i].send("/open").answered(), i >= 12-tc.left; got != want {
					t.Errorf("caller %d is answered: %v, want %v", i, got, want)
				}
			}
		})
	}
}

func TestWhichConnectionMakesRoom(t *testing.T) {
	cs := newCallers(t, 5, Bounded)
	anna, jan := cs.call().does("ask", "anna"), cs.call().does("stream", "jan")
	ewa, ola := cs.call().rests("ewa"), cs.call().rests("ola")
	ewa.rests("ewa") // Now it is ola's that has rested longer.
	stranger := cs.call()
	piotr := cs.call().rests("piotr")
	if stranger.answered() {
		t.Error("a stranger keeps the place")
	}
	cs.call().does("ask", "zofia")
	if ola.answered() {
		t.Error("who rests longest keeps the place")
	}
	ewa.does("ask", "ewa") // It was not hers.
	cs.call().does("ask", "adam")
	if piotr.answered() {
		t.Error("who rests keeps the place that a stream would have to give up")
	}
	cs.call().does("ask", "lech")
	if jan.answered() {
		t.Error("a stream keeps the place while requests need it")
	}
	close(cs.letGo["anna"])
	if !anna.answered() {
		t.Error("a request that was under way is not answered")
	}
}

func TestAConnectionWaitsWhileAllAreNeeded(t *testing.T) {
	cs := newCallers(t, 4, Bounded)
	for _, who := range []string{"anna", "jan", "ewa", "ola"} {
		cs.call().does("ask", who)
	}
	waiting := cs.call().send("/quick/piotr")
	close(cs.letGo["ewa"])
	if !waiting.answered() {
		t.Error("it is not answered when there is a place")
	}
}

func TestAUserWithAQuarterOfTheConnectionsKeepsNobodyAway(t *testing.T) {
	cs := newCallers(t, 8, Bounded)
	first := cs.call().does("ask", "anna")
	for range 7 {
		cs.call().does("ask", "anna")
	}
	cs.call().does("ask", "jan")
	if first.answered() {
		t.Error("it is not the longest of hers that made room")
	}
	for range 5 {
		cs.call().rests("ewa")
	}
}

// A process that has to stop waits for requests that are under way, and for no
// caller who has sent none.
func TestWhoIsSilentDoesNotHoldUpTheEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cs := &callers{T: t, at: l.Addr().String(), began: make(chan string), letGo: map[string]chan struct{}{}}
	goOn := make(chan struct{})
	log := slog.New(slog.DiscardHandler)
	server := Server("", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		cs.began <- "somebody"
		<-goOn
	}), log)
	served := make(chan error, 1)
	go func() { served <- server.Serve(Bounded(l, 8, log)) }()
	silent := cs.call()
	half := cs.call()
	if _, err := half.Write([]byte("GET / HTTP/1.1\r\nHo")); err != nil {
		t.Fatal(err)
	}
	busy := cs.call().send("/")
	<-cs.began // The others were accepted before.
	ended := make(chan error, 1)
	go func() { ended <- server.Shutdown(t.Context()) }()
	if silent.answered() || half.answered() {
		t.Error("who sent no request is answered")
	}
	select {
	case err := <-ended: // The control.
		t.Errorf("it ends with %v while a request is under way", err)
	default:
	}
	close(goOn)
	if !busy.answered() {
		t.Error("the request under way is not answered")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// telling is a listener that reports each connection that it has accepted.
type telling struct {
	net.Listener
	accepted chan struct{}
}

func (l telling) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.accepted <- struct{}{}
	}
	return conn, err
}

// A process that has to stop does so while a connection waits for a place.
func TestABoundedListenerEndsWhileAConnectionWaits(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tells := telling{inner, make(chan struct{}, 2)}
	l := Bounded(tells, 1, slog.New(slog.DiscardHandler))
	cs := &callers{T: t, at: inner.Addr().String()}
	cs.call()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	o, err := owner.Parse("anna@firma.test")
	if err != nil {
		t.Fatal(err)
	}
	heard(conn, http.StateActive)
	asks(withConnection(t.Context(), conn), o)
	<-tells.accepted
	waiting, ended := cs.call(), make(chan error, 1)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	<-tells.accepted
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("it ends with %v", err)
	}
	if waiting.answered() {
		t.Error("the connection that waited is answered")
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}
