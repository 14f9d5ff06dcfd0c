package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// fill makes n sessions with the ids that sessionName gives, the plain way and
// two hours old, as fast as the file system takes them.
func (d *driver) fill(n, state64 string) (string, error) {
	count, err := strconv.Atoi(n)
	if err != nil {
		return "", err
	}
	state, err := base64.StdEncoding.DecodeString(state64)
	if err != nil {
		return "", err
	}
	past := time.Now().Add(-2 * time.Hour)
	for i := range count {
		path := filepath.Join(d.path, sessionName(i))
		if err := os.WriteFile(path, state, 0o600); err != nil {
			return "", err
		}
		if err := os.Chtimes(path, past, past); err != nil {
			return "", err
		}
	}
	return "ok", nil
}

// sessionName is the id of session i, as long as those that Quixote makes.
func sessionName(i int) string { return fmt.Sprintf("session%015x", uint64(i)*0x9e3779b97f4a7c15>>4) }

// timed repeats an operation for a time, on the sessions 0 to sessions-1 that
// must be there, and says how often it was done, how long that took, and how
// much processor time. With "OP*WRITERS" as many goroutines do it, each on sessions
// of its own.
func (d *driver) timed(ctx context.Context, op, sessions, duration, state64 string) (string, error) {
	writers := 1
	if at := len(op) - 2; at > 0 && op[at] == '*' {
		writers, op = int(op[at+1]-'0'), op[:at]
	}
	n, err := strconv.Atoi(sessions)
	if err != nil || n < writers {
		return "", fmt.Errorf("%s sessions for %d writers", sessions, writers)
	}
	length, err := time.ParseDuration(duration)
	if err != nil {
		return "", err
	}
	state, err := base64.StdEncoding.DecodeString(state64)
	if err != nil {
		return "", err
	}
	work, err := d.operation(op, state)
	if err != nil {
		return "", err
	}
	var (
		done  atomic.Int64
		group sync.WaitGroup
		errs  = make(chan error, writers)
	)
	used := processorTime()
	start := time.Now()
	for writer := range writers {
		group.Go(func() {
			count := int64(0)
			defer func() { done.Add(count) }()
			for i := writer; ; i += writers {
				// Coprime to n or not, a stride as long as this meets sessions far apart.
				if err := work(ctx, i*100_003%(n/writers)*writers+writer); err != nil {
					errs <- err
					return
				}
				if count++; count%16 == 0 && time.Since(start) >= length {
					return
				}
			}
		})
	}
	group.Wait()
	took := time.Since(start)
	used = processorTime() - used
	select {
	case err := <-errs:
		return "", err
	default:
		return fmt.Sprint(done.Load(), took.Nanoseconds(), used.Nanoseconds()), nil
	}
}

// processorTime is what this process has used, the kernel's work for it included.
func processorTime() time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
		panic(err) // only a bad argument can fail
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// operation is what timed repeats: one of the store's, or the least that the
// kernel must do for it, under the name with "bare-" before it.
func (d *driver) operation(op string, state []byte) (func(ctx context.Context, i int) error, error) {
	load := func(ctx context.Context, i int) error {
		_, found, err := d.store.Load(ctx, sessionName(i))
		return expect(found, err)
	}
	save := func(ctx context.Context, i int) error {
		found, err := d.store.Update(ctx, sessionName(i), state)
		return expect(found, err)
	}
	bare := func(flags int, read, write bool) func(context.Context, int) error {
		return func(_ context.Context, i int) error {
			return bareAccess(d.path+"/"+sessionName(i), flags, read, write, state)
		}
	}
	switch op {
	case "load":
		return load, nil
	case "save":
		return save, nil
	case "load+save":
		return func(ctx context.Context, i int) error {
			if err := load(ctx, i); err != nil {
				return err
			}
			return save(ctx, i)
		}, nil
	case "bare-load":
		return bare(unix.O_RDONLY, true, false), nil
	case "bare-save":
		return bare(unix.O_WRONLY, false, true), nil
	case "bare-load+save":
		return bare(unix.O_RDWR, true, true), nil
	}
	return nil, fmt.Errorf("no such operation: %s", op)
}

func expect(found bool, err error) error {
	if err == nil && !found {
		return os.ErrNotExist
	}
	return err
}

// bareAccess opens a file, reads it, writes state over it and closes it,
// without locks or checks.
func bareAccess(path string, flags int, read, write bool, state []byte) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if read {
		// A fresh buffer each time: the caller of Load owns what it gets.
		if n, err := unix.Read(fd, make([]byte, len(state))); err != nil || n < len(state) {
			return fmt.Errorf("read %d of %d bytes: %w", n, len(state), err)
		}
	}
	if write {
		if _, err := unix.Pwrite(fd, state, 0); err != nil {
			return err
		}
	}
	return nil
}
