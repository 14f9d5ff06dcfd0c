package directory_test

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// asUser runs f with the rights that uid has on files. The thread is not used
// again.
func asUser(uid int, f func()) {
	runtime.LockOSThread() // and never unlocked: the runtime ends the thread
	if err := unix.Setfsuid(uid); err != nil {
		panic(err)
	}
	f()
}
