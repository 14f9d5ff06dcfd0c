package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// ParseAddress splits the form in which addresses are configured, host:port or
// unix:PATH, into a network and an address for package net.
func ParseAddress(text string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" {
			return "", "", fmt.Errorf("address %q names no path; write unix:/run/app.sock", text)
		}
		return "unix", path, nil
	}
	if _, _, err := net.SplitHostPort(text); err != nil {
		return "", "", fmt.Errorf("address %q is neither host:port nor unix:PATH", text)
	}
	return "tcp", text, nil
}

// listen opens a listener at an address as ParseAddress reads it. A Unix
// socket that a dead process left behind is replaced; one that answers is not.
func listen(ctx context.Context, text string) (net.Listener, error) {
	network, address, err := ParseAddress(text)
	if err != nil {
		return nil, err
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, network, address)
	if err == nil || network != "unix" || !staleSocket(ctx, address) {
		return l, err
	}
	if err := os.Remove(address); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return config.Listen(ctx, network, address)
}

// staleSocket reports whether path is a socket at which nobody listens.
func staleSocket(ctx context.Context, path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != os.ModeSocket {
		return false
	}
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "unix", path)
	if err == nil {
		conn.Close()
		return false
	}
	return errors.Is(err, syscall.ECONNREFUSED)
}
