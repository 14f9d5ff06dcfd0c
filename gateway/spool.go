package gateway

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A Spool keeps bodies that are too long for memory in unlinked files in the
// system's temporary directory, and bounds what all of them take there: many
// clients, each within the limit of one body, could fill the disk. A nil *Spool
// has no limit.
type Spool struct {
	limit   atomic.Int64
	used    atomic.Int64
	refused atomic.Int64 // how often there was no room
}

// NewSpool returns a spool for so many bytes.
func NewSpool(limit int64) *Spool {
	s := &Spool{}
	s.limit.Store(limit)
	return s
}

// errSpoolFull means that the files of others leave no room.
var errSpoolFull = errors.New("the temporary files of all requests have reached their limit")

// longest is how long a body can be that finds room when there is no other, of
// those that may have limit bytes.
func (s *Spool) longest(limit int64) int64 {
	if s == nil {
		return limit
	}
	return min(limit, max(s.limit.Load(), bodyInMemory))
}

// reserve takes n bytes of the limit.
func (s *Spool) reserve(n int64) error {
	if s == nil || s.used.Add(n) <= s.limit.Load() {
		return nil
	}
	s.used.Add(-n)
	s.refused.Add(1)
	return errSpoolFull
}

func (s *Spool) giveBack(n int64) {
	if s != nil {
		s.used.Add(-n)
	}
}

// A spoolFile is a file without a name, so that it is gone when the process is.
// Its room is reserved as it is written, and given back by Close.
type spoolFile struct {
	*os.File
	spool    *Spool
	size     int64
	reserved atomic.Int64
}

// create makes a file with room for length bytes, where the file system can
// promise it.
func (s *Spool) create(length int64) (*spoolFile, error) {
	if err := s.reserve(length); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp("", "alforja-body-")
	if err != nil {
		s.giveBack(length)
		return nil, err
	}
	f := &spoolFile{File: file, spool: s}
	f.reserved.Store(length)
	if err = os.Remove(file.Name()); err == nil && length > 0 {
		err = unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, length)
		if errors.Is(err, unix.EOPNOTSUPP) {
			err = nil
		} else if err != nil {
			err = &os.PathError{Op: "fallocate", Path: file.Name(), Err: err}
		}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// fill writes a body to the file and goes back to the file's beginning.
func (f *spoolFile) fill(from io.Reader) error {
	if _, err := io.Copy(struct{ io.Writer }{f}, from); err != nil {
		return err
	}
	_, err := f.Seek(0, io.SeekStart)
	return err
}

func (f *spoolFile) Write(p []byte) (int, error) {
	if more := f.size + int64(len(p)) - f.reserved.Load(); more > 0 {
		if err := f.spool.reserve(more); err != nil {
			return 0, err
		}
		f.reserved.Add(more)
	}
	n, err := f.File.Write(p)
	f.size += int64(n)
	return n, err
}

// Close may be called again.
func (f *spoolFile) Close() error {
	f.spool.giveBack(f.reserved.Swap(0))
	return f.File.Close()
}

// keep puts a body into a file.
func (s *Spool) keep(from io.Reader) (io.ReadCloser, int64, error) {
	file, err := s.create(0)
	if err != nil {
		return nil, 0, err
	}
	if err := file.fill(from); err != nil {
		file.Close()
		return nil, 0, fmt.Errorf("body not kept: %w", err)
	}
	return file, file.size, nil
}
