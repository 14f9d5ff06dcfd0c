package gateway

import (
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
