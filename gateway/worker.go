package gateway

import (
	"sync/atomic"

	"alforja/gateway/scgi"
)

// A Worker is one place where requests are answered: a process that the
// gateway supervises, or an address where others run one.
type Worker struct {
	// Name stands in logs: "1", or the address.
	Name string
	// Transport reaches the worker. Required.
	Transport *scgi.Transport
	// Concurrency is how many requests it gets at a time. Default: 1, which
	// is what a Quixote process serves; a stock scgi_server forks children
	// of its own and takes more.
	Concurrency int

	// answered is set when a request was answered; the supervisor resets it
	// with each new process.
	answered atomic.Bool
	// kill ends the process behind it, so that a new one is started. Nil for
	// a worker that is not ours.
	kill func()
	// backlog reports whether connections wait that its process has not
	// accepted. Set where kill is.
	backlog func() bool
}

// A WorkerState is what a worker is at, in logs, metrics and answers to the
// operator alike.
type WorkerState string

const (
	Starting WorkerState = "starting" // its process runs and has not said that it is ready
	Idle     WorkerState = "idle"     // ready for a request
	Busy     WorkerState = "busy"     // at a request, or at several
	Draining WorkerState = "draining" // finishes what it has and gets no more
	Dead     WorkerState = "dead"     // no process runs, or the backend cannot be reached
)

// WorkerStatus is what a Pool knows of a worker.
type WorkerStatus struct {
	Name     string      `json:"name"`
	State    WorkerState `json:"state"`
	Busy     int         `json:"busy"`               // requests that it is at
	Requests uint64      `json:"requests"`           // that it was given, all its processes together
	PID      int         `json:"pid,omitempty"`      // of its process, where it is supervised
	Resident int64       `json:"resident,omitempty"` // memory of that and what it has forked, in bytes
	Private  int64       `json:"private,omitempty"`  // as much of it as no other process shares
	Reason   string      `json:"reason,omitempty"`   // why it is dead, of a backend
}
