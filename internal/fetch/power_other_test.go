//go:build !linux

package fetch_test

import (
	"errors"
	"syscall"
	"testing"
)

var errNoVolumes = errors.New("power cuts are made by Linux's ext4")

func cutPower(string) error { return errNoVolumes }
func voidSyncs() error      { return errNoVolumes }

type volume struct{ dir string }

func newVolume(*testing.T) (*volume, error) { return nil, errNoVolumes }
func (*volume) restart() error              { return errNoVolumes }
func (*volume) sync() error                 { return errNoVolumes }

func dieWithUs() *syscall.SysProcAttr { return nil }

func stopUs() error { return syscall.Kill(syscall.Getpid(), syscall.SIGSTOP) }
