package directory_test

import (
	"encoding/binary"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A rule has the kernel answer a system call with an error instead of doing it.
type rule struct {
	call  uint32
	fault unix.Errno
	when  []argument // all of which the call must have
}

type argument struct {
	index int
	value uint32 // of its lower half
}

// withFaults runs f under rules. The kernel applies them (seccomp) to the
// thread of f alone, which is not used again.
func withFaults(t *testing.T, f func(), rules ...rule) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the runtime ends the thread
		_, err := install(faults(rules), 0)
		if err == nil {
			f()
		}
		done <- err
	}()
	if err := <-done; err != nil {
		t.Fatalf("this test needs seccomp: %v", err)
	}
}

func faults(rules []rule) (program []unix.SockFilter) {
	for _, r := range rules {
		program = append(program, r.program(unix.SECCOMP_RET_ERRNO|uint32(r.fault))...)
	}
	return program
}

// beforeCall runs f, under rules if there are any, and meanwhile when f is about to make
// a system call for the nth time, from 1 on.
func beforeCall(t *testing.T, call uint32, nth int, meanwhile, f func(), rules ...rule) {
	t.Helper()
	type installed struct {
		listener int
		err      error
	}
	ready, done := make(chan installed), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		program := append(faults(rules), rule{call: call}.program(unix.SECCOMP_RET_USER_NOTIF)...)
		listener, err := install(program, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
		ready <- installed{listener, err}
		if err == nil {
			f()
		}
	}()
	got := <-ready
	if got.err != nil {
		t.Fatalf("this test needs seccomp: %v", got.err)
	}
	defer unix.Close(got.listener)
	ran := false
	for made := 0; ; {
		id, ok := awaitCall(got.listener, done)
		if !ok {
			if !ran {
				t.Errorf("the system call was made %d times", made)
			}
			return
		}
		if made+1 == nth && !ran {
			ran = true
			meanwhile()
		}
		answer := struct {
			id    uint64
			value int64
			errno int32
			flags uint32
		}{id: id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(got.listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&answer)))
		if errno == 0 { // else a signal has interrupted the call, which is made again
			made++
		}
	}
}

// awaitCall returns the kernel's number of the next call, or false when done.
func awaitCall(listener int, done <-chan struct{}) (id uint64, ok bool) {
	for {
		select {
		case <-done:
			return 0, false
		default:
		}
		ready := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if n, err := unix.Poll(ready, 20); n < 1 || err != nil || ready[0].Revents&unix.POLLIN == 0 {
			continue
		}
		var call [80]byte // struct seccomp_notif
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(&call)))
		if errno == 0 {
			return binary.NativeEndian.Uint64(call[:]), true
		}
	}
}

// install has a program decide over the system calls of this thread.
func install(program []unix.SockFilter, flags uintptr) (listener int, err error) {
	program = append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return -1, err
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&filter)))
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// program returns verdict for the calls that the rule is for, and goes on
// behind itself for others.
func (r rule) program(verdict uint32) (program []unix.SockFilter) {
	const arguments = 16 // where they are in struct seccomp_data, 8 bytes each; the call's number is at 0
	tests := append([]argument{{-2, r.call}}, r.when...)
	for i, test := range tests {
		over := uint8(2*(len(tests)-i-1) + 1)
		program = append(program,
			unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: uint32(arguments + 8*test.index)},
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: over, K: test.value})
	}
	return append(program, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: verdict})
}
