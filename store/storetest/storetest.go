// Package storetest is the conformance suite of store.Store: what the
// interface promises in words, as tests.
package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"alforja/store"
)

// Run runs the suite. open returns a new, empty store each time; Run closes it.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"a missing session is not an error", testMissing},
		{"a state comes back as it was stored", testRoundTrip},
		{"create refuses a taken id", testCreateExists},
		{"update replaces", testUpdate},
		{"update never creates", testUpdateDeleted},
		{"touch renews the time and nothing else", testTouch},
		{"delete removes", testDelete},
		{"invalid ids are refused by every method", testInvalidIDs},
		{"a large state is refused", testTooLarge},
		{"an ended context ends every method", testEndedContext},
		{"slices belong to the caller", testSlices},
		{"set aside only what was judged", testSetAside},
		{"a lock excludes", testLockExcludes},
		{"locks of different sessions are apart", testLocksApart},
		{"a lock needs no session", testLockNeedsNoSession},
		{"a lock is served in order", testLockOrder},
		{"a wait for a lock ends with its context", testLockCancel},
		{"a waiter that left is passed over", testLockLeave},
		{"all lists every session", testAll},
		{"all ends early", testAllEnds},
		{"all goes on behind a cursor", testAllGoesOn},
		{"all refuses what is no cursor", testAllCursor},
		{"all runs while others write", testAllWhileWriting},
		{"idle sessions are deleted", testDeleteIdle},
		{"a session in use is not deleted as idle", testDeleteIdleLocked},
		{"a session saved just now is not deleted as idle", testDeleteIdleSaved},
		{"no update is lost under the lock", testNoLostUpdate},
		{"each of 64 waiters gets its turns", Crowd},
		{"one create of many wins", testCreateRace},
		{"states are never mixed", testNeverMixed},
		{"logged out stays logged out", testLogout},
		{"a writer gets its turn among readers", testWriterAmongReaders},
		{"calls happen in an order", testLinearizable},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "-"), func(t *testing.T) {
			s := open(t)
			defer func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}()
			test.run(t, s)
		})
	}
}

// The pickles of the suite are bytes strings of any length, which Python would load.
func pickled(fill byte, n int) []byte {
	state := []byte{0x80, 4, 'B', byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}
	return append(append(state, bytes.Repeat([]byte{fill}, n)...), '.')
}

func create(t *testing.T, s store.Store, id string, state []byte) {
	t.Helper()
	if err := s.Create(t.Context(), id, state); err != nil {
		t.Fatalf("Create(%s): %v", id, err)
	}
}

func wantState(t *testing.T, s store.Store, id string, want []byte) {
	t.Helper()
	got, found, err := s.Load(t.Context(), id)
	if err != nil || !found || !bytes.Equal(got, want) {
		t.Errorf("Load(%s) = %.40q (%d bytes), %v, %v; want %.40q (%d bytes)", id, got, len(got), found, err, want, len(want))
	}
}

func wantMissing(t *testing.T, s store.Store, id string) {
	t.Helper()
	if got, found, err := s.Load(t.Context(), id); found || err != nil || len(got) > 0 {
		t.Errorf("Load(%s) = %.40q, %v, %v; want no session", id, got, found, err)
	}
}

func list(t *testing.T, s store.Store) map[string]store.Info {
	t.Helper()
	infos := make(map[string]store.Info)
	for info, err := range s.All(t.Context(), "") {
		if err != nil {
			t.Fatalf("All: %v", err)
		}
		if _, twice := infos[info.ID]; twice {
			t.Errorf("All lists %s twice", info.ID)
		}
		infos[info.ID] = info
	}
	return infos
}

func testMissing(t *testing.T, s store.Store) {
	wantMissing(t, s, "nobody")
	for name, call := range map[string]func() (bool, error){
		"Update":   func() (bool, error) { return s.Update(t.Context(), "nobody", pickled('a', 1)) },
		"Touch":    func() (bool, error) { return s.Touch(t.Context(), "nobody") },
		"Delete":   func() (bool, error) { return s.Delete(t.Context(), "nobody") },
		"SetAside": func() (bool, error) { return s.SetAside(t.Context(), "nobody", nil) },
	} {
		if found, err := call(); found || err != nil {
			t.Errorf("%s = %v, %v; want false, nil", name, found, err)
		}
	}
	if n := len(list(t, s)); n != 0 {
		t.Errorf("All lists %d sessions of an empty store", n)
	}
}

// sizes are those at which stores change their ways.
var sizes = []int{0, 1, 258, 4088, 4089, 5000, 8192, 70_000, store.MaxStateBytes - 8}

func testRoundTrip(t *testing.T, s store.Store) {
	for _, n := range sizes {
		id := fmt.Sprintf("-_size%d", n)
		create(t, s, id, pickled('r', n))
		wantState(t, s, id, pickled('r', n))
	}
	longest := strings.Repeat("Z", store.MaxIDBytes)
	create(t, s, longest, pickled('z', 9))
	wantState(t, s, longest, pickled('z', 9))
}

func testCreateExists(t *testing.T, s store.Store) {
	create(t, s, "a", pickled('1', 10))
	if err := s.Create(t.Context(), "a", pickled('2', 10)); !errors.Is(err, store.ErrExists) {
		t.Errorf("second Create = %v, want ErrExists", err)
	}
	wantState(t, s, "a", pickled('1', 10))
}

