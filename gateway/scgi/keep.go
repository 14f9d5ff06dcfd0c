package scgi

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"sync"
	"syscall"
)

// A connection is kept when the response repeats the token of the request. An
// application that lets its users write response headers could otherwise be
// made to keep one with bytes left in it, which would begin the next response.
const (
	keepVariable = "ALFORJA_KEEP"
	keepHeader   = "Alforja-Keep"
)

func newKeepToken() string {
	var b [8]byte
	rand.Read(b[:])
	var token [2 * len(b)]byte
	hex.Encode(token[:], b[:])
	return string(token[:])
}

// A workerConn is a connection to a worker, with what tells whether the worker
// is silent on it.
type workerConn struct {
	net.Conn
	raw   syscall.RawConn // nil where there is none
	peek  func(fd uintptr) bool
	quiet bool // what peek has found
}

func newWorkerConn(conn net.Conn) *workerConn {
	c := &workerConn{Conn: conn}
	if sc, ok := conn.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	c.peek = func(fd uintptr) bool { // made once, not for each request
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		c.quiet = err == syscall.EAGAIN
		return true
	}
	return c
}

// silent reports whether there is neither a byte nor an end to be read.
func (c *workerConn) silent() bool {
	return c.raw != nil && c.raw.Read(c.peek) == nil && c.quiet
}

// idleConns are connections whose worker waits for another request.
type idleConns struct {
	mu    sync.Mutex
	conns []*workerConn
}

func (c *idleConns) put(conn *workerConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
}

// take returns the connection that was used last, or nil when there is none.
// Those that the worker has closed, or has said something on unasked, go.
func (c *idleConns) take() *workerConn {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.conns) > 0 {
		last := len(c.conns) - 1
		conn := c.conns[last]
		c.conns[last] = nil
		c.conns = c.conns[:last]
		if conn.silent() {
			return conn
		}
		conn.Close()
	}
	return nil
}
