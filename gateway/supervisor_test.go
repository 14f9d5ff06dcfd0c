package gateway

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"
)

// A supervisor that does not answer holds up nobody who looks at the gateway.
func TestStatusOfBusySupervisor(t *testing.T) {
	s := &Supervisor{events: make(chan func()), done: make(chan struct{})}
	told := make(chan struct{})
	go func() {
		s.addProcesses([]WorkerStatus{{Name: "1"}})
		close(told)
	}()
	select {
	case <-told:
	case <-time.After(10 * statusPatience):
		t.Error("nothing is told")
	}
}

// supervise runs a command that is not Python.
func supervise(t *testing.T, workers int, command ...string) (*Supervisor, *Pool, <-chan error) {
	pool := NewPool(nil, PoolOptions{})
	s, err := NewSupervisor(SupervisorOptions{Command: command, Workers: workers, SocketDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)}, pool)
	if err != nil {
		t.Fatal(err)
	}
	ran := make(chan error, 1)
	go func() { ran <- s.Run() }()
	return s, pool, ran
}

// TestReloadOfStoppingSupervisor: no worker is started beside those that are waited for.
func TestReloadOfStoppingSupervisor(t *testing.T) {
	for range 20 {
		s, _, ran := supervise(t, 2, "/bin/sleep", "600")
		s.Stop()
		if _, err := s.prepareReload(t.Context(), s.fixed); !errors.Is(err, errStopping) {
			t.Errorf("prepareReload: %v", err)
		}
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}
}

// TestFailedStartLeavesNobodyWaiting: when no worker starts, requests that wait for one are told.
func TestFailedStartLeavesNobodyWaiting(t *testing.T) {
	_, pool, ran := supervise(t, 1, "/bin/sh", "-c", "sleep 0.3; exit 1")
	first, err := pool.acquire(t.Context()) // waits in the socket of the worker that is starting
	if err != nil {
		t.Fatal(err)
	}
	defer first.release()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := pool.acquire(ctx); !errors.Is(err, ErrNoWorker) {
		t.Errorf("waiting: %v", err)
	}
	if _, err := pool.acquire(ctx); !errors.Is(err, ErrNoWorker) {
		t.Errorf("afterwards: %v", err)
	}
	if err := <-ran; err == nil {
		t.Error("the start did not fail")
	}
}