func testUpdate(t *testing.T, s store.Store) {
	create(t, s, "a", pickled('0', 10))
	create(t, s, "b", pickled('b', 10))
	for _, from := range sizes {
		for _, to := range sizes {
			for _, state := range [][]byte{pickled('x', from), pickled('y', to)} {
				if found, err := s.Update(t.Context(), "a", state); !found || err != nil {
					t.Fatalf("Update from %d to %d = %v, %v", from, to, found, err)
				}
				wantState(t, s, "a", state)
			}
		}
	}
	wantState(t, s, "b", pickled('b', 10))
}

func testUpdateDeleted(t *testing.T, s store.Store) {
	for _, n := range sizes {
		create(t, s, "a", pickled('1', n))
		if found, err := s.Delete(t.Context(), "a"); !found || err != nil {
			t.Fatalf("Delete = %v, %v", found, err)
		}
		if found, err := s.Update(t.Context(), "a", pickled('2', n)); found || err != nil {
			t.Errorf("Update of a deleted session = %v, %v; want false, nil", found, err)
		}
		wantMissing(t, s, "a")
	}
}

func testTouch(t *testing.T, s store.Store) {
	create(t, s, "a", pickled('1', 10))
	before := list(t, s)["a"].Modified
	awaitClock(before, 50*time.Millisecond)
	if found, err := s.Touch(t.Context(), "a"); !found || err != nil {
		t.Fatalf("Touch = %v, %v", found, err)
	}
	after := list(t, s)["a"].Modified
	if after.Sub(before) < 40*time.Millisecond || time.Until(after) > time.Second {
		t.Errorf("modified %v before and %v after Touch", before, after)
	}
	wantState(t, s, "a", pickled('1', 10))
}

func testDelete(t *testing.T, s store.Store) {
	create(t, s, "a", pickled('1', 10))
	create(t, s, "b", pickled('2', 10))
	if found, err := s.Delete(t.Context(), "a"); !found || err != nil {
		t.Fatalf("Delete = %v, %v", found, err)
	}
	wantMissing(t, s, "a")
	if found, err := s.Delete(t.Context(), "a"); found || err != nil {
		t.Errorf("second Delete = %v, %v; want false, nil", found, err)
	}
	create(t, s, "a", pickled('3', 10))
	wantState(t, s, "a", pickled('3', 10))
	wantState(t, s, "b", pickled('2', 10))
}

var invalidIDs = []string{
	"", ".", "..", "../evil", "/etc/passwd", "a/b", "a.b", "*del*", "a b", "a\x00", "a\n", "é", "%2e",
	strings.Repeat("a", store.MaxIDBytes+1),
}

func testInvalidIDs(t *testing.T, s store.Store) {
	for _, id := range invalidIDs {
		for name, err := range callAll(t, s, id) {
			if !errors.Is(err, store.ErrInvalidID) {
				t.Errorf("%s(%q) = %v, want ErrInvalidID", name, id, err)
			}
		}
	}
}

func testTooLarge(t *testing.T, s store.Store) {
	large := pickled('l', store.MaxStateBytes-7)
	if err := s.Create(t.Context(), "a", large); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("Create = %v, want ErrTooLarge", err)
	}
	wantMissing(t, s, "a")
	create(t, s, "a", pickled('s', 1))
	if _, err := s.Update(t.Context(), "a", large); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("Update = %v, want ErrTooLarge", err)
	}
	wantState(t, s, "a", pickled('s', 1))
}

func testSlices(t *testing.T, s store.Store) {
	mine := pickled('m', 20)
	create(t, s, "a", mine)
	mine[10] = 'X'
	wantState(t, s, "a", pickled('m', 20))

	mine = pickled('n', 20)
	if _, err := s.Update(t.Context(), "a", mine); err != nil {
		t.Fatal(err)
	}
	mine[10] = 'X'
	got, _, _ := s.Load(t.Context(), "a")
	if len(got) > 10 {
		got[10] = 'Y'
	}
	wantState(t, s, "a", pickled('n', 20))
}

func testSetAside(t *testing.T, s store.Store) {
	create(t, s, "a", pickled('1', 10))
	for _, other := range [][]byte{nil, pickled('2', 10), pickled('1', 9), pickled('1', 11)} {
		if done, err := s.SetAside(t.Context(), "a", other); done || err != nil {
			t.Errorf("SetAside of another state = %v, %v; want false, nil", done, err)
		}
	}
	wantState(t, s, "a", pickled('1', 10))
	if done, err := s.SetAside(t.Context(), "a", pickled('1', 10)); !done || err != nil {
		t.Fatalf("SetAside = %v, %v", done, err)
	}
	wantMissing(t, s, "a")
	if n := len(list(t, s)); n != 0 {
		t.Errorf("All lists %d sessions, want none", n)
	}
	create(t, s, "a", pickled('1', 10)) // the same damage again
	if done, err := s.SetAside(t.Context(), "a", pickled('1', 10)); !done || err != nil {
		t.Fatalf("second SetAside = %v, %v", done, err)
	}
	create(t, s, "a", pickled('3', 10))
	wantState(t, s, "a", pickled('3', 10))
}

// awaitClock returns once d has passed since then, which no event tells.
func awaitClock(then time.Time, d time.Duration) {
	<-time.After(time.Until(then.Add(d)))
}
