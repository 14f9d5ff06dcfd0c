package directory

import (
	"crypto/sha256"
	"encoding/hex"

	"golang.org/x/sys/unix"
)

// A shard is one of the directories aa/bb of the fanned-out layout, numbered by
// the two bytes that aa and bb stand for; flat is the session directory itself.
type shard int

const (
	flat     shard = -1
	branches       = 1 << 8 // how many aa there can be, and bb in each
	shards         = branches * branches
)

func shardOf(id string) shard {
	sum := sha256.Sum256([]byte(id))
	return shard(sum[0])*branches + shard(sum[1])
}

// names returns the aa and bb of a shard.
func (n shard) names() [2]string {
	return [2]string{hexadecimal(int(n) / branches), hexadecimal(int(n) % branches)}
}

func hexadecimal(b int) string { return hex.EncodeToString([]byte{byte(b)}) }

// A layout says in which shard a session's file may be.
type layout struct {
	fanOut bool // new sessions are fanned out
	mixed  bool // there may be sessions in the other layout
}

// home is where a session belongs.
func (l layout) home(id string) shard {
	if l.fanOut {
		return shardOf(id)
	}
	return flat
}

// away is where a session is in the other layout.
func (l layout) away(id string) shard { return layout{fanOut: !l.fanOut}.home(id) }

// places are those to look for a session in, in this order. One that is away
// may come home between two looks; none goes the other way.
func (l layout) places(id string) []shard {
	home := l.home(id)
	if !l.mixed {
		return []shard{home}
	}
	return []shard{home, l.away(id), home}
}

// fanOutMark is the name, in the state directory, of an empty file that says
// that there may be fanned-out sessions. Without it a flat store need not look
// for them.
const fanOutMark = "fanout"

// openLayout finds out the layout. top is the state directory.
func openLayout(top int, fanOut bool) (layout, error) {
	if fanOut {
		fd, err := openat(top, fanOutMark, unix.O_WRONLY|unix.O_CREAT|unix.O_NOFOLLOW, 0o600)
		if err == nil || err == unix.EACCES { // EACCES: another user's gateway has made it
			unix.Close(fd)
			err = nil
		}
		return layout{fanOut: true, mixed: true}, err
	}
	var st unix.Stat_t
	err := fstatat(top, fanOutMark, &st)
	if err == unix.ENOENT {
		return layout{}, nil
	}
	return layout{mixed: true}, err
}

// openShard opens the directory of a shard, for closeShard. It goes there one
// name at a time, so that no symbolic link is followed.
func (d *dirs) openShard(n shard) (fd int, err error) {
	if n == flat {
		return d.sessions, nil
	}
	names := n.names()
	branch, err := openat(d.sessions, names[0], dirFlags, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(branch)
	return openat(branch, names[1], dirFlags, 0)
}

func (d *dirs) closeShard(fd int) {
	if fd != d.sessions {
		unix.Close(fd)
	}
}

// makeShard is openShard but for making what is missing.
func (s *Store) makeShard(d *dirs, n shard) (fd int, err error) {
	if fd, err = d.openShard(n); err != unix.ENOENT {
		return fd, err
	}
	fd = d.sessions
	for i, name := range n.names() {
		above := fd
		made, err := d.rights.makeDir(above, name)
		if err == nil && made {
			err = s.sync(above)
		}
		if err == nil {
			fd, err = openat(above, name, dirFlags, 0)
		}
		if i > 0 {
			unix.Close(above)
		}
		if err == unix.ENOENT {
			err = errGone
		}
		if err != nil {
			return -1, err
		}
	}
	return fd, nil
}
