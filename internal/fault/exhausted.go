package fault

import (
	"errors"
	"syscall"
)

// Exhausted reports whether err came because this process, or its machine, has
// no file descriptors left: our own shortage, whatever it was that needed one.
func Exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}
