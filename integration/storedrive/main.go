// Storedrive carries out operations on a directory store as its standard input
// asks for them, one a line, and answers each with a line once it is done: what
// tests kill, trace and time in the place of a gateway.
//
//	create ID STATE       ok, exists
//	update ID STATE       true, false
//	load ID               the state, none
//	touch ID              true, false
//	delete ID             true, false
//	setaside ID STATE     true, false
//	expire DURATION       DELETED REMAINING
//	list                  COUNT
//	peak                  the most memory that the process ever had resident, in bytes
//	hammer N IDS STATES   never ends: see hammer
//	fill N STATE          ok: see fill
//	time OP N D STATE     COUNT NANOSECONDS NANOSECONDS: see timed
//
// STATE is in standard base64. IDS and STATES are separated by commas. What
// fails is answered with "error" and the reason.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"alforja/store"
	"alforja/store/directory"
)

// The main goroutine stays on the main thread, so that a tracer that is attached to the
// process's id alone sees every system call of an operation, and nothing of the runtime's
// other threads.
func init() { runtime.LockOSThread() }

func main() {
	var opts directory.Options
	flag.BoolVar(&opts.Create, "create", false, "make the session directory if it is missing")
	flag.StringVar((*string)(&opts.Durability), "durability", "", `"process" or "power"`)
	flag.BoolVar(&opts.FanOut, "fan-out", false, "keep sessions in aa/bb/ID")
	flag.Parse()
	if err := run(flag.Arg(0), opts, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "storedrive:", err)
		os.Exit(1)
	}
}

// run opens the store, answers "ready" and serves the commands.
func run(path string, opts directory.Options, in io.Reader, out io.Writer) error {
	s, err := directory.Open(path, opts)
	if err != nil {
		return err
	}
	defer s.Close()
	d := &driver{store: s, path: path, out: out}
	if _, err := fmt.Fprintln(out, "ready"); err != nil {
		return err
	}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		answer, err := d.do(context.Background(), strings.Fields(line))
		if err != nil {
			answer = "error " + err.Error()
		}
		// One system call: the answer is out whole or not at all.
		if _, err := io.WriteString(out, answer+"\n"); err != nil {
			return err
		}
	}
}

type driver struct {
	store store.Store
	path  string
	out   io.Writer
}

func (d *driver) do(ctx context.Context, words []string) (string, error) {
	if len(words) == 0 {
		return "", errors.New("no command")
	}
	command, args := words[0], words[1:]
	want, known := map[string]int{
		"create": 2, "update": 2, "load": 1, "touch": 1, "delete": 1, "setaside": 2,
		"expire": 1, "list": 0, "peak": 0, "hammer": 3, "fill": 2, "time": 4,
	}[command]
	if !known || len(args) != want {
		return "", fmt.Errorf("no such command: %s with %d words", command, len(args))
	}
	switch command {
	case "expire":
		idle, err := time.ParseDuration(args[0])
		if err != nil {
			return "", err
		}
		deleted, remaining, err := d.store.DeleteIdle(ctx, idle)
		return fmt.Sprint(deleted, remaining), err
	case "list":
		count := 0
		for _, err := range d.store.All(ctx, "") {
			if err != nil {
				return "", err
			}
			count++
		}
		return strconv.Itoa(count), nil
	case "peak":
		return peak()
	case "hammer":
		return d.hammer(ctx, args[0], strings.Split(args[1], ","), strings.Split(args[2], ","))
	case "fill":
		return d.fill(args[0], args[1])
	case "time":
		return d.timed(ctx, args[0], args[1], args[2], args[3])
	}
	return d.session(ctx, command, args)
}

// session carries out what concerns one session.
func (d *driver) session(ctx context.Context, command string, args []string) (string, error) {
	id := args[0]
	var state []byte
	var err error
	if len(args) > 1 {
		if state, err = base64.StdEncoding.DecodeString(args[1]); err != nil {
			return "", err
		}
	}
	var found bool
	switch command {
	case "create":
		err := d.store.Create(ctx, id, state)
		if errors.Is(err, store.ErrExists) {
			return "exists", nil
		}
		return "ok", err
	case "load":
		state, found, err := d.store.Load(ctx, id)
		if !found && err == nil {
			return "none", nil
		}
		return base64.StdEncoding.EncodeToString(state), err
	case "update":
		found, err = d.store.Update(ctx, id, state)
	case "touch":
		found, err = d.store.Touch(ctx, id)
	case "delete":
		found, err = d.store.Delete(ctx, id)
	case "setaside":
		found, err = d.store.SetAside(ctx, id, state)
	}
	return strconv.FormatBool(found), err
}

// peak reads VmHWM of proc_pid_status(5).
func peak() (string, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	return strconv.FormatInt(kib<<10, 10), err
}
