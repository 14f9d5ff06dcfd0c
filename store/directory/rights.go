package directory

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"

	"golang.org/x/sys/unix"
)

var (
	// ErrOwner is wrapped by what Load, Update, Touch and SetAside return for
	// a session's file that belongs to somebody who is not expected here: not
	// to this process's user, the session directory's owner, Options.Owner
	// or, where Options.Mode shares with a group, that group. In a directory
	// that others can write to, they could plant a login.
	ErrOwner = errors.New("the session's file belongs to a foreign user")

	// ErrLinked is wrapped by what those methods return for a session's file
	// that has a second name: it may be a file of another purpose, linked
	// here, and session3 writes to both.
	ErrLinked = errors.New("the session's file has another name elsewhere")
)

// rights say whose what the store makes is, and whose files it takes for
// sessions.
type rights struct {
	mode     uint32 // of files
	dirMode  uint32
	uid, gid int    // of what is made; -1 leaves what the kernel gives
	users    [3]int // whose files are sessions; -1 is nobody
}

// rights looks up Options.Owner and Group. What the session directory itself
// says is added by on.
func (o Options) rights() (r rights, err error) {
	r = rights{mode: uint32(o.Mode), dirMode: 0o700, uid: -1, gid: -1}
	if r.shared() {
		r.dirMode = 0o2700 | r.mode&0o070 | 0o010
	}
	if o.Owner != "" {
		if r.uid, err = number(o.Owner, func(name string) (string, error) {
			u, err := user.Lookup(name)
			if err != nil {
				return "", err
			}
			return u.Uid, nil
		}); err != nil {
			return r, fmt.Errorf("owner %q: %w", o.Owner, err)
		}
	}
	if o.Group != "" {
		if r.gid, err = number(o.Group, func(name string) (string, error) {
			g, err := user.LookupGroup(name)
			if err != nil {
				return "", err
			}
			return g.Gid, nil
		}); err != nil {
			return r, fmt.Errorf("group %q: %w", o.Group, err)
		}
	}
	return r, nil
}

// number reads the number of a user or group, given as such or by its name.
func number(name string, lookup func(name string) (string, error)) (int, error) {
	if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		return int(n), nil
	}
	digits, err := lookup(name)
	if err != nil {
		return -1, err
	}
	return strconv.Atoi(digits)
}

// shared reports whether files are open to a group.
func (r *rights) shared() bool { return r.mode&0o060 != 0 }

// on completes r by what the session directory says.
func (r rights) on(dir *unix.Stat_t) rights {
	me := unix.Geteuid()
	if r.uid < 0 && me == 0 && dir.Uid != 0 {
		r.uid = int(dir.Uid)
	}
	if r.gid < 0 && r.shared() {
		r.gid = int(dir.Gid)
	}
	r.users = [3]int{me, int(dir.Uid), r.uid}
	return r
}

// admit returns nil for a file that may be a session's.
func (r *rights) admit(st *unix.Stat_t) error {
	uid := int(st.Uid)
	if uid != r.users[0] && uid != r.users[1] && uid != r.users[2] && !(r.shared() && int(st.Gid) == r.gid) {
		return fmt.Errorf("%w (%d)", ErrOwner, uid)
	}
	if st.Nlink > 1 {
		return ErrLinked
	}
	return nil
}

// give gives what fd is to whom it is meant for, with exactly the permissions
// mode. In this order, because a change of the owner may take bits away.
func (r *rights) give(fd int, mode uint32) error {
	if r.uid >= 0 || r.gid >= 0 {
		if err := retry(func() error { return unix.Fchown(fd, r.uid, r.gid) }); err != nil {
			return fmt.Errorf("%w: %w", errGive, err)
		}
	}
	return retry(func() error { return unix.Fchmod(fd, mode) })
}

var errGive = errors.New("cannot give files to the owner and group asked for")

// makeDir makes a directory with these rights unless something has its name
// already, and reports whether it did.
func (r *rights) makeDir(dir int, name string) (made bool, err error) {
	err = retry(func() error { return unix.Mkdirat(dir, name, 0o700) })
	if err == unix.EEXIST {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := unix.Fchmodat(dir, name, 0o700, 0); err != nil { // a umask may keep us out
		return true, err
	}
	fd, err := openat(dir, name, dirFlags, 0)
	if err != nil {
		return true, err
	}
	defer unix.Close(fd)
	return true, r.give(fd, r.dirMode)
}
