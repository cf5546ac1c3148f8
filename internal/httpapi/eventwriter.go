package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// eventWriter buffers server-sent events and writes them with a deadline.
type eventWriter struct {
	bytes.Buffer
	w       http.ResponseWriter
	to      *http.ResponseController
	timeout time.Duration
}

// put adds an event; id may be "". JSON contains no line breaks, which would end its data.
func (e *eventWriter) put(id, kind string, data any) {
	b, err := json.Marshal(data)
	if err != nil { // Our own types: it cannot.
		panic(err)
	}
	if id != "" {
		fmt.Fprintf(e, "id: %s\n", id)
	}
	fmt.Fprintf(e, "event: %s\ndata: %s\n\n", kind, b)
}

func (e *eventWriter) flush() error {
	if e.Len() == 0 {
		return nil
	}
	if err := e.to.SetWriteDeadline(time.Now().Add(e.timeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("setting a deadline: %w", err)
	}
	if _, err := e.WriteTo(e.w); err != nil {
		return err
	}
	return e.to.Flush()
}
