package gateway

import (
	"os/exec"
	"strconv"
	"syscall"
	"testing"
)

// A slot that has left gets no worker, and the next one gets its own.
func TestForkedForWhoAsked(t *testing.T) {
	q := &preloading{ended: map[int]chan syscall.WaitStatus{}}
	var requests []*forkRequest
	for range 4 {
		requests = append(requests, &forkRequest{answer: make(chan forked, 1)})
	}
	q.asked = append(q.asked, requests...)

	unwanted := process(t)
	q.abandon(requests[0])
	q.note([]string{"started", strconv.Itoa(unwanted.Process.Pid)})
	q.note([]string{"failed", "no", "memory"})
	wanted := process(t)
	q.note([]string{"started", strconv.Itoa(wanted.Process.Pid)})
	late := process(t)
	q.note([]string{"started", strconv.Itoa(late.Process.Pid)})
	q.abandon(requests[3]) // in the moment of its answer

	for _, cmd := range []*exec.Cmd{unwanted, late} {
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Errorf("a worker that nobody waits for has ended with %v, want SIGKILL", err)
		}
	}
	if worker := <-requests[1].answer; worker.err == nil || worker.err.Error() != "fork: no memory" {
		t.Errorf("the second request got %+v", worker)
	}
	if worker := <-requests[2].answer; worker.pid != wanted.Process.Pid {
		t.Errorf("the third request got process %d, want %d", worker.pid, wanted.Process.Pid)
	}
}

// process starts one that leads a group and ends by itself only after a while.
func process(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "10")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}
