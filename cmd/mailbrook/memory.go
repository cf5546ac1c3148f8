package main

import (
	"log/slog"
	"os"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mailbrook/mailbrook/internal/memory"
)

// memoryShare is how much of what the machine or its control group has is ours,
// in hundredths, where the operator does not say.
const memoryShare = 75

// newBudget is what the visits of this process may hold together: limit, or
// by what there is for it where that is 0. The garbage collector keeps to the
// same, unless GOMEMLIMIT says otherwise.
func newBudget(limit int64, log *slog.Logger) *memory.Budget {
	if limit == 0 {
		limit = memory.Machine() / 100 * memoryShare
	}
	b := memory.New(limit, memory.Patience)
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(b.Limit())
	}
	log.Debug("memory", "limit", b.Limit())
	return b
}

// memoryMetrics are the budget, and what is taken of it.
func memoryMetrics(b *memory.Budget) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "mailbrook_memory_limit_bytes",
			Help: "What visits may hold in memory together.",
		}, func() float64 { return float64(b.Limit()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "mailbrook_memory_taken_bytes",
			Help: "What visits hold of that now, as estimated.",
		}, func() float64 { return float64(b.Taken()) }),
	}
}
