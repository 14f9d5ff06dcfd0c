package directory

import (
	"io/fs"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"
)

// Durability says what a saved session outlives.
type Durability string

const (
	// DurabilityProcess: a crash of any process, at any point. After a power
	// failure a session may be as it was some seconds earlier, or damaged.
	DurabilityProcess Durability = "process"

	// DurabilityPower: a power failure too. Each save waits for the disk.
	DurabilityPower Durability = "power"
)

// Options of Open. The zero value is good.
type Options struct {
	// Create makes the session directory if it is missing when the store is
	// opened. Default: a missing directory is an error.
	Create bool

	// Durability of what is saved. Default: DurabilityProcess.
	Durability Durability

	// Mode has the permission bits of the session files that the store makes,
	// whatever the umask: 0600, 0640 or 0660. Directories that it makes let
	// the same people in: 0700, or 2750 and 2770, which hand their group
	// on to the files that Python makes there. What exists keeps its mode.
	// Default: 0600.
	Mode fs.FileMode

	// Owner is the user, by name or number, to whom the store gives what it
	// makes; only root can give to another. Default: for root the owner of
	// the session directory, else this process's user.
	Owner string

	// Group is the group, by name or number, to which the store gives what it
	// makes; a user must be in it. Default: the session directory's group if
	// Mode has something for the group, else what the kernel gives.
	Group string

	// FanOut keeps the session ID in aa/bb/ID, where aa and bb are the first
	// two bytes, in hexadecimal, of the id's SHA-256: for many millions of
	// sessions on file systems that are slow with them in one directory.
	// session3 does not find them there. Sessions in the other layout are
	// found and stay where they are until Convert moves them; all stores
	// that are open on a directory must have the same FanOut. Default: one flat
	// directory, as session3 has it.
	FanOut bool

	// Patience is how long after its last change an empty or cut file may be
	// one that a Python process has truncated and is about to write. Load
	// waits for it that long. Default: 500 ms; busy writers were seen to take
	// over 250 ms.
	Patience time.Duration

	// ForeignPatience takes the place of Patience where the kernel does not
	// say whether a process has the file open for writing, which is so
	// for the files of another user, but to root. In that time Load returns
	// store.ErrBusy for an empty or cut file, and after it the file counts as
	// one whose writer has died. Default: 1 minute.
	ForeignPatience time.Duration

	// LockWait bounds the wait for the flock of one session file, which
	// other processes hold while they read or write it. After that an
	// operation returns store.ErrBusy. Default: 2 s.
	LockWait time.Duration

	// StateDir is the state directory. It must be on the same mount as the
	// session directory, and gateways that share sessions share it too.
	// It is made if it is missing. Default: the session directory's path,
	// symbolic links resolved, with ".alforja" appended.
	StateDir string

	// CorruptFiles bounds the number of files that SetAside keeps; what
	// comes after that is deleted and logged. Default: 1000.
	CorruptFiles int

	// CorruptBytes bounds their size together, in bytes. Default: 64 MiB.
	CorruptBytes int64

	// Logger gets what an operator should look into. Default: slog.Default().
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Durability == "" {
		o.Durability = DurabilityProcess
	}
	if o.Mode == 0 {
		o.Mode = 0o600
	}
	if o.Patience == 0 {
		o.Patience = 500 * time.Millisecond
	}
	if o.ForeignPatience == 0 {
		o.ForeignPatience = time.Minute
	}
	if o.LockWait == 0 {
		o.LockWait = 2 * time.Second
	}
	if o.CorruptFiles == 0 {
		o.CorruptFiles = 1000
	}
	if o.CorruptBytes == 0 {
		o.CorruptBytes = 64 << 20
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// check returns what the options say of rights, and what is wrong with them, or
// with this process.
func (o Options) check(path string) (asked rights, err error) {
	if wrong := o.contradiction(); wrong != "" {
		return asked, &Error{Op: "open", Path: path, Hint: wrong, Err: unix.EINVAL}
	}
	if asked, err = o.rights(); err != nil {
		return asked, err
	}
	return asked, checkFileSize()
}

// contradiction returns what is wrong with the options as such, or "".
func (o Options) contradiction() string {
	switch o.Durability {
	case DurabilityProcess, DurabilityPower:
	default:
		return `durability is "process" or "power", not "` + string(o.Durability) + `"`
	}
	switch o.Mode {
	case 0o600, 0o640, 0o660:
	default:
		return "the mode of session files is 0600, 0640 or 0660: others would read logins, and without its owner's rights the store could not work"
	}
	if min(o.Patience, o.ForeignPatience, o.LockWait) < 0 || o.CorruptFiles < 0 || o.CorruptBytes < 0 {
		return "patience, waits for locks and the bounds of what is set aside must be more than 0"
	}
	return ""
}
