package directory_test

import (
	"log/slog"
	"runtime"

	"golang.org/x/sys/unix"

	"alforja/store/directory"
)

// asUser runs f as a user who is in one group. The thread, which alone is
// changed, is not used again.
func asUser(uid, gid uintptr, f func()) {
	runtime.LockOSThread() // and never unlocked: the runtime ends the thread
	for _, call := range [][4]uintptr{
		{unix.SYS_SETGROUPS, 0, 0, 0}, {unix.SYS_SETRESGID, gid, gid, gid}, {unix.SYS_SETRESUID, uid, uid, uid},
	} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			panic("this test needs to be root: " + errno.Error())
		}
	}
	f()
}

// openAs opens and closes a store as a user, and returns the error of that.
func openAs(id uintptr, path string, opts directory.Options) error {
	opts.Logger = slog.New(slog.DiscardHandler)
	done := make(chan error)
	go asUser(id, id, func() {
		s, err := directory.Open(path, opts)
		if err == nil {
			err = s.Close()
		}
		done <- err
	})
	return <-done
}
