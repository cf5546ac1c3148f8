package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// events gathers what is to be written, and writes it against the clock.
type events struct {
	bytes.Buffer
	w        http.ResponseWriter
	to       *http.ResponseController
	patience time.Duration
}

// put adds an event; id may be "". JSON has no line ends, which would end its data.
func (e *events) put(id, kind string, data any) {
	b, err := json.Marshal(data)
	if err != nil { // Our own types: it cannot.
		panic(err)
	}
	if id != "" {
		fmt.Fprintf(e, "id: %s\n", id)
	}
	fmt.Fprintf(e, "event: %s\ndata: %s\n\n", kind, b)
}

func (e *events) flush() error {
	if e.Len() == 0 {
		return nil
	}
	if err := e.to.SetWriteDeadline(time.Now().Add(e.patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("setting a deadline: %w", err)
	}
	if _, err := e.WriteTo(e.w); err != nil {
		return err
	}
	return e.to.Flush()
}
