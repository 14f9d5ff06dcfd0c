package directory

import (
	"errors"
	"io/fs"
	"os/user"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"alforja/store"
)

// An Error is a failure of the directory or of what is under it. It wraps the
// cause, so that errors.Is finds fs.ErrPermission, unix.ENOSPC, store.ErrBusy
// and context.DeadlineExceeded.
type Error struct {
	Op   string // what was being done: "load", "update" and so on
	Path string // the directory
	ID   string // the session, shortened to 8 characters as it is a secret; may be empty
	Hint string // what the operator can do about it; may be empty
	Err  error
}

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.ID != "" {
		b.WriteString(" session " + e.ID)
	}
	b.WriteString(" in " + e.Path + ": " + e.Err.Error())
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// ErrTorn is wrapped by what Update returns when the file system took a part of
// a state that was to be written in place and then failed: the old state is
// lost. Local file systems do not do this.
var ErrTorn = errors.New("the session's file is torn: a write stopped half-way")

// errGone says that a directory that the store has open was removed, or a file of its own in there.
var errGone = errors.New("the session or state directory was removed or emptied")

func isGone(err error) bool {
	return errors.Is(err, errGone) || errors.Is(err, unix.ESTALE)
}

// fail makes an *Error of a cause, unless it is one already or says
// something that has a plain meaning to the caller.
func fail(op, path, id string, err error) error {
	var typed *Error
	switch {
	case err == nil, err == store.ErrExists, errors.Is(err, store.ErrTooLarge), err == store.ErrInvalidCursor, err == fs.ErrClosed, errors.As(err, &typed):
		return err
	}
	return &Error{Op: op, Path: path, ID: short(id), Hint: hintFor(err), Err: err}
}

// A directoryFault is about the session directory as a whole.
type directoryFault struct{ err error }

func directoryError(err error) error   { return directoryFault{err} }
func (e directoryFault) Error() string { return e.err.Error() }
func (e directoryFault) Unwrap() error { return e.err }

func hintFor(err error) string {
	var whole directoryFault
	var noUser user.UnknownUserError
	var noGroup user.UnknownGroupError
	switch {
	case errors.As(err, &whole) && errors.Is(err, fs.ErrNotExist):
		return "the session directory is missing: make it or mount it; there is no need to restart"
	case errors.As(err, &noUser), errors.As(err, &noGroup):
		return "give a name that this system knows, or a number"
	case errors.Is(err, errGive):
		return "only root gives files to another owner, and a user only to groups that it is in"
	case errors.Is(err, errWorldWritable):
		return "take that permission away (chmod o-w): anyone could plant a login there"
	case errors.Is(err, errFileSize), errors.Is(err, unix.EFBIG):
		return "raise the limit (ulimit -f): it could stop a write half-way"
	case errors.Is(err, ErrOwner):
		return "chown the file, or name that user as the owner, or share with a group by the mode 0660"
	case errors.Is(err, ErrLinked):
		return "remove its other names, and back up by copies, not links: session3 writes to all names of a file"
	case errors.Is(err, unix.ENOTDIR):
		return "a file stands where a directory is wanted: name the directory of the sessions"
	case errors.Is(err, unix.EROFS):
		return "mount the file system read-write; there is no need to restart"
	case errors.Is(err, unix.ENOSPC):
		return "the disk is full, or out of inodes: free some"
	case errors.Is(err, unix.EDQUOT):
		return "the disk quota is used up: raise it or free some"
	case errors.Is(err, fs.ErrPermission):
		return "this user must be able to read and write the directory and the files in it"
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return "too many open files: raise the limit (ulimit -n)"
	case errors.Is(err, unix.EIO):
		return "the disk failed: see the kernel's log"
	}
	return ""
}

// short is the part of a session id that may be shown: whoever has all of it
// has the session.
func short(id string) string { return id[:min(len(id), 8)] }

// firstTimes remembers what was seen before, for as many as may be worth
// a line in the log.
type firstTimes struct {
	mu   sync.Mutex
	seen map[string]struct{}
}

// first reports whether it is asked about id for the first time. It forgets
// all after 1000 ids.
func (f *firstTimes) first(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, seen := f.seen[id]; seen {
		return false
	}
	if f.seen == nil || len(f.seen) >= 1000 {
		f.seen = make(map[string]struct{})
	}
	f.seen[id] = struct{}{}
	return true
}
