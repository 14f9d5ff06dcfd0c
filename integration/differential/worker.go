package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Flags of a request, as in unpickler.py.
const (
	flagReaders = 1 << iota
	flagReal
	flagPair
	flagFlush
	flagPure
)

// A request is what a worker is asked about one input.
type request struct {
	flags byte
	data  []byte
	again []byte // with flagPair
}

// A reply is a worker's answer, or how the worker ended over it.
type reply struct {
	payload []byte
	died    string // "hung" or "crashed"; else empty
}

// A worker answers requests in a process of its own, which is killed when it
// takes too long and started again when it ends.
type worker struct {
	command  []string
	patience time.Duration // for as many replies as are kept back
	log      io.Writer     // gets what the process writes to standard error; nil for none
	started  int

	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

func (w *worker) start() error {
	w.process = exec.Command(w.command[0], w.command[1:]...)
	w.process.Stderr = w.log
	w.process.Env = append(os.Environ(), "GOTRACEBACK=none")
	in, err := w.process.StdinPipe()
	if err != nil {
		return err
	}
	out, err := w.process.StdoutPipe()
	if err != nil {
		return err
	}
	w.in, w.out = in, bufio.NewReaderSize(out, 1<<16)
	w.started++
	return w.process.Start()
}

// stop ends the process, and says how it ended before, if it had.
func (w *worker) stop() (died string) {
	if w.process == nil {
		return ""
	}
	w.in.Close()
	w.process.Process.Kill()
	w.process.Wait()
	status, _ := w.process.ProcessState.Sys().(syscall.WaitStatus)
	w.process = nil
	if status.Signaled() && (status.Signal() == syscall.SIGVTALRM || status.Signal() == syscall.SIGKILL) {
		return "hung"
	}
	return "crashed"
}

// ask returns a reply to each request. The worker keeps its replies back until
// as many as interval have come together, for a write may cost more than a
// reply. When it dies the requests of that run are asked again in shorter
// runs, down to the one to blame.
func (w *worker) ask(requests []request, interval int) ([]reply, error) {
	var replies []reply
	for len(replies) < len(requests) {
		rest := requests[len(replies):]
		more, died, err := w.try(rest, interval)
		if err != nil {
			return nil, err
		}
		replies = append(replies, more...)
		switch {
		case died == "":
		case interval == 1:
			replies = append(replies, reply{died: died})
		default:
			again, err := w.ask(rest[len(more):min(len(more)+interval, len(rest))], max(1, interval/16))
			if err != nil {
				return nil, err
			}
			replies = append(replies, again...)
		}
	}
	return replies, nil
}

// try returns the replies that came before the process died.
func (w *worker) try(requests []request, interval int) (replies []reply, died string, err error) {
	if w.process == nil {
		if err := w.start(); err != nil {
			return nil, "", err
		}
	}
	process := w.process.Process
	watchdog := time.AfterFunc(w.patience, func() { process.Kill() })
	written := make(chan struct{})
	go func() {
		defer close(written)
		w.write(requests, interval)
	}()
	for range requests {
		r, err := w.read()
		if err != nil {
			watchdog.Stop()
			died = w.stop()
			break
		}
		watchdog.Reset(w.patience)
		replies = append(replies, r)
	}
	watchdog.Stop()
	<-written
	return replies, died, nil
}

// write ignores errors: read meets them too.
func (w *worker) write(requests []request, interval int) {
	b := bufio.NewWriterSize(w.in, 1<<16)
	var head [5]byte
	for i, r := range requests {
		head[0] = r.flags
		if i%interval == interval-1 || i == len(requests)-1 {
			head[0] |= flagFlush
		}
		binary.LittleEndian.PutUint32(head[1:], uint32(len(r.data)))
		b.Write(head[:])
		b.Write(r.data)
		if r.flags&flagPair != 0 {
			binary.LittleEndian.PutUint32(head[1:], uint32(len(r.again)))
			b.Write(head[1:])
			b.Write(r.again)
		}
	}
	b.Flush()
}

func (w *worker) read() (reply, error) {
	var head [4]byte
	if _, err := io.ReadFull(w.out, head[:]); err != nil {
		return reply{}, err
	}
	payload := make([]byte, binary.LittleEndian.Uint32(head[:]))
	_, err := io.ReadFull(w.out, payload)
	return reply{payload: payload}, err
}

// serve is the other end: it answers requests from standard input.
func serve(answer func(request) []byte) error {
	in := bufio.NewReaderSize(os.Stdin, 1<<16)
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	for {
		var head [5]byte
		if _, err := io.ReadFull(in, head[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading a request: %w", err)
		}
		data := make([]byte, binary.LittleEndian.Uint32(head[1:]))
		if _, err := io.ReadFull(in, data); err != nil {
			return fmt.Errorf("reading a request: %w", err)
		}
		flags := head[0]
		payload := answer(request{flags: flags, data: data})
		binary.LittleEndian.PutUint32(head[:4], uint32(len(payload)))
		out.Write(head[:4])
		out.Write(payload)
		if flags&flagFlush == 0 {
			continue
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
}
