package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alforja/store/dated"
	"alforja/store/transfer"
)

func copyAll(t *testing.T, from, to dated.Store, opts transfer.Options) transfer.Counts {
	t.Helper()
	opts.Report = func(id string, err error) { t.Logf("%s: %v", id, err) }
	counts, err := transfer.Copy(t.Context(), from, to, opts)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

func TestCopy(t *testing.T) {
	from, to := open(t), open(t)
	for i := range 300 {
		put(t, from, fmt.Sprint("s", i), fmt.Sprint("text", i), old.Add(time.Duration(i)*time.Second))
	}
	if got, want := copyAll(t, from, to, transfer.Options{}), (transfer.Counts{Created: 300}); got != want {
		t.Errorf("first pass: %+v", got)
	}
	if diff := cmp.Diff(contents(t, from), contents(t, to)); diff != "" {
		t.Error(diff)
	}
	if got, want := copyAll(t, from, to, transfer.Options{}), (transfer.Counts{Unchanged: 300}); got != want {
		t.Errorf("second pass: %+v", got)
	}
}

// Each case is one session in the source and the target before a pass, and
// what the pass makes of it. "" is no session.
func TestCopyDecides(t *testing.T) {
	const earlier, same, later = -time.Hour, 0, time.Hour // the target's time against the source's
	for name, c := range map[string]struct {
		from, to  string
		target    time.Duration
		delete    bool
		want      transfer.Counts
		remaining string
	}{
		"new":                      {"a", "", same, false, transfer.Counts{Created: 1}, "a"},
		"changed":                  {"b", "a", earlier, false, transfer.Counts{Updated: 1}, "b"},
		"changed, of another size": {"bb", "a", earlier, false, transfer.Counts{Updated: 1}, "bb"},
		"touched":                  {"a", "a", earlier, false, transfer.Counts{Touched: 1}, "a"},
		"same":                     {"a", "a", same, false, transfer.Counts{Unchanged: 1}, "a"},
		"touched there":            {"a", "a", later, false, transfer.Counts{Unchanged: 1}, "a"},
		"newer there":              {"a", "b", later, false, transfer.Counts{Newer: 1}, "b"},
		"longer at the same time":  {"bb", "a", same, false, transfer.Counts{Updated: 1}, "bb"},
		"gone, kept":               {"", "a", same, false, transfer.Counts{}, "a"},
		"gone, mirrored":           {"", "a", same, true, transfer.Counts{Deleted: 1}, ""},
		"there, mirrored":          {"a", "a", same, true, transfer.Counts{Unchanged: 1}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := open(t), open(t)
			if c.from != "" {
				put(t, from, "id", c.from, old)
			}
			if c.to != "" {
				put(t, to, "id", c.to, old.Add(c.target))
			}
			if got := copyAll(t, from, to, transfer.Options{Delete: c.delete}); got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			data, found, err := to.Load(t.Context(), "id")
			if err != nil || found != (c.remaining != "") || found && string(data) != string(state(t, c.remaining)) {
				t.Errorf("the target has %q, %v, %v", data, found, err)
			}
			if info, _, _ := to.Stat(t.Context(), "id"); c.want.Updated+c.want.Touched+c.want.Created > 0 && !info.Modified.Equal(old) {
				t.Errorf("the target's time is %v", info.Modified)
			}
		})
	}
}

