package storetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"alforja/store"
)

// testLinearizable records what concurrent clients do to few sessions, without
// the lock, and has porcupine look for an order, true to the times of the
// calls, in which a plain map would have answered the same.
func testLinearizable(t *testing.T, s store.Store) {
	const rounds, clients, calls = 4, 8, 60
	ids := []string{"a", "b", "c"}
	for range rounds {
		h := &history{store: s, begin: time.Now()}
		var wg sync.WaitGroup
		for client := range clients {
			wg.Go(func() {
				for range calls {
					h.call(t, client, ids[rand.IntN(len(ids))])
				}
			})
		}
		wg.Wait()
		for _, id := range ids {
			h.check(t, id)
			if _, err := s.Delete(t.Context(), id); err != nil { // a round begins with an empty store
				t.Fatal(err)
			}
		}
	}
}

type history struct {
	store store.Store
	begin time.Time

	mu      sync.Mutex
	byID    map[string][]porcupine.Operation
	written uint32 // the last value that a call was given
}

type request struct {
	method string
	value  uint32 // that is stored, or that SetAside judges
}

type response struct {
	found bool
	value uint32 // that Load has found
}

// methods are called as often as they are listed here.
var methods = []string{
	"Load", "Load", "Load", "Create", "Create", "Update", "Update", "Update",
	"Touch", "Delete", "SetAside", "DeleteIdle",
}

// call makes one call and records it. DeleteIdle, with a time that makes every
// session idle, is one for each session: it may have passed over any that was
// in use.
func (h *history) call(t *testing.T, client int, id string) {
	in := request{method: methods[rand.IntN(len(methods))]}
	h.mu.Lock()
	switch in.method {
	case "Create", "Update":
		h.written++
		in.value = h.written
	case "SetAside":
		in.value = h.written - min(h.written, rand.Uint32N(4))
	}
	h.mu.Unlock()

	called := time.Since(h.begin)
	out, err := h.do(t, id, in)
	returned := time.Since(h.begin)
	if err != nil {
		t.Errorf("%s(%s): %v", in.method, id, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byID == nil {
		h.byID = make(map[string][]porcupine.Operation)
	}
	ids := []string{id}
	if in.method == "DeleteIdle" {
		ids = []string{"a", "b", "c"}
	}
	for _, id := range ids {
		h.byID[id] = append(h.byID[id], porcupine.Operation{
			ClientId: client, Input: in, Output: out, Call: called.Nanoseconds(), Return: returned.Nanoseconds()})
	}
}

func (h *history) do(t *testing.T, id string, in request) (out response, err error) {
	ctx, state := t.Context(), numbered(in.value)
	switch in.method {
	case "Load":
		var state []byte
		if state, out.found, err = h.store.Load(ctx, id); out.found && err == nil {
			out.value, err = numberOf(state)
		}
	case "Create":
		err = h.store.Create(ctx, id, state)
		if out.found = errors.Is(err, store.ErrExists); out.found {
			err = nil
		}
	case "Update":
		out.found, err = h.store.Update(ctx, id, state)
	case "Touch":
		out.found, err = h.store.Touch(ctx, id)
	case "Delete":
		out.found, err = h.store.Delete(ctx, id)
	case "SetAside":
		out.found, err = h.store.SetAside(ctx, id, state)
	case "DeleteIdle":
		_, _, err = h.store.DeleteIdle(ctx, -time.Hour)
	}
	return out, err
}

// numbered is a state of the value n. Odd ones are longer than a page, so that
// states are written in both ways.
func numbered(n uint32) []byte {
	state := pickled('n', 4+int(n%2)*5000+int(n%7))
	binary.BigEndian.PutUint32(state[7:], n)
	return state
}

func numberOf(state []byte) (uint32, error) {
	if len(state) >= 12 {
		if n := binary.BigEndian.Uint32(state[7:]); bytes.Equal(state, numbered(n)) {
			return n, nil
		}
	}
	return 0, fmt.Errorf("torn: %.40q (%d bytes)", state, len(state))
}

// session is what a store holds under one id; 0 is none.
type session uint32

var model = porcupine.NondeterministicModel{
	Init: func() []any { return []any{session(0)} },
	Step: func(state, input, output any) []any {
		return step(state.(session), input.(request), output.(response))
	},
	DescribeOperation: func(input, output any) string {
		return fmt.Sprintf("%s %d -> %+v", input.(request).method, input.(request).value, output.(response))
	},
}

// step returns what the session can be after a call that was answered so:
// nothing if it cannot have been answered so.
func step(now session, in request, out response) []any {
	const none = session(0)
	is := now != none
	changes := map[string]session{
		"Load": now, "Touch": now, "Update": session(in.value), "Delete": none, "SetAside": none,
	}
	switch {
	case in.method == "DeleteIdle":
		return []any{now, none}
	case in.method == "Create" && out.found == is:
		if is {
			return []any{now}
		}
		return []any{session(in.value)}
	case in.method == "Create":
		return nil
	case in.method == "SetAside" && now != session(in.value):
		is = false
	}
	if out.found != is || in.method == "Load" && session(out.value) != now {
		return nil
	}
	if !is {
		return []any{now}
	}
	return []any{changes[in.method]}
}

func (h *history) check(t *testing.T, id string) {
	t.Helper()
	operations := h.byID[id]
	switch porcupine.CheckOperationsTimeout(model.ToModel(), operations, time.Minute) {
	case porcupine.Ok:
		return
	case porcupine.Unknown:
		t.Errorf("session %s: no answer within a minute on %d calls", id, len(operations))
		return
	}
	slices.SortFunc(operations, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	t.Errorf("session %s: no order explains these %d calls", id, len(operations))
	for _, op := range operations {
		t.Logf("client %d, %9d to %9d ns: %s", op.ClientId, op.Call, op.Return, model.DescribeOperation(op.Input, op.Output))
	}
}
