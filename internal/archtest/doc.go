// Package archtest holds the rules of the house as tests: which package may
// import which, where third parties are let in, who may dial, and that
// everything exported says what it is. The tables in its tests are the map of
// docs/ARCHITECTURE.md in a form that fails.
//
// It looks at source text only and imports nothing of the project.
package archtest
