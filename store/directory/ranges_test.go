package directory

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"alforja/store"
)

func openRanges(t *testing.T, path string) *rangeLocks {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &rangeLocks{fd: int(f.Fd())}
}

// Two sessions of one process at one offset do not wait for each other, and
// the first to leave does not free it for others.
func TestRangesShareAnOffset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	a, b := openRanges(t, path), openRanges(t, path)
	for range 2 {
		if ok, err := a.try(7); !ok || err != nil {
			t.Fatalf("try = %v, %v", ok, err)
		}
	}
	for want := range 2 {
		if ok, _ := b.try(7); ok {
			t.Fatalf("another process has the lock after %d unlocks of 2", want)
		}
		a.unlock(7)
	}
	if ok, _ := b.try(7); !ok {
		t.Error("the lock is not free after the last unlock")
	}
}

func TestRangesModel(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	both := []*rangeLocks{openRanges(t, path), openRanges(t, path)}
	rapid.Check(t, func(t *rapid.T) {
		var held [2][3]int
		defer func() {
			for p, r := range both {
				for offset, n := range held[p] {
					for range n {
						r.unlock(int64(offset))
					}
				}
			}
		}()
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			p, offset := rapid.IntRange(0, 1).Draw(t, "process"), rapid.IntRange(0, 2).Draw(t, "offset")
			if held[p][offset] > 0 && rapid.Bool().Draw(t, "unlock") {
				both[p].unlock(int64(offset))
				held[p][offset]--
				continue
			}
			ok, err := both[p].try(int64(offset))
			if want := held[1-p][offset] == 0; ok != want || err != nil {
				t.Fatalf("try = %v, %v; want %v", ok, err, want)
			}
			if ok {
				held[p][offset]++
			}
		}
	})
}

func TestLockOffset(t *testing.T) {
	for _, id := range []string{"a", "b", strings.Repeat("x", store.MaxIDBytes), store.NewID()} {
		if offset := lockOffset(id); offset < 0 || offset > maxOffset || offset%2 != 0 {
			t.Errorf("lockOffset(%s) = %d", id, offset)
		}
	}
	if got := lockOffset("a"); got != 0x32a5e044b286ef72 {
		t.Errorf("lockOffset(a) = %#x: gateways of different versions would not meet", got)
	}
}

// A process that hands a session from one of its requests to the next does not keep another
// process out.
func TestLockIsFairBetweenStores(t *testing.T) {
	for _, clients := range []int{1, 4} {
		t.Run(fmt.Sprint(clients), func(t *testing.T) { testFair(t, clients) })
	}
}

func testFair(t *testing.T, clients int) {
	path := filepath.Join(t.TempDir(), "sessions")
	busy, err := Open(path, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	other, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stop, done := make(chan struct{}), make(chan struct{}, clients)
	for range cap(done) {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				select {
				case <-stop:
					return
				default:
				}
				unlock, err := busy.Lock(ctx, "a")
				if err != nil {
					t.Error(err)
					return
				}
				<-time.After(time.Millisecond) // a request
				unlock()
			}
		}()
	}
	var longest time.Duration
	for range 50 {
		start := time.Now()
		unlock, err := other.Lock(ctx, "a")
		if err != nil {
			t.Fatal(err)
		}
		longest = max(longest, time.Since(start))
		unlock()
	}
	close(stop)
	for range cap(done) {
		<-done
	}
	if longest > 500*time.Millisecond {
		t.Errorf("waited up to %v for requests of 1 ms", longest)
	}
}
