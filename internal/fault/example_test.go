package fault_test

import (
	"errors"
	"fmt"
	"io"

	"github.com/mailbrook/mailbrook/internal/fault"
)

// Whoever sees a failure first gives it its code; who hands it on keeps that.
func ExampleWrap() {
	err := fault.Wrap(fault.ConnectTimeout, "connecting to imap.firma.test", io.ErrUnexpectedEOF)
	err = fault.Wrap(fault.Internal, "visiting an account", fmt.Errorf("opening the source: %w", err))
	fmt.Println(fault.CodeOf(err))
	fmt.Println(errors.Is(err, io.ErrUnexpectedEOF))
	fmt.Println(fault.Wrap(fault.Internal, "nothing", nil) == nil)
	// Output:
	// connect_timeout
	// true
	// true
}
