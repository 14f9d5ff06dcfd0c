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
	return hex.EncodeToString(b[:])
}

// idleConns are connections whose worker waits for another request.
type idleConns struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (c *idleConns) put(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns = append(c.conns, conn)
}

// take returns the connection that was used last, or nil when there is none.
// Those that the worker has closed, or has said something on unasked, go.
func (c *idleConns) take() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.conns) > 0 {
		last := len(c.conns) - 1
		conn := c.conns[last]
		c.conns[last] = nil
		c.conns = c.conns[:last]
		if silent(conn) {
			return conn
		}
		conn.Close()
	}
	return nil
}

// silent reports whether there is neither a byte nor an end to be read.
func silent(conn net.Conn) bool {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		quiet = err == syscall.EAGAIN
		return true
	})
	return err == nil && quiet
}
