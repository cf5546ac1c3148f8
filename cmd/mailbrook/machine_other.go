//go:build !linux

package main

// fileSystemOf knows Linux's file systems only.
func fileSystemOf(string) string { return "" }

// clockSynchronised reports that it cannot be asked here.
func clockSynchronised() (synchronised, known bool) { return false, false }
