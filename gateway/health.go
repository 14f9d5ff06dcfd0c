package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"alforja/gateway/scgi"
)

// HealthCheck says how backends, which are workers that others run, are looked
// at. One that cannot be reached, or lets RequestTimeout pass, gets no request
// until a check finds it up: the first 100 ms later, the next after twice that
// each time, at most 5 s.
type HealthCheck struct {
	// Path is asked for by GET, as one of the Concurrency requests that the
	// backend gets at a time, and must be answered with a status below 400.
	// What the answer says of a session is ignored. Default: none; that the
	// backend listens is enough, which a stopped process still does.
	Path string
	// Interval is the time between two checks of a backend that is up.
	// Default: 5 s.
	Interval time.Duration
	// Timeout is how long a check may take, and how long a request may take to
	// connect. Default: 2 s.
	Timeout time.Duration
}

func (h *HealthCheck) setDefaults() {
	if h.Interval == 0 {
		h.Interval = 5 * time.Second
	}
	if h.Timeout == 0 {
		h.Timeout = 2 * time.Second
	}
}

func (h *HealthCheck) check(scriptName string) error {
	if h.Path == "" {
		return nil
	}
	script := strings.TrimSuffix(scriptName, "/")
	if rest, below := strings.CutPrefix(h.Path, script); !below || rest != "" && rest[0] != '/' {
		return &OptionsError{fmt.Sprintf("health path %q is not a path below %q", h.Path, script+"/")}
	}
	if _, err := http.NewRequest(http.MethodGet, h.Path, nil); err != nil {
		return &OptionsError{"health path: " + err.Error()}
	}
	return nil
}

// A checker looks at one backend, and is the only one who says that it is up.
type checker struct {
	HealthCheck
	pool      *Pool
	worker    *Worker
	due       <-chan struct{}          // a check is, before its time
	variables func() map[string]string // that a request without a session gets
}

// run checks until ctx ends.
func (c *checker) run(ctx context.Context) {
	tick := time.NewTicker(c.Interval)
	defer tick.Stop()
	for {
		c.checkOnce(ctx)
		select {
		case <-ctx.Done():
			return
		case <-c.due:
		case <-tick.C:
		}
	}
}

func (c *checker) checkOnce(ctx context.Context) {
	if c.Path != "" {
		// Not one request more than the worker takes. One that is at as many
		// will be judged by its answers to them.
		if !c.pool.borrow(c.worker) {
			return
		}
		defer c.pool.giveBack(c.worker)
	}
	checking, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	look := c.listens
	if c.Path != "" {
		look = c.answers
	}
	if err := look(checking); ctx.Err() == nil {
		c.pool.checked(c.worker, err)
	}
}

// answers reports what keeps the worker from answering Path.
func (c *checker) answers(ctx context.Context) error {
	ctx = scgi.NewContext(ctx, c.variables())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+checkerName+c.Path, nil)
	if err != nil {
		return err
	}
	req.RemoteAddr = "127.0.0.1:0"
	req.Header.Set("User-Agent", checkerName)
	resp, err := c.worker.Transport.RoundTrip(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode >= 400 {
		return fmt.Errorf("GET %s: %s", c.Path, resp.Status)
	}
	return nil
}

// checkerName is what checks call themselves in HTTP_HOST and HTTP_USER_AGENT.
const checkerName = "alforja-health-check"

// listens reports what keeps the worker from accepting connections. It makes
// none: a stock scgi_server hands it to one of its children, and that dies of a
// connection that ends without a request.
func (c *checker) listens(ctx context.Context) error {
	if c.worker.Transport.Network == "unix" {
		return listensUnix(c.worker.Transport.Address)
	}
	return listensTCP(ctx, c.worker.Transport.Address)
}

// listensTCP begins a connection and resets it in the place of the third
// packet of the handshake (RFC 9293 section 3.5), so that nothing is accepted:
// tcp(7), TCP_QUICKACK, has the kernel keep that packet back for a moment.
func listensTCP(ctx context.Context, address string) error {
	dialer := net.Dialer{Control: func(_, _ string, conn syscall.RawConn) error {
		return conn.Control(func(fd uintptr) {
			// A kernel that refuses this completes the connection.
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_QUICKACK, 0)
		})
	}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // Close resets
	}
	return conn.Close()
}

// listensUnix connects with the wrong type of socket: unix(7) has EPROTOTYPE
// for that when a process holds the right one, and ECONNREFUSED when none does.
func listensUnix(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	if err == nil || errors.Is(err, unix.EPROTOTYPE) {
		return nil
	}
	return &net.OpError{Op: "dial", Net: "unix", Addr: &net.UnixAddr{Name: path, Net: "unix"}, Err: os.NewSyscallError("connect", err)}
}
