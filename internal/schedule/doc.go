// Package schedule decides when an account is visited, and sees to it that
// only one worker visits it at a time.
//
// The row in the schedule's table is the truth; everything in memory is a
// courtesy. Policy is a pure function of what happened and the time. The
// package knows nothing of SQL or mail protocols.
package schedule
