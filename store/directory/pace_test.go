package directory

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"
)

// A long job rests as long as it works while there are requests, and never
// without.
func TestPace(t *testing.T) {
	const work = 5 * time.Millisecond
	for _, traffic := range []bool{false, true} {
		p := newPace(func() bool { return traffic })
		p.since = time.Now().Add(-work)
		begun := time.Now()
		for range paceSteps {
			if err := p.step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if rested := time.Since(begun); rested >= work != traffic {
			t.Errorf("traffic %v: rested for %v after %v of work", traffic, rested, work)
		}
	}
	p := newPace(func() bool { return true })
	p.since = time.Now().Add(-time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var err error
	for range paceSteps {
		err = errors.Join(err, p.step(ctx))
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("step = %v, want context.Canceled", err)
	}
}

// Requests are calls of this store, and locks that others have on any session.
func TestTraffic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sessions")
	s, other := openStore(t, path), openStore(t, path)
	served := s.served()
	want := func(what string, here, elsewhere bool) {
		t.Helper()
		if got := served(); got != (here || elsewhere) {
			t.Errorf("%s: served = %v", what, got)
		}
		if got := s.servedElsewhere(); got != elsewhere {
			t.Errorf("%s: servedElsewhere = %v", what, got)
		}
	}
	want("at first", false, false)
	if _, _, err := s.Load(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	want("after a load", true, false)
	want("after nothing", false, false)
	for _, id := range []string{"a", "b", "c"} {
		unlock, err := other.Lock(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		want("locked by another", false, true)
		unlock()
	}
	unlock, err := s.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	want("locked by itself", false, false)
	unlock()
	want("in the end", false, false)
}
