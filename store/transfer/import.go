package transfer

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path"
	"time"

	"alforja/store"
	"alforja/store/dated"
)

// An Item is what a file of sessions has at one place.
type Item struct {
	Place  string // "line 3", or "entry 3"
	Record Record
	Err    error // why there is no Record
}

// maxLine is the longest JSON line, in bytes: a state in base64, and room for
// what else is said of it.
const maxLine = (store.MaxStateBytes/3+1)*4 + 1<<20

// Lines reads JSON Lines. Empty lines are skipped. An error of r ends it.
func Lines(r io.Reader) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		for n := 1; ; n++ {
			line, tooLong, err := readLine(in)
			if err != nil && err != io.EOF {
				yield(Item{}, fmt.Errorf("line %d: %w", n, err))
				return
			}
			item := Item{Place: fmt.Sprintf("line %d", n)}
			switch {
			case tooLong:
				item.Err = fmt.Errorf("longer than %d bytes", maxLine)
			case len(bytes.TrimSpace(line)) > 0:
				item.Record, item.Err = ParseLine(line)
			default:
				item.Place = ""
			}
			if item.Place != "" && !yield(item, nil) || err == io.EOF {
				return
			}
		}
	}
}

// readLine reads up to and with the next end of line, of which it keeps no
// more than maxLine bytes. err is io.EOF at the end of the input.
func readLine(in *bufio.Reader) (line []byte, tooLong bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			line, tooLong = nil, true
		}
		if !tooLong {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, tooLong, err
		}
	}
}

// ErrCut is what Tar ends with when the archive does: its end is missing, and
// maybe sessions with it.
var ErrCut = errors.New("the archive is cut short")

// Tar reads a tar archive. Damage to the archive itself ends it, as an error.
func Tar(r io.Reader) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		end := &zeroCounter{Reader: r}
		in := tar.NewReader(end)
		for n := 1; ; n++ {
			header, err := in.Next()
			if err == io.EOF {
				if end.zeros < tarBlock {
					yield(Item{}, ErrCut)
				}
				return
			}
			item := Item{Place: fmt.Sprintf("entry %d", n)}
			if err == nil && header.Typeflag != tar.TypeReg {
				continue
			}
			if err == nil {
				item, err = readEntry(in, header, item)
			}
			if err != nil {
				yield(Item{}, fmt.Errorf("entry %d: %w", n, err))
				return
			}
			if !yield(item, nil) {
				return
			}
		}
	}
}

// tarBlock is what tar archives consist of. They end with two that are zero,
// which package tar does not ask for: to it, an archive cut between two entries
// is whole.
const tarBlock = 512

// A zeroCounter counts the zero bytes at the end of what was read so far.
type zeroCounter struct {
	io.Reader
	zeros int
}

func (c *zeroCounter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	rest := bytes.TrimRight(p[:n], "\x00")
	if len(rest) > 0 {
		c.zeros = 0
	}
	c.zeros += n - len(rest)
	return n, err
}

func readEntry(in *tar.Reader, header *tar.Header, item Item) (Item, error) {
	item.Record = Record{ID: path.Base(header.Name), Modified: header.ModTime}
	if header.Size > store.MaxStateBytes {
		item.Err = store.TooLarge(header.Size)
		return item, nil
	}
	var err error
	item.Record.State, err = io.ReadAll(in)
	return item, err
}

// Import puts what a file has into to. Existing sessions are replaced only by
// what was modified later, or with Options.Overwrite. What is wrong with one
// item is reported with its place, counted as failed, and stops nothing.
//
// It returns what it has done, with the error that ended it early.
func Import(ctx context.Context, to dated.Store, items iter.Seq2[Item, error], opts Options) (Counts, error) {
	opts = opts.withDefaults()
	var counts Counts
	for item, err := range items {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return counts, err
		}
		outcome, err := importItem(ctx, to, &item, &opts)
		switch {
		case err != nil && ctx.Err() != nil:
			return counts, ctx.Err()
		case err != nil:
			counts.Failed++
			opts.Report(item.Place, err)
		default:
			counts.add(outcome)
		}
		opts.Progress()
	}
	return counts, nil
}

func importItem(ctx context.Context, to dated.Store, item *Item, opts *Options) (Outcome, error) {
	r := &item.Record
	if item.Err != nil {
		return 0, item.Err
	}
	if err := opts.Check(r.State); err != nil {
		return 0, err
	}
	if r.Modified.After(time.Now()) {
		r.Modified = time.Time{} // a clock elsewhere: it would never be idle
	}
	return put(ctx, to, r, opts.LockWait, opts.Overwrite)
}
