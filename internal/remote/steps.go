package remote

import (
	"context"
	"time"

	"github.com/mailbrook/mailbrook/internal/words"
)

// StepName names a step of a connection test.
type StepName string

// The steps, in their order.
const (
	StepResolve  StepName = "resolve"
	StepConnect  StepName = "connect"
	StepTLS      StepName = "tls"
	StepGreeting StepName = "greeting"
	StepLogin    StepName = "login"
	StepFolders  StepName = "folders"
)

// Step is one step of a connection test.
type Step struct {
	Name   StepName
	OK     bool
	Took   time.Duration
	Detail words.Detail // Safe to show: "TLS 1.3", "12 folders"; on failure, what went wrong.
}

type stepsKey struct{}

// WithSteps has the connection tests under the returned context tell observe each of
// their steps as it ends, from one goroutine. What a step that failed reports
// is not fit for users: the report says that.
func WithSteps(ctx context.Context, observe func(Step)) context.Context {
	return context.WithValue(ctx, stepsKey{}, observe)
}

// TellStep tells a step of a connection test to whom WithSteps names, if anybody.
func TellStep(ctx context.Context, s Step) {
	if observe, ok := ctx.Value(stepsKey{}).(func(Step)); ok {
		observe(s)
	}
}
