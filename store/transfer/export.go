package transfer

import (
	"archive/tar"
	"context"
	"fmt"
	"io"

	"alforja/store"
	"alforja/store/catalog"
)

// A Writer writes sessions to a file.
type Writer interface {
	Write(e catalog.Entry, state []byte) error
	Close() error // writes what ends the file; does not close what it writes to
}

// NewLineWriter returns a Writer of JSON Lines.
func NewLineWriter(w io.Writer) Writer { return &lineWriter{w: w} }

type lineWriter struct {
	w    io.Writer
	line []byte
}

func (w *lineWriter) Write(e catalog.Entry, state []byte) (err error) {
	if w.line, err = AppendLine(w.line[:0], e, state); err != nil {
		return err
	}
	w.line = append(w.line, '\n')
	_, err = w.w.Write(w.line)
	return err
}

func (w *lineWriter) Close() error { return nil }

// NewTarWriter returns a Writer of a tar archive.
func NewTarWriter(w io.Writer) Writer { return &tarWriter{tar.NewWriter(w)} }

type tarWriter struct{ w *tar.Writer }

func (w *tarWriter) Write(e catalog.Entry, state []byte) error {
	err := w.w.WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg, Name: e.ID, Mode: 0o600,
		Size: int64(len(state)), ModTime: e.Modified, Format: tar.FormatPAX,
	})
	if err != nil {
		return err
	}
	_, err = w.w.Write(state)
	return err
}

func (w *tarWriter) Close() error { return w.w.Close() }

// Export writes the sessions of s to w, those that do not verify too: it is a
// backup. Each is as it was when it was read; sessions may change meanwhile. One that cannot
// be read is reported and counted as failed. It returns how many it has
// written, with the error that ended it early; then w is not closed.
func Export(ctx context.Context, s store.Store, w Writer, judge catalog.Judge, opts Options) (written, failed int, err error) {
	opts = opts.withDefaults()
	type loaded struct {
		entry catalog.Entry
		state []byte
		found bool
		err   error
	}
	err = catalog.Scan(ctx, s, func(ctx context.Context, info store.Info) loaded {
		state, found, err := s.Load(ctx, info.ID)
		if err != nil || !found {
			return loaded{entry: catalog.Entry{Info: info}, err: err}
		}
		return loaded{catalog.Describe(info, state, judge), state, true, nil}
	}, func(l loaded) error {
		opts.Progress()
		switch {
		case l.err != nil && ctx.Err() != nil: // ended, not failed
			return nil
		case l.err != nil:
			failed++
			opts.Report(l.entry.ID, l.err)
			return nil
		case !l.found:
			return nil
		}
		if err := w.Write(l.entry, l.state); err != nil {
			return fmt.Errorf("writing the export: %w", err)
		}
		written++
		return nil
	})
	if err == nil {
		if err = w.Close(); err != nil {
			err = fmt.Errorf("writing the export: %w", err)
		}
	}
	return written, failed, err
}
