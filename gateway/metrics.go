package gateway

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"alforja/pickle"
	"alforja/store"
)

// metrics are the figures that Prometheus reads from the admin address. Times
// are in seconds.
type metrics struct {
	registry    *prometheus.Registry
	own         []prometheus.Collector // all but Go's and the process's
	requests    *prometheus.CounterVec
	failures    *prometheus.CounterVec
	duration    prometheus.Histogram
	queueWait   prometheus.Histogram
	lockWait    prometheus.Histogram
	sessions    *prometheus.CounterVec
	storeTime   *prometheus.HistogramVec
	storeErrors *prometheus.CounterVec
	refused     *prometheus.CounterVec
	reloads     *prometheus.CounterVec
}

func newMetrics(g *Gateway) *metrics {
	// From 50 us, what a page without a session takes, to 26 s.
	buckets := prometheus.ExponentialBuckets(50e-6, 2, 20)
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "alforja_requests_total", Help: "Requests answered, by status code.",
		}, []string{"code"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "alforja_requests_failed_total", Help: "Requests that the gateway answered with an error in the application's place, by reason.",
		}, []string{"reason"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "alforja_request_duration_seconds", Help: "From a request's header to its response's end.", Buckets: buckets,
		}),
		queueWait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "alforja_queue_wait_seconds", Help: "How long requests waited for a worker, with or without getting one.", Buckets: buckets,
		}),
		lockWait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "alforja_lock_wait_seconds", Help: "How long requests that lock their session waited for the lock, with or without getting it.", Buckets: buckets,
		}),
		sessions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "alforja_session_commits_total", Help: "What requests made of their sessions.",
		}, []string{"action"}),
		storeTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "alforja_store_duration_seconds", Help: "Time that the session store took.", Buckets: buckets,
		}, []string{"operation"}),
		storeErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "alforja_store_errors_total", Help: "Operations in which the session store failed.",
		}, []string{"operation"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "alforja_sessions_refused_total", Help: "Sessions that could not be used and were set aside, by reason.",
		}, []string{"reason"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "alforja_reloads_total", Help: "Reloads of the configuration, by result: done, or refused.",
		}, []string{"result"}),
	}
	m.own = []prometheus.Collector{
		m.requests, m.failures, m.duration, m.queueWait, m.lockWait, m.sessions, m.storeTime, m.storeErrors, m.refused, m.reloads,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "alforja_spool_bytes", Help: "What bodies take of the temporary directory.",
		}, func() float64 { return float64(g.spool.used.Load()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "alforja_spool_refused_total", Help: "Bodies for which max_spool left no room: requests answered 503, responses that held their worker.",
		}, func() float64 { return float64(g.spool.refused.Load()) }),
		poolCollector{g},
	}
	m.registry.MustRegister(m.own...)
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, reason := range []string{refusedMalformed, refusedLimit, refusedPolicy, refusedSize} {
		m.refused.WithLabelValues(reason) // there from the start, as 0
	}
	for _, reason := range failures {
		m.failures.WithLabelValues(string(reason))
	}
	for _, result := range []string{reloadDone, reloadRefused} {
		m.reloads.WithLabelValues(result)
	}
	return m
}

const (
	reloadDone    = "done"
	reloadRefused = "refused"
)

