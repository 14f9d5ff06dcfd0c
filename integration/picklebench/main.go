// Command picklebench is the Go side of bench_pickle.py. It reads requests as
// lines of JSON, runs an operation so many times over a pickle, and answers
// each with what one operation took.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"runtime"
	"syscall"
	"time"

	"alforja/gateway"
	"alforja/pickle"
)

type request struct {
	Operation string
	File      string // the pickle
	Times     int
}

// A reply is per operation.
type reply struct {
	Wall      float64 `json:"wall"`      // nanoseconds
	Processor float64 `json:"processor"` // nanoseconds of all threads, the garbage collector's too
	Allocs    float64 `json:"allocs"`
	Bytes     float64 `json:"bytes"` // allocated
}

func main() {
	log.SetFlags(0)
	lines := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			log.Fatal(err)
		}
		once, err := operation(r)
		if err != nil {
			log.Fatalf("%s: %v", r.Operation, err)
		}
		measured, err := measure(once, r.Times)
		if err != nil {
			log.Fatalf("%s: %v", r.Operation, err)
		}
		if err := answers.Encode(measured); err != nil {
			log.Fatal(err)
		}
	}
}

func operation(r request) (func() error, error) {
	data, err := os.ReadFile(r.File)
	if err != nil {
		return nil, err
	}
	switch r.Operation {
	case "verify":
		return func() error { _, err := pickle.Verify(data, pickle.Limits{}); return err }, nil
	case "check":
		return check(data)
	case "decode":
		return func() error { _, err := pickle.Decode(data, pickle.DecodeOptions{}); return err }, nil
	case "append":
		return encode(data)
	case "edit":
		return func() error { return edit(data) }, nil
	case "gopickle":
		text := string(data)
		return func() error { return gopickleLoad(text) }, nil
	}
	return nil, fmt.Errorf("no such operation")
}

func check(data []byte) (func() error, error) {
	policy, err := gateway.NewPolicy(nil, false)
	return func() error {
		report, err := pickle.Verify(data, pickle.Limits{})
		if err != nil {
			return err
		}
		return policy.Check(report)
	}, err
}

// encode writes in the protocol in which data is, over the same buffer.
func encode(data []byte) (func() error, error) {
	report, err := pickle.Verify(data, pickle.Limits{})
	if err != nil {
		return nil, err
	}
	v, err := pickle.Decode(data, pickle.DecodeOptions{})
	var out []byte
	return func() error {
		var err error
		out, err = pickle.Append(out[:0], v, report.Protocol)
		return err
	}, err
}

// edit is what a gateway does with a session: it reads one attribute and
// sets another.
func edit(data []byte) error {
	if _, err := pickle.FindAttribute(data, "user"); err != nil {
		return err
	}
	return pickle.SetFloatAttribute(data, "_access_time", 1.8e9)
}

func measure(once func() error, times int) (reply, error) {
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	processor, start := processorTime(), time.Now()
	for range times {
		if err := once(); err != nil {
			return reply{}, err
		}
	}
	wall, used := time.Since(start), processorTime()-processor
	runtime.ReadMemStats(&after)
	n := float64(times)
	return reply{
		Wall:      float64(wall) / n,
		Processor: float64(used) / n,
		Allocs:    float64(after.Mallocs-before.Mallocs) / n,
		Bytes:     float64(after.TotalAlloc-before.TotalAlloc) / n,
	}, nil
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
