// Command differential compares package pickle with CPython's own unpicklers,
// and with gopickle, over mutated and made-up pickles.
//
//	go run ./integration/differential -n 100000 -python .venv/bin/python
//
// For each input that Verify lets through, CPython must load it without an
// error, from an unbuffered and a buffered file and in pure Python, import and
// take by getattr exactly what the report says and in that order, and stop
// where the report says. What the default policy lets through is also loaded
// with the real types of the standard library, under an audit hook, and what
// Decode and Append make of it must load to the same. Whatever is imported
// else is a stand-in that does nothing.
//
// What CPython loads and Verify refuses is counted by reason. The tables are
// written in Markdown, also when an interrupt ends the run early. The exit
// status is 1 when anything did not agree.
package main

import (
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"alforja/gateway"
	"alforja/pickle"
)

type options struct {
	inputs   uint64
	seed     uint64
	first    uint64
	python   string
	testdata string
	findings string
	second   bool
	jobs     int
}

func main() {
	var o options
	flag.Uint64Var(&o.inputs, "n", 100_000, "number of `inputs`")
	flag.Uint64Var(&o.seed, "seed", 1, "what the inputs are made from: the same seed, the same inputs")
	flag.Uint64Var(&o.first, "first", 0, "`index` of the first input, to see one again")
	flag.StringVar(&o.python, "python", "python3", "the `interpreter` to compare with")
	flag.StringVar(&o.testdata, "testdata", "pickle/testdata", "`directory` of the seeds")
	flag.StringVar(&o.findings, "findings", "", "`file` to write disagreements to, as lines of JSON; default: none")
	flag.BoolVar(&o.second, "second-opinion", true, "compare with gopickle too")
	flag.IntVar(&o.jobs, "jobs", 1, "inputs are divided among so many `processes`")
	gopickle := flag.Bool("gopickle", false, "answer requests with gopickle; for the command's own use")
	flag.Parse()

	if *gopickle {
		if err := serveGopickle(); err != nil {
			fmt.Fprintln(os.Stderr, "differential:", err)
			os.Exit(1)
		}
		return
	}
	bad, err := run(o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "differential:", err)
		os.Exit(2)
	}
	if bad {
		os.Exit(1)
	}
}

// patience is how long a worker may take, on a machine that may be busy. CPython's
// ends itself after two seconds of processor time.
const patience = time.Minute

// batch is how many inputs go to the workers at once.
const batch = 1024

// interval is how many replies a worker may keep back.
const interval = 256

func run(o options) (bad bool, err error) {
	seeds, err := readSeeds(o.testdata)
	if err != nil {
		return false, err
	}
	policy, err := gateway.NewPolicy(nil, false)
	if err != nil {
		return false, err
	}
	fmt.Printf("seed %d, %d seeds, inputs %d to %d\n", o.seed, len(seeds), o.first, o.first+o.inputs-1)
	inputs := &source{seed: o.seed, seeds: seeds}
	t := newTally(o.seed)
	if o.findings != "" {
		f, err := os.Create(o.findings)
		if err != nil {
			return false, err
		}
		defer f.Close()
		t.kept = json.NewEncoder(f)
	}
	interrupted, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	next := atomic.Uint64{}
	next.Store(o.first)
	errs := make(chan error)
	for range o.jobs {
		go func() {
			errs <- job(interrupted, o, inputs, policy, &next, t)
		}()
	}
	for range o.jobs {
		err = errors.Join(err, <-errs)
	}
	t.print(os.Stdout)
	return len(t.findings) > 0, err
}

// job compares batch after batch, with workers of its own.
func job(ctx context.Context, o options, inputs *source, policy *pickle.Policy, next *atomic.Uint64, t *tally) error {
	cpython := &worker{
		command:  []string{o.python, "-W", "ignore", filepath.Join("integration", "differential", "unpickler.py")},
		patience: patience, log: os.Stderr,
	}
	defer cpython.stop()
	second := &worker{command: []string{os.Args[0], "-gopickle"}, patience: patience}
	defer second.stop()
	end := o.first + o.inputs
	for ctx.Err() == nil {
		at := next.Add(batch) - batch
		if at >= end {
			break
		}
		outcomes := make([]outcome, 0, batch)
		for i := at; i < min(at+batch, end); i++ {
			data, how := inputs.input(i)
			outcome := examine(i, data, policy)
			outcome.how = how
			outcomes = append(outcomes, outcome)
		}
		if err := compare(t, outcomes, cpython, second, o.second); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.restarts[0] += cpython.started - 1
	t.restarts[1] += max(0, second.started-1)
	return nil
}

func compare(t *tally, outcomes []outcome, cpython, second *worker, withSecond bool) error {
	requests := make([]request, len(outcomes))
	for i := range outcomes {
		requests[i] = ask(&outcomes[i])
	}
	replies, err := cpython.ask(requests, interval)
	if err != nil {
		return fmt.Errorf("CPython: %w", err)
	}
	opinions := make([]reply, len(outcomes))
	if withSecond {
		for i := range requests {
			requests[i].flags = 0
		}
		if opinions, err = second.ask(requests, interval); err != nil {
			return fmt.Errorf("gopickle: %w", err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range outcomes {
		if err := t.add(&outcomes[i], parseReply(replies[i]), opinions[i]); err != nil {
			return err
		}
	}
	return nil
}

// ask says how closely CPython is to look at an input.
func ask(o *outcome) request {
	r := request{data: o.data}
	if o.err == nil {
		r.flags |= flagReaders
		if o.index%4 == 1 { // it takes as long as all else together
			r.flags |= flagPure
		}
		if o.policy == nil {
			r.flags |= flagReal
			if o.again != nil && o.index%4 == 0 {
				r.flags |= flagPair
				r.again = o.again
			}
		}
	}
	return r
}

// maxSeed keeps seeds small, in bytes, so that a mutation matters.
const maxSeed = 700

// readSeeds returns the pickles of the corpora, each once.
func readSeeds(dir string) ([][]byte, error) {
	var seeds [][]byte
	seen := map[string]bool{}
	for _, name := range []string{"good.jsonl.gz", "roundtrip.jsonl.gz", "hostile.jsonl"} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		var r io.Reader = f
		if strings.HasSuffix(name, ".gz") {
			if r, err = gzip.NewReader(f); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		lines := json.NewDecoder(r)
		for {
			var line struct{ Name, Hex string }
			if err := lines.Decode(&line); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			data, err := hex.DecodeString(line.Hex)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			// CPython hashes these until it is killed; Verify's tests have them.
			if strings.HasPrefix(line.Name, "hash-bomb") {
				continue
			}
			if len(data) <= maxSeed && !seen[string(data)] {
				seen[string(data)] = true
				seeds = append(seeds, data)
			}
		}
	}
	return seeds, nil
}
