package catalog_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"

	"alforja/pickle"
	"alforja/store"
	"alforja/store/catalog"
	"alforja/store/memory"
)

func filled(t *testing.T, n int) *memory.Store {
	t.Helper()
	s := memory.New()
	for i := range n {
		state := session(t, 4, sessionClass, attributes(pickle.Str("user"), pickle.Str(fmt.Sprint("u", i))))
		if err := s.Create(t.Context(), fmt.Sprint("id", i), state); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestEntriesSeesEachOnce(t *testing.T) {
	for _, n := range []int{0, 1, 63, 64, 65, 1000} {
		seen := map[string]int{}
		err := catalog.Entries(t.Context(), filled(t, n), catalog.DescribeAny, func(e catalog.Entry) error {
			seen[e.ID+" "+e.User]++
			return nil
		})
		if err != nil || len(seen) != n {
			t.Errorf("%d sessions: %d seen, %v", n, len(seen), err)
		}
		for key, times := range seen {
			if times != 1 {
				t.Errorf("%s seen %d times", key, times)
			}
		}
	}
}

// Whoever keeps states in the results, as an export does, holds a few large ones.
func TestScanHoldsFewLargeSessions(t *testing.T) {
	var held, most atomic.Int64
	large := &resized{filled(t, 200), store.MaxStateBytes}
	err := catalog.Scan(t.Context(), large, func(context.Context, store.Info) int64 {
		return held.Add(1)
	}, func(n int64) error {
		most.Store(max(most.Load(), n))
		held.Add(-1)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := most.Load(); n > 10 { // two for each of four workers, and a pair in passing
		t.Errorf("%d sessions of 4 MiB were held at once", n)
	}
}

// resized is a store that says of each session that it has size bytes.
type resized struct {
	store.Store
	size int64
}

func (r *resized) All(ctx context.Context, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for info, err := range r.Store.All(ctx, after) {
			info.Size = r.size
			if !yield(info, err) {
				return
			}
		}
	}
}

// A faulty store fails to load one session, and its list after some.
type faulty struct {
	store.Store
	unreadable string
	listErr    error
}

var errDisk = errors.New("disk")

func (f *faulty) Load(ctx context.Context, id string) ([]byte, bool, error) {
	if id == f.unreadable {
		return nil, true, errDisk
	}
	return f.Store.Load(ctx, id)
}

func (f *faulty) All(ctx context.Context, after string) iter.Seq2[store.Info, error] {
	return func(yield func(store.Info, error) bool) {
		for info, err := range f.Store.All(ctx, after) {
			if !yield(info, err) {
				return
			}
		}
		if f.listErr != nil {
			yield(store.Info{}, f.listErr)
		}
	}
}

func TestOneUnreadableSessionDoesNotStopAListing(t *testing.T) {
	seen, bad := 0, 0
	err := catalog.Entries(t.Context(), &faulty{Store: filled(t, 200), unreadable: "id77"}, catalog.DescribeAny, func(e catalog.Entry) error {
		seen++
		if errors.Is(e.Err, errDisk) && e.ID == "id77" {
			bad++
		}
		return nil
	})
	if err != nil || seen != 200 || bad != 1 {
		t.Errorf("%d seen, %d bad, %v", seen, bad, err)
	}
}

func TestScanEndsWithTheFirstError(t *testing.T) {
	err := catalog.Entries(t.Context(), &faulty{Store: filled(t, 200), listErr: errDisk}, catalog.DescribeAny, func(catalog.Entry) error { return nil })
	if !errors.Is(err, errDisk) {
		t.Errorf("of the list: %v", err)
	}
	calls := 0
	err = catalog.Entries(t.Context(), filled(t, 1000), catalog.DescribeAny, func(catalog.Entry) error {
		calls++
		return errDisk
	})
	if !errors.Is(err, errDisk) || calls != 1 {
		t.Errorf("of emit: %v after %d calls", err, calls)
	}
}

// What work has done is told even when the scan is interrupted.
func TestInterruptedScanTellsAllThatWasDone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var worked atomic.Int64
	told := int64(0)
	err := catalog.Scan(ctx, filled(t, 5000), func(context.Context, store.Info) int {
		if worked.Add(1) == 300 {
			cancel()
		}
		return 1
	}, func(int) error {
		told++
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if told != worked.Load() || told >= 5000 {
		t.Errorf("%d done, %d told", worked.Load(), told)
	}
}
