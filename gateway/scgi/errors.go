package scgi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
)

// ErrServerClosed is returned by Serve after Shutdown or Close. It is
// net/http's, so that a program with both kinds of server checks for one.
var ErrServerClosed = http.ErrServerClosed

// ErrOutsideScriptName is inside the *[RequestError] that [Transport] returns
// for a path that is not below its ScriptName.
var ErrOutsideScriptName = errors.New("path is not below the script name")

// A RequestError says what is wrong with a request: the client, or the web
// server before us, is at fault, and no worker.
type RequestError struct {
	Status int // what to answer, 400 to 499
	Err    error
}

func (e *RequestError) Error() string { return "scgi: bad request: " + e.Err.Error() }
func (e *RequestError) Unwrap() error { return e.Err }

func badRequest(format string, args ...any) *RequestError {
	return &RequestError{Status: http.StatusBadRequest, Err: fmt.Errorf(format, args...)}
}

// bodyError tells why a request's body could not be read to its end.
func bodyError(err error) *RequestError {
	e := &RequestError{Status: http.StatusBadRequest, Err: fmt.Errorf("reading the request body: %w", err)}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		e.Status = http.StatusRequestEntityTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.Status = http.StatusRequestTimeout
	}
	return e
}

// A ResponseError says that a worker's answer is missing, malformed, too
// large or cut short. A cut one wraps [io.ErrUnexpectedEOF].
type ResponseError struct {
	Err error
}

func (e *ResponseError) Error() string { return "scgi: bad response: " + e.Err.Error() }
func (e *ResponseError) Unwrap() error { return e.Err }

func badResponse(format string, args ...any) *ResponseError {
	return &ResponseError{Err: fmt.Errorf(format, args...)}
}

var (
	errNoAnswer  = errors.New("the worker closed the connection without answering")
	errHeaderCut = fmt.Errorf("header cut short: %w", io.ErrUnexpectedEOF)
)

// dialError means that there was no connection, so nothing was sent.
type dialError struct{ err error }

func (e *dialError) Error() string { return "scgi: " + e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

// SafeToRetry reports whether err, from [Transport], means that nothing of the
// request was sent and nothing of its body was read: the worker could not be
// reached. Any other request may have had its effect already.
func SafeToRetry(err error) bool {
	var dial *dialError
	return errors.As(err, &dial)
}
