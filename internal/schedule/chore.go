package schedule

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"
)

// Chore is upkeep that a package owns and the Runner performs. Every process
// performs it: it must do no harm when several do at once.
type Chore struct {
	Name  string // Stable, for logs and metrics.
	Every time.Duration
	Run   func(context.Context) error // Ends when the context does.
}

// repeat performs the chore until ctx ends, for the first time after a part
// of its period, so that processes started together do not work together.
func (r *Runner) repeat(ctx context.Context, c Chore) {
	wait := time.Duration(float64(min(c.Every, 10*time.Minute)) * r.o.Rand())
	for sleep(ctx, wait) {
		began := time.Now()
		if err := once(ctx, c); err != nil && ctx.Err() == nil {
			r.metrics.chores.WithLabelValues(c.Name, "failed").Inc()
			r.o.Log.WarnContext(ctx, "chore failed", "chore", c.Name, "error", err)
		} else if err == nil {
			r.metrics.chores.WithLabelValues(c.Name, "ok").Inc()
			r.o.Log.DebugContext(ctx, "chore done", "chore", c.Name, "took", time.Since(began))
		}
		wait = c.Every
	}
}

func once(ctx context.Context, c Chore) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return c.Run(ctx)
}

// sleep waits for d; false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
