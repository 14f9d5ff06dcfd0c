package gateway

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHeritableSocketsStayNonBlocking: what another process is given leaves the
// listener as it was; in blocking mode no deadline would end its Accept.
func TestHeritableSocketsStayNonBlocking(t *testing.T) {
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(t.TempDir(), "socket")} {
		listener, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		file, err := heritable(listener, network)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		cmd := exec.Command("true")
		cmd.ExtraFiles = []*os.File{file}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
		raw, err := listener.(syscall.Conn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		flags := 0
		if controlErr := raw.Control(func(fd uintptr) { flags, err = unix.FcntlInt(fd, unix.F_GETFL, 0) }); controlErr != nil || err != nil {
			t.Fatal(controlErr, err)
		}
		if flags&unix.O_NONBLOCK == 0 {
			t.Errorf("%s: the listener is in blocking mode", network)
		}
	}
}