func (m *metrics) reloaded(err error) {
	result := reloadDone
	if err != nil {
		result = reloadRefused
	}
	m.reloads.WithLabelValues(result).Inc()
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// log counts a request, and has the next log write its line.
func (m *metrics) log(next RequestLog) RequestLog {
	return func(ctx context.Context, a *Access) {
		m.requests.WithLabelValues(strconv.Itoa(a.Status)).Inc()
		m.duration.Observe(a.Duration.Seconds())
		if a.record.failure != "" {
			m.failures.WithLabelValues(string(a.record.failure)).Inc()
		}
		if a.record.queueWait > 0 { // it took a moment, or there was no need of a worker
			m.queueWait.Observe(a.record.queueWait.Seconds())
		}
		if a.record.lockWait > 0 {
			m.lockWait.Observe(a.record.lockWait.Seconds())
		}
		if a.record.action != "" {
			m.sessions.WithLabelValues(string(a.record.action)).Inc()
		}
		next(ctx, a)
	}
}

// A failure is a reason of alforja_requests_failed_total.
type failure string

const (
	queueFull      failure = "queue_full"
	queueWait      failure = "queue_wait"
	noWorker       failure = "no_worker"
	workerTimeout  failure = "worker_timeout"
	workerBrokeOff failure = "worker_broke_off"
	sessionBusy    failure = "session_busy"
	sessionStore   failure = "session_store"
	diskFailed     failure = "disk"
)

var failures = []failure{queueFull, queueWait, noWorker, workerTimeout, workerBrokeOff, sessionBusy, sessionStore, diskFailed}

// The reasons of alforja_sessions_refused_total.
const (
	refusedMalformed = "malformed"
	refusedLimit     = "limit"
	refusedPolicy    = "policy"
	refusedSize      = "size"
)

// refusedReason sorts an error of Sessions.verify or Store.Load.
func refusedReason(err error) string {
	var limit *pickle.LimitError
	var policy *pickle.RefusedError
	switch {
	case errors.Is(err, store.ErrTooLarge):
		return refusedSize
	case errors.As(err, &limit):
		return refusedLimit
	case errors.As(err, &policy):
		return refusedPolicy
	}
	return refusedMalformed
}

// poolCollector reads the pools when Prometheus asks.
type poolCollector struct{ gateway *Gateway }

var (
	workersDesc = prometheus.NewDesc("alforja_workers", "Workers, by state.", []string{"pool", "state"}, nil)
	waitingDesc = prometheus.NewDesc("alforja_queue_length", "Requests that wait for a worker.", []string{"pool"}, nil)
	startsDesc  = prometheus.NewDesc("alforja_worker_starts_total", "Processes of workers that were started: many, where they crash.", []string{"pool"}, nil)
	memoryDesc  = prometheus.NewDesc("alforja_worker_resident_bytes", "Memory of a supervised worker, with what it has forked.", []string{"pool", "worker"}, nil)
	backendDesc = prometheus.NewDesc("alforja_backend_up", "1 for a backend that a check has found up, 0 for others.", []string{"pool", "backend"}, nil)
)

func (c poolCollector) Describe(to chan<- *prometheus.Desc) {
	to <- workersDesc
	to <- waitingDesc
	to <- startsDesc
	to <- memoryDesc
	to <- backendDesc
}

func (c poolCollector) Collect(to chan<- prometheus.Metric) {
	groups := processesByGroup()
	for _, p := range c.gateway.pools {
		count := map[WorkerState]int{Starting: 0, Idle: 0, Busy: 0, Draining: 0, Dead: 0}
		workers, waiting := p.status(groups)
		for _, w := range workers {
			count[w.State]++
			if w.PID != 0 {
				to <- prometheus.MustNewConstMetric(memoryDesc, prometheus.GaugeValue, float64(w.Resident), p.config.label(), w.Name)
			}
			if p.backends != nil && w.State != Draining { // its successor may have the same name
				up := 0.0
				if w.State == Idle || w.State == Busy {
					up = 1
				}
				to <- prometheus.MustNewConstMetric(backendDesc, prometheus.GaugeValue, up, p.config.label(), w.Name)
			}
		}
		for state, n := range count {
			to <- prometheus.MustNewConstMetric(workersDesc, prometheus.GaugeValue, float64(n), p.config.label(), string(state))
		}
		if p.supervisor != nil {
			to <- prometheus.MustNewConstMetric(startsDesc, prometheus.CounterValue, float64(p.pool.processesStarted()), p.config.label())
		}
		to <- prometheus.MustNewConstMetric(waitingDesc, prometheus.GaugeValue, float64(waiting), p.config.label())
	}
}

// timedStore measures a store's operations on single sessions.
type timedStore struct {
	store.Store
	metrics *metrics
}

// observe is deferred by an operation with the address of its error.
func (s timedStore) observe(operation string, start time.Time, err *error) {
	s.metrics.storeTime.WithLabelValues(operation).Observe(time.Since(start).Seconds())
	if *err != nil && !errors.Is(*err, context.Canceled) && !errors.Is(*err, store.ErrExists) {
		s.metrics.storeErrors.WithLabelValues(operation).Inc()
	}
}

func (s timedStore) Load(ctx context.Context, id string) (state []byte, found bool, err error) {
	defer s.observe("load", time.Now(), &err)
	return s.Store.Load(ctx, id)
}

func (s timedStore) Create(ctx context.Context, id string, state []byte) (err error) {
	defer s.observe("create", time.Now(), &err)
	return s.Store.Create(ctx, id, state)
}

func (s timedStore) Update(ctx context.Context, id string, state []byte) (found bool, err error) {
	defer s.observe("update", time.Now(), &err)
	return s.Store.Update(ctx, id, state)
}

func (s timedStore) Touch(ctx context.Context, id string) (found bool, err error) {
	defer s.observe("touch", time.Now(), &err)
	return s.Store.Touch(ctx, id)
}

func (s timedStore) Delete(ctx context.Context, id string) (found bool, err error) {
	defer s.observe("delete", time.Now(), &err)
	return s.Store.Delete(ctx, id)
}