// A state that replaces another within one step of the file system's clock,
// at the same length, has the same time and size.
func TestCopySeesAChangeWithinOneClockTick(t *testing.T) {
	from, to := open(t), open(t)
	now := time.Now()
	put(t, from, "id", "a", now)
	copyAll(t, from, to, transfer.Options{})
	update(t, from, "id", "b")
	setModified(t, from, "id", now)
	if got, want := copyAll(t, from, to, transfer.Options{}), (transfer.Counts{Updated: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestCopyLeavesOutWhatIsBroken(t *testing.T) {
	from, to := open(t), open(t)
	put(t, from, "good", "a", old)
	if err := from.Create(t.Context(), "torn", []byte("\x80\x04gar")); err != nil {
		t.Fatal(err)
	}
	setModified(t, from, "torn", old)
	var reported []string
	counts, err := transfer.Copy(t.Context(), from, to, transfer.Options{
		Report: func(id string, err error) { reported = append(reported, fmt.Sprint(id, ": ", err)) },
	})
	if err != nil || counts != (transfer.Counts{Created: 1, Failed: 1}) {
		t.Errorf("%+v, %v", counts, err)
	}
	if len(reported) != 1 || !strings.HasPrefix(reported[0], "torn: ") {
		t.Errorf("reported %q", reported)
	}
}

// A target whose process dies between a write and the setting of its time.
type dying struct {
	dated.Store
	left atomic.Int64 // writes until then
	die  func()
}

var errDead = errors.New("the process is dead")

func (d *dying) SetModified(ctx context.Context, id string, modified time.Time) (bool, error) {
	if d.left.Add(-1) < 0 {
		d.die()
		return false, errDead
	}
	return d.Store.SetModified(ctx, id, modified)
}

// Wherever a pass dies, what the source changes after that comes with a
// later one.
func TestCopyGoesOnAfterDeath(t *testing.T) {
	for _, after := range []int64{0, 1, 7, 50} {
		from, to := open(t), open(t)
		for i := range 60 {
			put(t, from, fmt.Sprint("s", i), "before", old)
		}
		ctx, cancel := context.WithCancel(t.Context())
		target := &dying{Store: to, die: cancel}
		target.left.Store(after)
		if _, err := transfer.Copy(ctx, from, target, transfer.Options{}); !errors.Is(err, context.Canceled) {
			t.Fatalf("after %d writes: %v", after, err)
		}
		for i := range 60 {
			update(t, from, fmt.Sprint("s", i), "after")
		}
		counts := copyAll(t, from, to, transfer.Options{})
		if counts.Created+counts.Updated != 60 || counts.Newer != 0 {
			t.Errorf("after %d writes: %+v", after, counts)
		}
		for id, text := range contents(t, to) {
			if !strings.Contains(text, "after") {
				t.Errorf("after %d writes: %s is %s, and in the source %s", after, id, text, contents(t, from)[id])
			}
		}
	}
}

// Killed after it has written a shorter state over a longer one, and before it
// cut the rest off, a pass leaves the end of the old one behind the new, with
// the time of its death, or of a later use. That is not what somebody saved later,
// but the time counts.
func TestCopyGoesOnAfterDeathInAnUpdate(t *testing.T) {
	from, to := open(t), open(t)
	put(t, from, "a", "short", old)
	torn := append(state(t, "short"), "and what was longer."...)
	if err := to.Create(t.Context(), "a", torn); err != nil {
		t.Fatal(err)
	}
	used := old.Add(time.Hour)
	setModified(t, to, "a", used)
	if got, want := copyAll(t, from, to, transfer.Options{}), (transfer.Counts{Updated: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	setModified(t, from, "a", used)
	if diff := cmp.Diff(contents(t, from), contents(t, to)); diff != "" {
		t.Error(diff)
	}
}

// A session that a request holds is copied after the request.
func TestCopyWaitsForTheLock(t *testing.T) {
	from, to := open(t), open(t)
	put(t, from, "id", "before", old)
	unlock, err := from.Lock(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	counts, err := transfer.Copy(t.Context(), from, to, transfer.Options{LockWait: time.Millisecond})
	if err != nil || counts != (transfer.Counts{Failed: 1}) {
		t.Errorf("held: %+v, %v", counts, err)
	}
	done := make(chan transfer.Counts)
	go func() {
		counts, _ := transfer.Copy(t.Context(), from, to, transfer.Options{})
		done <- counts
	}()
	update(t, from, "id", "after")
	setModified(t, from, "id", old)
	unlock()
	if counts := <-done; counts != (transfer.Counts{Created: 1}) {
		t.Errorf("freed: %+v", counts)
	}
	if data, _, _ := to.Load(t.Context(), "id"); string(data) != string(state(t, "after")) {
		t.Errorf("the target has %q", data)
	}
}
