package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"strconv"
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
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", "", fmt.Errorf("address %q is neither host:port nor unix:PATH", text)
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return "", "", fmt.Errorf("address %q: %q is no port", text, port)
	}
	return "tcp", text, nil
}

// socketAccess is whose a Unix socket is, and who may write to it.
type socketAccess struct {
	mode     os.FileMode // 0 for what the umask leaves
	uid, gid int         // -1 for the process's own
}

// socketAccess finds out who the owner and the group are.
func (o *FrontOptions) socketAccess() (socketAccess, error) {
	access := socketAccess{mode: o.SocketMode, uid: -1, gid: -1}
	if o.SocketOwner != "" {
		id := o.SocketOwner
		if owner, err := user.Lookup(id); err == nil {
			id = owner.Uid
		}
		var err error
		if access.uid, err = strconv.Atoi(id); err != nil {
			return access, fmt.Errorf("socket owner %q is no user", o.SocketOwner)
		}
	}
	if o.SocketGroup != "" {
		id := o.SocketGroup
		if group, err := user.LookupGroup(id); err == nil {
			id = group.Gid
		}
		var err error
		if access.gid, err = strconv.Atoi(id); err != nil {
			return access, fmt.Errorf("socket group %q is no group", o.SocketGroup)
		}
	}
	return access, nil
}

// listen opens a listener at an address as ParseAddress reads it. A Unix
// socket that a dead process left behind is replaced; one that answers is not.
func listen(ctx context.Context, text string) (net.Listener, error) {
	return listenAs(ctx, text, socketAccess{uid: -1, gid: -1})
}

// listenAs is listen, with a say in who may use a Unix socket.
func listenAs(ctx context.Context, text string, access socketAccess) (net.Listener, error) {
	network, address, err := ParseAddress(text)
	if err != nil {
		return nil, err
	}
	var config net.ListenConfig
	changed := network == "unix" && access != socketAccess{uid: -1, gid: -1}
	if changed {
		config.Control = ownerOnly
	}
	l, err := config.Listen(ctx, network, address)
	if err != nil && network == "unix" && staleSocket(ctx, address) {
		if err := os.Remove(address); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		l, err = config.Listen(ctx, network, address)
	}
	if err != nil || !changed {
		return l, err
	}
	if err := access.apply(address); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// ownerOnly sets a socket's mode before it has a name: bind gives the file that
// mode, less the umask, so that nobody else connects before all is as it should be.
func ownerOnly(_, _ string, conn syscall.RawConn) error {
	var failed error
	err := conn.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), 0o600) })
	return errors.Join(err, failed)
}

// apply gives the socket at path to whom it is for.
func (a socketAccess) apply(path string) error {
	if err := os.Lchown(path, a.uid, a.gid); err != nil {
		return err
	}
	mode := a.mode
	if mode == 0 {
		mode = 0o600 // an owner was asked for, and nobody else
		if a.gid >= 0 {
			mode = 0o660
		}
	}
	return os.Chmod(path, mode)
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
