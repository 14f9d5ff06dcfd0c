// Package transfer moves sessions: from one store to another, to a file and
// back, with their ids, their bytes and the times at which they were modified.
//
// # JSON Lines
//
// A line for each session, in UTF-8, no order:
//
//	{"id": "4x1Q...", "modified": "2024-05-01T12:00:00.123456789Z", "pickle": "gASV..."}
//
// id is a session id (store.ValidID), modified a time of RFC 3339, pickle the
// state in standard base64 with padding. Export writes what a list shows beside them, so that
// people and jq can choose lines: user, class, protocol, size, created, and
// error for a session that does not verify. A reader ignores those and
// every other key. Without modified a session counts as modified when it is read.
//
// # tar
//
// A POSIX tar archive (pax) with a regular file for each session, named by its
// id, mode 0600, its mtime to the nanosecond. A reader takes the last element of
// a name ("./4x1Q" is 4x1Q) and skips what is no regular file.
package transfer

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"alforja/store/catalog"
)

// A Record is a session outside of a store.
type Record struct {
	ID       string
	Modified time.Time // zero when that is not known
	State    []byte

	racy bool // the state may have changed within the step of the clock that Modified is
}

// racySpan is how close to now a time of modification does not tell one state
// from the next: file systems count time in steps of some milliseconds,
// network file systems in seconds.
const racySpan = 2 * time.Second

// date is the time of modification to give to a copy: for a racy record one
// that is older by a hair, so that a later pass compares the states.
func (r *Record) date() time.Time {
	if r.racy {
		return r.Modified.Add(-time.Microsecond)
	}
	return r.Modified
}

// AppendLine appends the JSON line of a session, without its end of line.
func AppendLine(dst []byte, e catalog.Entry, state []byte) ([]byte, error) {
	entry, err := e.MarshalJSON()
	if err != nil {
		return dst, err
	}
	dst = append(dst, entry[:len(entry)-1]...)
	dst = append(dst, `,"pickle":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, state)
	return append(dst, '"', '}'), nil
}

// ParseLine reads a JSON line. The error says what is wrong with it. That the id
// is one, and the state none too long, is for a store to check.
func ParseLine(line []byte) (Record, error) {
	var fields struct {
		ID       *string    `json:"id"`
		Modified *time.Time `json:"modified"`
		Pickle   *[]byte    `json:"pickle"` // encoding/json reads base64
	}
	if err := json.Unmarshal(line, &fields); err != nil {
		return Record{}, fmt.Errorf("not a JSON line of a session: %w", err)
	}
	switch {
	case fields.ID == nil:
		return Record{}, errors.New(`no key "id"`)
	case fields.Pickle == nil:
		return Record{ID: *fields.ID}, errors.New(`no key "pickle"`)
	}
	r := Record{ID: *fields.ID, State: *fields.Pickle}
	if fields.Modified != nil {
		r.Modified = *fields.Modified
	}
	return r, nil
}
