package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	gopickle "github.com/nlpodyssey/gopickle/pickle"
	"github.com/spf13/cobra"

	"alforja/pickle"
)

// An opinion is what gopickle makes of a pickle.
type opinion struct {
	Says    string `json:"says"`             // accepts, refuses, panics, or dies: of memory, time or a full stack
	Detail  string `json:"detail,omitempty"` // the error, or where its value is another than Decode's
	Differs bool   `json:"differs"`          // from Verify, or in the value
}

func (o *opinion) String() string {
	s := "gopickle " + o.Says
	if o.Says == "accepts" {
		s += " it"
	}
	if o.Detail != "" {
		s += ": " + o.Detail
	}
	if o.Differs {
		s += " (differs)"
	}
	return s
}

// Bounds on one pickle in gopickle.
const (
	opinionTime   = 10 * time.Second
	opinionMemory = 1 << 30 // bytes, resident
)

// An adviser has gopickle read pickles in a process of its own: its panics can
// be recovered from, but not what it allocates, a full stack, or an endless
// loop.
type adviser struct {
	maxBytes int64
	cmd      *exec.Cmd
	in       io.WriteCloser
	replies  chan []byte // closed when the process has ended
}

func newAdviser(maxBytes int64) *adviser { return &adviser{maxBytes: maxBytes} }

func (a *adviser) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, "pickle", opinionName, "--jsonl", "--max-bytes", strconv.FormatInt(a.maxBytes, 10))
	cmd.Env = append(os.Environ(), "GOGC=100")
	if a.in, err = cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	a.cmd, a.replies = cmd, make(chan []byte)
	go func(replies chan<- []byte) {
		defer close(replies)
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			replies <- line
		}
	}(a.replies)
	return nil
}

// close ends the process and waits for it.
func (a *adviser) close() {
	if a.cmd == nil {
		return
	}
	a.cmd.Process.Kill()
	a.in.Close()
	for range a.replies { // until the reader has ended
	}
	a.cmd.Wait()
	a.cmd = nil
}

// ask returns gopickle's opinion of a pickle that Verify accepts or does not.
func (a *adviser) ask(ctx context.Context, data []byte, accepted bool) *opinion {
	o := a.reply(ctx, data)
	o.Differs = o.Differs || (o.Says == "accepts") != accepted
	return o
}

func (a *adviser) reply(ctx context.Context, data []byte) *opinion {
	if a.cmd == nil {
		if err := a.start(ctx); err != nil {
			return &opinion{Says: "dies", Detail: err.Error()}
		}
	}
	go fmt.Fprintf(a.in, `{"hex":"%x"}`+"\n", data) // ends with the process at the latest
	deadline := time.NewTimer(opinionTime)
	defer deadline.Stop()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case line, ok := <-a.replies:
			var reply struct{ Opinion *opinion }
			if ok && json.Unmarshal(line, &reply) == nil && reply.Opinion != nil {
				return reply.Opinion
			}
			a.close()
			return &opinion{Says: "dies", Detail: "the process ended"}
		case <-deadline.C:
			a.close()
			return &opinion{Says: "dies", Detail: fmt.Sprintf("it takes more than %v", opinionTime)}
		case <-look.C:
			if resident(a.cmd.Process.Pid) > opinionMemory {
				a.close()
				return &opinion{Says: "dies", Detail: fmt.Sprintf("it takes more than %d MiB", opinionMemory>>20)}
			}
		}
	}
}

// resident returns the bytes of a process in memory: proc(5), statm.
func resident(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if fields := strings.Fields(string(text)); err == nil && len(fields) > 1 {
		pages, _ := strconv.Atoi(fields[1])
		return pages * os.Getpagesize()
	}
	return 0
}

const opinionName = "second-opinion"

// opinionCommand is the adviser's process.
func opinionCommand() *cobra.Command {
	var in pickleInput
	cmd := &cobra.Command{
		Use:    opinionName,
		Short:  "Have gopickle read pickles (for verify --second-opinion)",
		Hidden: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := in.oneFile(cmd, args)
			if err != nil {
				return err
			}
			return in.eachLine(cmd, path, func(l *pickleLine) answer {
				data, err := l.pickle()
				if err != nil {
					return answer{err: err}
				}
				return answer{fields: appendField(nil, "opinion", consult(data, in.limits()))}
			})
		},
	}
	in.addFlags(cmd.Flags())
	return cmd
}

// consult has gopickle read a pickle, with classes that take everything.
func consult(data []byte, limits pickle.Limits) (o *opinion) {
	defer func() {
		if reason := recover(); reason != nil {
			o = &opinion{Says: "panics", Detail: brief(fmt.Sprint(reason))}
		}
	}()
	u := gopickle.NewUnpickler(bytes.NewReader(data))
	u.FindClass = func(module, name string) (any, error) { return &opinionClass{module, name}, nil }
	u.PersistentLoad = func(id any) (any, error) { return &opinionObject{}, nil }
	got, err := u.Load()
	if err != nil {
		return &opinion{Says: "refuses", Detail: brief(err.Error())}
	}
	want, err := pickle.Decode(data, pickle.DecodeOptions{Limits: limits})
	if err != nil {
		return &opinion{Says: "accepts"}
	}
	c := comparison{met: map[pickle.Value]bool{}}
	c.same(want, got, "value")
	return &opinion{Says: "accepts", Detail: brief(c.difference), Differs: c.difference != ""}
}

// brief cuts what may quote the pickle at length.
func brief(s string) string {
	const most = 300
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.ToValidUTF8(s, "\ufffd")
}
