package mailtest

import "syscall"

// ownGroup adds to how a process is started; a may be nil.
func ownGroup(a *syscall.SysProcAttr) *syscall.SysProcAttr {
	if a == nil {
		a = &syscall.SysProcAttr{}
	}
	a.Setpgid, a.Pdeathsig = true, syscall.SIGTERM
	return a
}
