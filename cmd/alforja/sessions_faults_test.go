package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"alforja/gateway"
	"alforja/pickle"
	"alforja/store"
	"alforja/store/dated"
	"alforja/store/directory"
	"alforja/store/view"
)

// A faulty store is a directory of sessions to which something happens.
type faulty struct {
	dated.Store
	onList  func()                // before each list
	onLock  func()                // before each lock
	onLoad  func(id string) error // before each load
	removed string                // id of a session that is gone by the time it is loaded
}

func (f *faulty) All(ctx context.Context, after string) iter.Seq2[store.Info, error] {
	if f.onList != nil {
		f.onList()
	}
	return f.Store.All(ctx, after)
}

func (f *faulty) Lock(ctx context.Context, id string) (func(), error) {
	if f.onLock != nil {
		f.onLock()
	}
	return f.Store.Lock(ctx, id)
}

func (f *faulty) Load(ctx context.Context, id string) ([]byte, bool, error) {
	if f.onLoad != nil {
		if err := f.onLoad(id); err != nil {
			return nil, false, err
		}
	}
	if id == f.removed {
		return nil, false, nil
	}
	return f.Store.Load(ctx, id)
}

// newFaulty returns a store with sessions of these ids, made long ago and used
// just now.
func newFaulty(t *testing.T, ids ...string) *faulty {
	t.Helper()
	s, err := directory.Open(filepath.Join(t.TempDir(), "s"), directory.Options{Create: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for _, id := range ids {
		if err := s.Create(t.Context(), id, oldSession(t, 0)); err != nil {
			t.Fatal(err)
		}
	}
	return &faulty{Store: s}
}

// oldSession returns a session made long ago that has counted to n.
func oldSession(t *testing.T, n int) []byte {
	t.Helper()
	state, err := view.New(pickle.Import{Module: "session3.Session", Name: "Session"}, []pickle.Item{
		{Key: pickle.Str("_creation_time"), Value: pickle.Float(1.7e9)},
		{Key: pickle.Str("counter"), Value: pickle.Int(n)},
	}).State()
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// newCommand returns a command that prints into out.
func newCommand(ctx context.Context) (cmd *cobra.Command, out *bytes.Buffer) {
	cmd, out = new(cobra.Command), new(bytes.Buffer)
	cmd.SetContext(ctx)
	cmd.SetOut(out)
	cmd.SetErr(out)
	return cmd, out
}

var errUnreadable = errors.New("input/output error")

func TestInterruptedDeleteIsNoSuccess(t *testing.T) {
	s := newFaulty(t, "a", "b")
	ctx, interrupt := context.WithCancel(t.Context())
	s.onLock = interrupt
	unlock, err := s.Store.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	cmd, out := newCommand(ctx)
	d := deletion{operator: &operator{yes: true}, cmd: cmd, store: s}
	if err := d.byID([]string{"a"}); err == nil || err.Error() != "interrupted" {
		t.Errorf("error %v", err)
	}
	if got := out.String(); got != "0 deleted, 0 not found, 0 failed\n" {
		t.Errorf("printed %q", got)
	}
}

func TestExpireByAgeSaysWhatCannotBeRead(t *testing.T) {
	s := newFaulty(t, "good", "bad", "gone")
	s.removed = "gone"
	s.onLoad = func(id string) error {
		if id == "bad" {
			return errUnreadable
		}
		return nil
	}
	for dryRun, want := range map[bool]string{
		true:  "1 would be deleted, 1 remain, 1 failed\n",
		false: "1 deleted, 1 remain (0 in use), 1 failed\n",
	} {
		t.Run(fmt.Sprint(dryRun), func(t *testing.T) {
			cmd, out := newCommand(t.Context())
			e := expiry{operator: &operator{yes: true}, cmd: cmd, store: s, age: time.Hour, dryRun: dryRun}
			if err := e.run(); err == nil || !strings.Contains(err.Error(), "1 session could not be") {
				t.Errorf("error %v", err)
			}
			if want := "session ba: input/output error\n" + want; out.String() != want {
				t.Errorf("printed %q, want %q", out, want)
			}
			if dryRun {
				return
			}
			if _, found, _ := s.Stat(t.Context(), "bad"); !found {
				t.Error("what cannot be read is deleted")
			}
			if err := s.Create(t.Context(), "good", oldSession(t, 0)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestExpireIsNoSuccessWhereItCannotPrint(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		cmd, _ := newCommand(t.Context())
		cmd.SetOut(fullDisk{})
		e := expiry{operator: &operator{yes: true, asJSON: asJSON}, cmd: cmd, store: newFaulty(t, "a"), age: time.Hour}
		if err := e.run(); !errors.Is(err, errFull) {
			t.Errorf("error %v", err)
		}
	}
}

var errFull = errors.New("no space left")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestGlobalsSaysWhatCannotBeRead(t *testing.T) {
	s := newFaulty(t, "good", "bad", "large", "torn")
	if _, err := s.Update(t.Context(), "torn", []byte("\x80\x04gar.")); err != nil {
		t.Fatal(err)
	}
	s.onLoad = func(id string) error {
		switch id {
		case "bad":
			return errUnreadable
		case "large":
			return store.ErrTooLarge
		}
		return nil
	}
	cmd, out := newCommand(t.Context())
	policy, err := gateway.NewPolicy(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	g := globals{policy: policy, strict: policy}
	if err := g.run(cmd, s, false); err == nil || !strings.HasPrefix(err.Error(), "1 session could not be read") {
		t.Errorf("error %v", err)
	}
	want := "session ba: input/output error\n# 3 sessions, 2 of them malformed\n# 1 more session not read\n"
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("printed %q, want %q", out, want)
	}
}

// On a busy site each pass finds what users did during the one before.
func TestRepeatedCopyEndsOnABusySite(t *testing.T) {
	var ids []string
	for i := range 40 {
		ids = append(ids, fmt.Sprint("s", i))
	}
	from, to := newFaulty(t, ids...), newFaulty(t)
	passes := 0
	from.onList = func() {
		passes++
		for _, id := range ids[:max(20/passes, 4)] { // fewer, as the passes get shorter
			if _, err := from.Update(t.Context(), id, oldSession(t, passes)); err != nil {
				t.Error(err)
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd, out := newCommand(ctx)
	c := copying{cmd: cmd, repeat: true}
	if err := c.passes(from, to); err != nil {
		t.Errorf("%v after %d passes", err, passes)
	}
	// 40, 10, 6, 5, 4, and 4 again.
	if passes != 6 || strings.Count(out.String(), "\n") != passes {
		t.Errorf("%d passes, printed:\n%s", passes, out)
	}
}

func TestUndoIsAFile(t *testing.T) {
	cmd := editClassCommand()
	cmd.SetContext(t.Context())
	cmd.SetArgs([]string{"--store", "directory:" + t.TempDir(), "--yes", "--undo", "-", "shop.A", "shop.B"})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if err := cmd.Execute(); !errors.As(err, new(usageError)) {
		t.Errorf("error %v", err)
	}
}
