package account

import "context"

type stepsKey struct{}

// WithSteps has the connection tests under the returned context tell observe each of
// their steps as it ends, from one goroutine. What a step that failed tells of itself
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
