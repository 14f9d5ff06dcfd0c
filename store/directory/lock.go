package directory

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"alforja/store"
)

// Lock implements store.Store: a mutex in this process, and for other
// processes two bytes of the lock file, at an offset that the id's SHA-256
// gives. The kernel frees them when a process dies. session3 does not know
// this lock.
//
// The first byte is a turnstile: whoever waits for the second one stands in
// it. Without it, a busy gateway that hands the session from one of its own
// requests to the next would leave no gap that a polling gateway could meet.
// A gateway that has not had the session lately passes by the turnstile and
// tries the second byte at once, which saves two system calls. That keeps
// nobody out: a gateway that stands in the turnstile looks for the second byte
// several times in the time that "lately" means, so it can be overtaken only by one that came
// upon a free lock between two of these looks, and not by the same one twice in a row.
func (s *Store) Lock(ctx context.Context, id string) (unlock func(), err error) {
	if !store.ValidID(id) {
		return nil, store.ErrInvalidID
	}
	leave, err := s.locks.Lock(ctx, id)
	if err != nil {
		return nil, fail("lock", s.path, id, err)
	}
	var held *dirs
	offset := lockOffset(id)
	err = s.with("lock", id, func(d *dirs) error {
		if err := d.lockRange(ctx, offset); err != nil {
			return err
		}
		held = s.retain(d)
		return nil
	})
	if err != nil {
		leave()
		return nil, err
	}
	return func() {
		held.unlockRange(offset)
		s.release(held)
		leave()
	}, nil
}

func (s *Store) retain(d *dirs) *dirs {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.refs++
	return d
}

func (d *dirs) lockRange(ctx context.Context, offset int64) error {
	var st unix.Stat_t
	if err := fstat(d.lock, &st); err != nil {
		return err
	}
	if st.Nlink == 0 {
		return errGone // another gateway may have made a new lock file
	}
	if !d.released.lately(offset) {
		if ok, err := d.ranges.try(offset + 1); ok || err != nil {
			return err
		}
	}
	if err := d.ranges.lock(ctx, offset, &backoff{limit: math.MaxInt64, longest: longestLook}); err != nil {
		return err
	}
	defer d.ranges.unlock(offset)
	return d.ranges.lock(ctx, offset+1, &backoff{limit: math.MaxInt64, longest: longestLook})
}

func (d *dirs) unlockRange(offset int64) {
	d.released.note(offset) // before the next of this process can ask
	d.ranges.unlock(offset + 1)
}

const (
	// longestLook is the time between two looks of a gateway that waits for a byte.
	longestLook = 2 * time.Millisecond

	// latelySpan is how long after it had a session a gateway leaves it to those
	// who wait: long enough for several looks, on a busy machine too.
	latelySpan = 5 * longestLook
)

// releases remembers when this process last gave up a session. Sessions whose
// offsets share a place count as one, which sends some to the turnstile for nothing.
type releases struct {
	start time.Time
	times [4096]atomic.Int64 // nanoseconds from start; 0 is never
}

func (r *releases) note(offset int64) {
	r.place(offset).Store(int64(time.Since(r.start)))
}

func (r *releases) lately(offset int64) bool {
	last := r.place(offset).Load()
	return last != 0 && int64(time.Since(r.start))-last < int64(latelySpan)
}

func (r *releases) place(offset int64) *atomic.Int64 {
	return &r.times[offset/2%int64(len(r.times))] // offsets are even
}

// The bytes of the lock file. A session has two, at lockOffset and behind it.
const (
	maxOffset    = 1<<62 - 2     // the largest that lockOffset returns
	tryOutOffset = maxOffset + 2 // shows that locks work
	asideOffset  = maxOffset + 3 // of who adds to corrupt/
)

func lockOffset(id string) int64 {
	sum := sha256.Sum256([]byte(id))
	return int64(binary.BigEndian.Uint64(sum[:])>>3) << 1
}

// rangeLocks are the locks that one open lock file has, each on one byte.
// They belong to the open file and not to who asked (fcntl's F_OFD_SETLK), so for two
// sessions of one process that meet at one offset they are counted: such two
// do not wait for each other, and neither frees what the other holds.
type rangeLocks struct {
	fd   int
	mu   sync.Mutex
	held map[int64]int
}

func (r *rangeLocks) lock(ctx context.Context, offset int64, wait *backoff) error {
	for {
		if ok, err := r.try(offset); ok || err != nil {
			return err
		}
		if err := wait.sleep(ctx); err != nil {
			return err
		}
	}
}

func (r *rangeLocks) try(offset int64) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[offset] == 0 {
		err := r.set(offset, unix.F_WRLCK)
		if err == unix.EAGAIN || err == unix.EACCES {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	if r.held == nil {
		r.held = make(map[int64]int)
	}
	r.held[offset]++
	return true, nil
}

// heldByOthers reports whether somebody has a lock on any of n bytes by another open lock file.
func (r *rangeLocks) heldByOthers(offset, n int64) (bool, error) {
	lock := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: offset, Len: n}
	err := retry(func() error { return unix.FcntlFlock(uintptr(r.fd), unix.F_OFD_GETLK, &lock) })
	return lock.Type != unix.F_UNLCK, err
}

func (r *rangeLocks) unlock(offset int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held[offset]--; r.held[offset] == 0 {
		delete(r.held, offset)
		r.set(offset, unix.F_UNLCK) // cannot fail on a range of its own
	}
}

func (r *rangeLocks) set(offset int64, kind int16) error {
	return retry(func() error {
		return unix.FcntlFlock(uintptr(r.fd), unix.F_OFD_SETLK,
			&unix.Flock_t{Type: kind, Whence: io.SeekStart, Start: offset, Len: 1})
	})
}
