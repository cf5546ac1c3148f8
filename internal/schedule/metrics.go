package schedule

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/mailbrook/mailbrook/internal/fault"
	"github.com/mailbrook/mailbrook/internal/fetch"
)

// metrics are what an operator sees of the visits. No label names a host, a
// user or an account: those are without bound, and nobody else's business.
type metrics struct {
	visits   *prometheus.CounterVec
	seconds  prometheus.Histogram
	messages prometheus.Counter
	bytes    prometheus.Counter
	active   prometheus.Gauge
	lag      prometheus.Gauge
	down     prometheus.Gauge
	free     prometheus.Gauge
	slow     prometheus.Gauge
	cut      prometheus.Counter
	chores   *prometheus.CounterVec
	aborted  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		visits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mailbrook_visits_total",
			Help: "Visits to external accounts by how they ended: ok, more (yielded with work left), partial, interrupted, " +
				"fenced, or a diagnosis code.",
		}, []string{"outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "mailbrook_visit_seconds", Help: "How long visits took.",
			Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900},
		}),
		messages: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mailbrook_messages_delivered_total", Help: "Messages delivered into local mailboxes.",
		}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mailbrook_message_bytes_delivered_total", Help: "Their size as sent by the servers.",
		}),
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mailbrook_visits_active", Help: "Visits under way in this process.",
		}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mailbrook_schedule_lag_seconds",
			Help: "How long the account that has waited longest has been due, but for those whose server is out of order.",
		}),
		down: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mailbrook_hosts_out_of_order",
			Help: "Remote servers (host, port, security) that are only probed, because many accounts failed there at once.",
		}),
		free: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mailbrook_slots_free", Help: "Visits that this process could begin at once.",
		}),
		slow: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "mailbrook_visits_slow",
			Help: "Visits under way in this process that take long, or are expected to: they have half of the slots at most.",
		}),
		cut: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mailbrook_visits_cut_short_total",
			Help: "Visits that gave their slot up because they took long and others waited.",
		}),
		chores: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "mailbrook_chores_total", Help: "Runs of each chore by result.",
		}, []string{"chore", "result"}),
		aborted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "mailbrook_visits_aborted_total", Help: "Visits found by this process that began and never ended, because " +
				"their process died.",
		}),
	}
	for _, code := range fault.Codes() {
		m.visits.WithLabelValues(string(code))
	}
	if reg != nil {
		reg.MustRegister(m.visits, m.seconds, m.messages, m.bytes, m.active, m.lag, m.down, m.free, m.slow, m.cut, m.chores,
			m.aborted)
	}
	return m
}

func (m metrics) visited(r fetch.Report, took time.Duration) {
	m.visits.WithLabelValues(outcomeLabel(r)).Inc()
	m.seconds.Observe(took.Seconds())
	m.messages.Add(float64(r.Messages))
	m.bytes.Add(float64(r.Bytes))
}

func outcomeLabel(r fetch.Report) string {
	switch {
	case errors.Is(r.Err, fetch.ErrFenced):
		return "fenced"
	case r.Err != nil:
		return string(fault.CodeOf(r.Err))
	case r.More:
		return "more"
	case r.Partial != nil:
		return "partial"
	}
	return "ok"
}
