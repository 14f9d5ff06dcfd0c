package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// bodyInMemory is how much of a request body is held in memory, in bytes;
// more goes to a file.
const bodyInMemory = 64 << 10

// firstBody is the room that a body has at first, in bytes: most forms fit.
const firstBody = 8 << 10

// BufferBodies returns a handler that reads a request's whole body before it
// calls next, into memory up to 64 KiB and else into an unlinked file in the
// system's temporary directory. So a slow sender occupies neither a session's
// lock nor a worker, and SCGI, which wants the length first, gets one for a
// chunked body. It answers 413 to a body over limit bytes, 400 to one that
// breaks off, 408 to one that BoundStalls has given up.
func BufferBodies(limit int64, logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// net/http hides a Content-Length beside a Transfer-Encoding, and a
		// Transfer-Encoding in HTTP/1.0: a server before us may have seen
		// another end of this request, so what follows it is not trusted.
		if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {
			w.Header().Set("Connection", "close")
		}
		declared := declaredLength(r)
		if r.ContentLength == 0 && declared == nil || r.Body == nil {
			next.ServeHTTP(w, r)
			return
		}
		if r.ContentLength > limit {
			failBody(w, &http.MaxBytesError{Limit: limit})
			return
		}
		body, length, err := readBody(http.MaxBytesReader(w, r.Body, limit), r.ContentLength)
		differs := func(text string) bool { return text != strconv.FormatInt(length, 10) }
		if err == nil && slices.ContainsFunc(declared, differs) {
			body.Close()
			err = fmt.Errorf("%d bytes came, and Content-Length says %q", length, declared)
		}
		if err != nil {
			logger.Warn("request body not read", "request", recordOf(r.Context()).requestID, "client", r.RemoteAddr, "err", err)
			failBody(w, err)
			return
		}
		defer body.Close()
		r.Body, r.ContentLength, r.TransferEncoding = body, length, nil
		next.ServeHTTP(w, r)
	})
}

// declaredLength returns the Content-Length fields that a body must be compared
// with: those of HTTP/2, where it is no part of the framing (RFC 9113 section
// 8.1.1). net/http takes the first for all and 0 for one that is no number, and
// has the request handled before it sees that there is a body.
func declaredLength(r *http.Request) []string {
	if r.ProtoMajor < 2 {
		return nil
	}
	return r.Header["Content-Length"]
}

func failBody(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	var disk *os.PathError
	w.Header().Set("Connection", "close")
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		fail(w, http.StatusRequestTimeout, "the request body stopped coming")
	case errors.As(err, &tooLarge):
		fail(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("a request body may have %d bytes", tooLarge.Limit))
	case errors.As(err, &disk):
		fail(w, http.StatusServiceUnavailable, "the request body could not be kept")
	default:
		fail(w, http.StatusBadRequest, "the request body broke off")
	}
}

// readBody reads all of from, of announced bytes or, where that is negative,
// of unknown length.
func readBody(from io.Reader, announced int64) (io.ReadCloser, int64, error) {
	inMemory := announced
	if announced < 0 || announced > bodyInMemory {
		inMemory = bodyInMemory
	}
	// It grows with what arrives: a client that announces much and sends
	// nothing shall not cost more than one that announces little.
	beginning := bytes.NewBuffer(make([]byte, 0, min(inMemory, firstBody)+bytes.MinRead))
	// One byte more than is kept tells whether that was all.
	n, err := beginning.ReadFrom(io.LimitReader(from, inMemory+1))
	if err != nil {
		return nil, 0, err
	}
	if n <= inMemory {
		return io.NopCloser(beginning), n, nil
	}
	return spoolBody(io.MultiReader(beginning, from))
}

// spoolBody puts a body into a file that has no name, so that it is gone when
// the process is.
func spoolBody(from io.Reader) (io.ReadCloser, int64, error) {
	file, err := newSpoolFile(0)
	if err != nil {
		return nil, 0, err
	}
	if err := fillFile(file, from); err != nil {
		file.Close()
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// newSpoolFile returns a file without a name in the system's temporary
// directory, with room for length bytes, where the file system can promise it.
func newSpoolFile(length int64) (*os.File, error) {
	file, err := os.CreateTemp("", "alforja-body-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, err
	}
	if length > 0 {
		err := unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, length)
		if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
			file.Close()
			return nil, &os.PathError{Op: "fallocate", Path: file.Name(), Err: err}
		}
	}
	return file, nil
}
