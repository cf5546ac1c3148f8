package parcel

import (
	"context"
	"fmt"
)

// Post has a comment.
func Post(err error) error {
	go send()
	return fmt.Errorf("posting: %w", err)
}

func Open(err error) error { return fmt.Errorf("opening: %v", err) }

func send() {
	<-context.Background().Done()
}
