package main

import (
	"bytes"
	"fmt"

	"github.com/nlpodyssey/gopickle/pickle"
	"golang.org/x/sys/unix"
)

// gopickleMemory bounds the address space, in bytes: gopickle allocates
// whatever length a pickle announces, and ends the process when it cannot.
const gopickleMemory = 2 << 30

func serveGopickle() error {
	if err := unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: gopickleMemory, Max: gopickleMemory}); err != nil {
		return fmt.Errorf("bounding memory: %w", err)
	}
	return serve(answerGopickle)
}

// gopickleBomb is the length, in bytes, from which on the process is spared
// the attempt. To start it anew each time would take most of the run.
const gopickleBomb = 256 << 20

// answerGopickle loads with gopickle, given stand-ins for all classes, and
// answers '+' when it loaded, '-' and the error when not, '!' and what a
// panic said, '*' when it comes to a length that the process would not survive.
func answerGopickle(r request) []byte {
	at, length := announced(r.data)
	if length < gopickleBomb || length > 1<<47 { // which is a panic
		return loadGopickle(r.data)
	}
	if b := loadGopickle(r.data[:at]); !bytes.Contains(b, []byte("EOF")) {
		return b
	}
	return []byte("*")
}

func loadGopickle(data []byte) (payload []byte) {
	defer func() {
		if p := recover(); p != nil {
			payload = fmt.Appendf(nil, "!%.200v", p)
		}
	}()
	u := pickle.NewUnpickler(bytes.NewReader(data))
	u.FindClass = func(module, name string) (any, error) { return gopickleClass{}, nil }
	u.PersistentLoad = func(id any) (any, error) { return &gopickleObject{}, nil }
	if _, err := u.Load(); err != nil {
		return fmt.Appendf(nil, "-%.200v", err)
	}
	return []byte("+")
}

type gopickleClass struct{}

func (gopickleClass) Call(args ...any) (any, error)  { return &gopickleObject{}, nil }
func (gopickleClass) PyNew(args ...any) (any, error) { return &gopickleObject{}, nil }

type gopickleObject struct{ items []any }

func (o *gopickleObject) PySetState(state any) error { o.items = append(o.items, state); return nil }
func (o *gopickleObject) Append(v any)               { o.items = append(o.items, v) }
func (o *gopickleObject) Set(k, v any)               { o.items = append(o.items, k, v) }
func (o *gopickleObject) Add(v any)                  { o.items = append(o.items, v) }
