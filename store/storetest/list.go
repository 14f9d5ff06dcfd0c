package storetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"alforja/store"
)

func testAll(t *testing.T, s store.Store) {
	want := make(map[string]int64)
	for i := range 300 {
		id := fmt.Sprintf("session-%d", i)
		create(t, s, id, pickled('a', i))
		want[id] = int64(i + 8)
	}
	got := make(map[string]int64)
	for id, info := range list(t, s) {
		got[id] = info.Size
		if age := time.Since(info.Modified); age < -time.Second || age > time.Minute {
			t.Errorf("%s was modified %v ago", id, age)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("All lists %d sessions, want 300 with their sizes; first ids %v", len(got), slices.Sorted(maps.Keys(got))[:min(len(got), 5)])
	}
}

func testAllEnds(t *testing.T, s store.Store) {
	for i := range 10 {
		create(t, s, fmt.Sprint(i), pickled('a', i))
	}
	n := 0
	for range s.All(t.Context(), "") {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("saw %d sessions before the break, want 3", n)
	}
}

func testDeleteIdle(t *testing.T, s store.Store) {
	for _, id := range []string{"old1", "old2", "touched", "updated"} {
		create(t, s, id, pickled('a', 10))
	}
	const gap = 1500 * time.Millisecond // between the old ones and the others
	awaitClock(time.Now(), gap)
	used := time.Now()
	if _, err := s.Touch(t.Context(), "touched"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Update(t.Context(), "updated", pickled('b', 10)); err != nil {
		t.Fatal(err)
	}
	create(t, s, "new", pickled('a', 10))
	if deleted, remaining, err := s.DeleteIdle(t.Context(), time.Hour); deleted != 0 || remaining != 5 || err != nil {
		t.Errorf("DeleteIdle(1h) = %d, %d, %v; want 0, 5, nil", deleted, remaining, err)
	}
	idle := time.Since(used) + gap/2
	if deleted, remaining, err := s.DeleteIdle(t.Context(), idle); deleted != 2 || remaining != 3 || err != nil {
		t.Errorf("DeleteIdle(%v) = %d, %d, %v; want 2, 3, nil", idle, deleted, remaining, err)
	}
	if got := slices.Sorted(maps.Keys(list(t, s))); !slices.Equal(got, []string{"new", "touched", "updated"}) {
		t.Errorf("left are %v", got)
	}
}

func testAllWhileWriting(t *testing.T, s store.Store) {
	for i := range 100 {
		create(t, s, fmt.Sprintf("stays%d", i), pickled('s', 10))
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			id := fmt.Sprintf("comes%d", i%50)
			s.Create(t.Context(), id, pickled('c', 10))
			s.Update(t.Context(), fmt.Sprintf("stays%d", i%100), pickled('u', 10+i%2*5000))
			s.Delete(t.Context(), id)
		}
	})
	for range 10 {
		infos := list(t, s)
		for i := range 100 {
			if _, ok := infos[fmt.Sprintf("stays%d", i)]; !ok {
				t.Errorf("All left out stays%d", i)
			}
		}
	}
	close(stop)
	wg.Wait()
}

func testDeleteIdleLocked(t *testing.T, s store.Store) {
	create(t, s, "busy", pickled('b', 10))
	create(t, s, "idle", pickled('i', 10))
	unlock := lock(t, s, "busy")
	if deleted, remaining, err := s.DeleteIdle(t.Context(), -time.Hour); deleted != 1 || remaining != 1 || err != nil {
		t.Errorf("DeleteIdle = %d, %d, %v; want 1, 1, nil", deleted, remaining, err)
	}
	wantState(t, s, "busy", pickled('b', 10))
	wantMissing(t, s, "idle")
	unlock()
	if deleted, remaining, err := s.DeleteIdle(t.Context(), -time.Hour); deleted != 1 || remaining != 0 || err != nil {
		t.Errorf("DeleteIdle after unlock = %d, %d, %v; want 1, 0, nil", deleted, remaining, err)
	}
}

// testAllGoesOn takes a list up again and again, after the session that it was
// left at has been deleted.
func testAllGoesOn(t *testing.T, s store.Store) {
	const sessions = 200
	for i := range sessions {
		create(t, s, fmt.Sprintf("session-%d", i), pickled('a', i))
	}
	seen := make(map[string]bool)
	after := ""
	for {
		n := 0
		var last store.Info
		for info, err := range s.All(t.Context(), after) {
			if err != nil {
				t.Fatal(err)
			}
			if seen[info.ID] {
				t.Fatalf("%s is listed again", info.ID)
			}
			seen[info.ID] = true
			if last = info; n == 6 {
				break
			}
			n++
		}
		if last.ID == "" {
			break
		}
		after = last.Cursor
		if _, err := s.Delete(t.Context(), last.ID); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != sessions {
		t.Errorf("%d sessions listed in pieces, want %d", len(seen), sessions)
	}
}

func testAllCursor(t *testing.T, s store.Store) {
	create(t, s, "a", pickled('a', 1))
	n := 0
	for info, err := range s.All(t.Context(), "../no cursor") {
		if n++; !errors.Is(err, store.ErrInvalidCursor) {
			t.Errorf("All = %+v, %v; want ErrInvalidCursor", info, err)
		}
	}
	if n != 1 {
		t.Errorf("%d elements, want the error alone", n)
	}
}

// testDeleteIdleSaved uses sessions that are idle again while they are being
// expired: one that was found by its user must stay found.
func testDeleteIdleSaved(t *testing.T, s store.Store) {
	const sessions, idle = 150, 500 * time.Millisecond
	ids := make([]string, sessions)
	for i := range ids {
		ids[i] = fmt.Sprintf("user%d", i)
		create(t, s, ids[i], pickled('a', 10))
	}
	awaitClock(time.Now(), idle+50*time.Millisecond)
	used := make(map[string]time.Time) // of the sessions that were found, before they were used
	var wg sync.WaitGroup
	wg.Go(func() {
		for i, id := range slices.Backward(ids) {
			use := func() (bool, error) { return s.Touch(t.Context(), id) }
			if i%2 == 0 {
				use = func() (bool, error) { return s.Update(t.Context(), id, pickled('b', 20)) }
			}
			awaitClock(time.Now(), 50*time.Microsecond) // users come one after the other
			now := time.Now()
			found, err := use()
			if err != nil {
				t.Error(err)
			}
			if found {
				used[id] = now
			}
		}
	})
	if _, _, err := s.DeleteIdle(t.Context(), idle); err != nil {
		t.Error(err)
	}
	ended := time.Now()
	wg.Wait()
	left := list(t, s)
	for _, id := range ids {
		when, found := used[id]
		_, there := left[id]
		if there && !found || !there && found && ended.Sub(when) < idle {
			t.Errorf("%s: found by its user %v, there afterwards %v", id, found, there)
		}
	}
}
