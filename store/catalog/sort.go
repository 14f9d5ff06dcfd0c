package catalog

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

const (
	sortMemory  = 8 << 20  // bytes of lines that are sorted in memory
	mergeBytes  = 4 << 20  // of buffers for reading the runs back, all together
	bufferMost  = 64 << 10 // for one run
	bufferLeast = 4 << 10
)

// A Sorter sorts lines by their keys in bounded memory: runs of 8 MiB are
// sorted in memory, written to one temporary file without a name, and merged
// when they are read. Lines with equal keys come in any order.
type Sorter struct {
	Reverse bool   // greatest key first
	Dir     string // of the temporary file; default: os.TempDir

	memory int // sortMemory, but for tests
	lines  []sortLine
	bytes  int
	file   *os.File
	runs   []run
	end    int64
}

type sortLine struct{ key, text []byte }

type run struct{ start, end int64 }

// Add adds a line. Sorter keeps copies.
func (s *Sorter) Add(key, text []byte) error {
	both := make([]byte, 0, len(key)+len(text))
	both = append(append(both, key...), text...)
	s.lines = append(s.lines, sortLine{both[:len(key):len(key)], both[len(key):]})
	const overhead = 80 // of the two slices and the allocation
	s.bytes += len(both) + overhead
	limit := s.memory
	if limit == 0 {
		limit = sortMemory
	}
	if s.bytes >= limit {
		return s.spill()
	}
	return nil
}

func (s *Sorter) before(a, b []byte) bool {
	if s.Reverse {
		return bytes.Compare(a, b) > 0
	}
	return bytes.Compare(a, b) < 0
}

func (s *Sorter) sortLines() {
	slices.SortFunc(s.lines, func(a, b sortLine) int {
		if s.Reverse {
			a, b = b, a
		}
		return bytes.Compare(a.key, b.key)
	})
}

// spill writes what is in memory as one more run: for each line the lengths
// of key and text as varints, and both.
func (s *Sorter) spill() error {
	if s.file == nil {
		f, err := os.CreateTemp(s.Dir, "alforja-sort-")
		if err != nil {
			return fmt.Errorf("sorting: %w", err)
		}
		s.file = f
		if err := os.Remove(f.Name()); err != nil {
			return fmt.Errorf("sorting: %w", err)
		}
	}
	s.sortLines()
	w := bufio.NewWriterSize(s.file, bufferMost)
	start := s.end
	var head []byte
	for _, line := range s.lines {
		head = binary.AppendUvarint(head[:0], uint64(len(line.key)))
		head = binary.AppendUvarint(head, uint64(len(line.text)))
		for _, part := range [][]byte{head, line.key, line.text} {
			n, err := w.Write(part)
			s.end += int64(n)
			if err != nil {
				return fmt.Errorf("sorting: %w", err)
			}
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("sorting: %w", err)
	}
	s.runs = append(s.runs, run{start, s.end})
	clear(s.lines)
	s.lines, s.bytes = s.lines[:0], 0
	return nil
}

// Each calls f with the lines in order, until f returns an error. A line is
// f's only during the call.
func (s *Sorter) Each(f func(text []byte) error) error {
	if len(s.runs) == 0 {
		s.sortLines()
		for _, line := range s.lines {
			if err := f(line.text); err != nil {
				return err
			}
		}
		return nil
	}
	if err := s.spill(); err != nil {
		return err
	}
	s.lines = nil
	merge := runHeap{before: s.before}
	size := min(max(mergeBytes/len(s.runs), bufferLeast), bufferMost)
	for _, r := range s.runs {
		reader := &runReader{from: bufio.NewReaderSize(io.NewSectionReader(s.file, r.start, r.end-r.start), size)}
		if more, err := reader.next(); err != nil {
			return err
		} else if more {
			merge.readers = append(merge.readers, reader)
		}
	}
	heap.Init(&merge)
	for len(merge.readers) > 0 {
		first := merge.readers[0]
		if err := f(first.text); err != nil {
			return err
		}
		more, err := first.next()
		if err != nil {
			return err
		}
		if more {
			heap.Fix(&merge, 0)
		} else {
			heap.Pop(&merge)
		}
	}
	return nil
}

// Close gives the temporary file back.
func (s *Sorter) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// A runReader reads a run; key and text are those of its current line.
type runReader struct {
	from      *bufio.Reader
	key, text []byte
}

func (r *runReader) next() (more bool, err error) {
	keyLen, err := binary.ReadUvarint(r.from)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("sorting: %w", err)
	}
	textLen, err := binary.ReadUvarint(r.from)
	if err != nil {
		return false, fmt.Errorf("sorting: %w", err)
	}
	r.key = slices.Grow(r.key[:0], int(keyLen))[:keyLen]
	r.text = slices.Grow(r.text[:0], int(textLen))[:textLen]
	for _, part := range [][]byte{r.key, r.text} {
		if _, err := io.ReadFull(r.from, part); err != nil {
			return false, fmt.Errorf("sorting: %w", err)
		}
	}
	return true, nil
}

type runHeap struct {
	readers []*runReader
	before  func(a, b []byte) bool
}

func (h *runHeap) Len() int           { return len(h.readers) }
func (h *runHeap) Less(i, j int) bool { return h.before(h.readers[i].key, h.readers[j].key) }
func (h *runHeap) Swap(i, j int)      { h.readers[i], h.readers[j] = h.readers[j], h.readers[i] }
func (h *runHeap) Push(x any)         { h.readers = append(h.readers, x.(*runReader)) }
func (h *runHeap) Pop() any {
	last := h.readers[len(h.readers)-1]
	h.readers = h.readers[:len(h.readers)-1]
	return last
}

// SortKeys are the names that SortKey knows.
var SortKeys = []string{"id", "user", "class", "size", "modified", "created"}

// SortKey returns bytes that compare as the field of e does that by names,
// one of SortKeys, and as the id does where that is equal.
func SortKey(e *Entry, by string) []byte {
	var key []byte
	switch by {
	case "user":
		key = append([]byte(e.User), 0)
	case "class":
		key = append([]byte(e.Class), 0)
	case "size":
		key = binary.BigEndian.AppendUint64(key, uint64(e.Size))
	case "modified":
		key = appendTime(key, e.Modified)
	case "created":
		key = appendTime(key, e.Created)
	}
	return append(key, e.ID...)
}

func appendTime(key []byte, t time.Time) []byte {
	key = binary.BigEndian.AppendUint64(key, uint64(t.Unix())^1<<63) // negative ones first
	return binary.BigEndian.AppendUint32(key, uint32(t.Nanosecond()))
}
