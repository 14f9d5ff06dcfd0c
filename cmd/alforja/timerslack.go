package main

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// timerSlack is how much later than it asked for the kernel may wake a thread.
// Go's monitor thread wants to be woken every 20 microseconds while there are
// requests, and with the kernel's 50 that took a seventh of the gateway's
// processor time. No timeout of ours is as short as this.
const timerSlack = 300 * time.Microsecond

// relaxTimers sets timerSlack for all threads. A thread has it from the one
// that started it (prctl(2), PR_SET_TIMERSLACK), and Go's monitor is long
// started: so the program is started anew, once, in its own place. Where that
// is not possible, all goes on as it was.
func relaxTimers() {
	runtime.LockOSThread() // which is the only one after exec
	defer runtime.UnlockOSThread()
	if slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err != nil || slack >= int(timerSlack) {
		return
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0); err != nil {
		return
	}
	// A real-time process has none, whatever it asks for.
	if slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0); err != nil || slack != int(timerSlack) {
		return
	}
	if path, err := os.Executable(); err == nil {
		_ = syscall.Exec(path, os.Args, os.Environ())
	}
}
