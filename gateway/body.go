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
)

// bodyInMemory is how much of a request body is held in memory, in bytes;
// more goes to a file.
const bodyInMemory = 64 << 10

// firstBody is the room that a body has at first, in bytes: most forms fit.
const firstBody = 8 << 10

// BufferBodies returns a handler that reads a request's whole body before it
// calls next, into memory up to 64 KiB and else into a file of spool. So a slow sender occupies neither a session's
// lock nor a worker, and SCGI, which wants the length first, gets one for a
// chunked body. It answers 413 to a body over limit bytes, 400 to one that
// breaks off, 408 to one that BoundStalls has given up, 503 to one for which spool
// has no room.
func BufferBodies(limit int64, spool *Spool, logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit := spool.longest(limit)
		declared := declaredLength(r)
		if r.ContentLength == 0 && declared == nil || r.Body == nil {
			next.ServeHTTP(w, r)
			return
		}
		if r.ContentLength > limit {
			failBody(w, &http.MaxBytesError{Limit: limit})
			return
		}
		body, length, err := readBody(http.MaxBytesReader(w, r.Body, limit), r.ContentLength, spool)
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
	case errors.Is(err, errSpoolFull):
		w.Header().Set("Retry-After", "5")
		fail(w, http.StatusServiceUnavailable, "too many long requests at a time")
	case errors.As(err, &disk):
		fail(w, http.StatusServiceUnavailable, "the request body could not be kept")
	default:
		fail(w, http.StatusBadRequest, "the request body broke off")
	}
}

// readBody reads all of from, of announced bytes or, where that is negative,
// of unknown length.
func readBody(from io.Reader, announced int64, spool *Spool) (io.ReadCloser, int64, error) {
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
	return spool.keep(io.MultiReader(beginning, from))
}
