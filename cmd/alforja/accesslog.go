package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"alforja/gateway"
)

// checkAccessLog says what is wrong with the settings of the access log.
func (s *frontSettings) checkAccessLog() error {
	switch {
	case s.accessLogFormat != "json" && s.accessLogFormat != "combined":
		return oneOf("access-log-format", s.accessLogFormat, "json", "combined")
	case s.accessLog == "" && s.accessLogFormat == "combined":
		return usageError{fmt.Errorf("--access-log-format combined needs an --access-log of its own, - for standard output")}
	case s.accessLog == "" || s.accessLog == "-":
		return nil
	}
	// Not by opening it: check leaves nothing behind, and a named pipe would be waited for.
	err := unix.Access(s.accessLog, unix.W_OK)
	if errors.Is(err, unix.ENOENT) {
		err = unix.Access(filepath.Dir(s.accessLog), unix.W_OK|unix.X_OK)
	}
	if info, _ := os.Stat(s.accessLog); err == nil && info != nil && info.IsDir() {
		err = unix.EISDIR
	}
	if err != nil {
		return usageError{fmt.Errorf("--access-log %s cannot be written: %w", s.accessLog, err)}
	}
	return nil
}

// An accessLog is where the lines of requests go: to a file, standard output,
// or where all else is logged. A reload sets another one in its place.
type accessLog struct {
	mu    sync.RWMutex // held for reading by those who write a line
	write gateway.RequestLog
	file  *logFile // that write writes to, or nil
}

// A logFile is a file that lines are appended to.
type logFile struct {
	path string
	*os.File
}

// openAccessLog opens what the settings say. logger and logTo are the log for
// all else, in the format that the gateway was started with.
func (s *settings) openAccessLog(logger *slog.Logger, logTo io.Writer, logFormat string) (*accessLog, error) {
	switch {
	case s.accessLog == "" && logFormat == "json":
		return &accessLog{write: gateway.LogJSON(logTo)}, nil
	case s.accessLog == "":
		return &accessLog{write: gateway.LogRequests(logger)}, nil
	}
	file := &logFile{s.accessLog, os.Stdout}
	if s.accessLog != "-" {
		var err error
		if file.File, err = openLogFile(s.accessLog); err != nil {
			return nil, fmt.Errorf("--access-log: %w", err)
		}
	}
	if s.accessLogFormat == "combined" {
		return &accessLog{write: gateway.LogCombined(file), file: file}, nil
	}
	return &accessLog{write: gateway.LogJSON(file), file: file}, nil
}

func openLogFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
}

// request is the gateway.RequestLog.
func (l *accessLog) request(ctx context.Context, a *gateway.Access) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	l.write(ctx, a)
}

// close closes the file, of a log that nobody writes to.
func (l *accessLog) close() {
	if l.file != nil && l.file.File != os.Stdout {
		l.file.Close()
	}
}

// become sets another log, which is nobody else's, in this one's place.
func (l *accessLog) become(other *accessLog) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.close()
	l.write, l.file = other.write, other.file
}

// reopenAccessLog opens the file anew, when a log rotator has moved it away.
func (s *serving) reopenAccessLog() {
	if err := s.access.reopen(); err != nil {
		s.logger.Error("access log not opened anew, the old file stays", "err", err)
	}
}

func (l *accessLog) reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil || l.file.File == os.Stdout {
		return nil
	}
	file, err := openLogFile(l.file.path)
	if err != nil {
		return err
	}
	l.close()
	l.file.File = file
	return nil
}
