package dated_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alforja/store"
	"alforja/store/dated"
	"alforja/store/directory"
)

func open(t *testing.T, opts directory.Options) (dated.Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sessions")
	opts.Create, opts.Logger = true, slog.New(slog.DiscardHandler)
	s, err := directory.Open(path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return dated.Directory(s, path), path
}

func TestDirectory(t *testing.T) {
	for _, fanOut := range []bool{false, true} {
		s, _ := open(t, directory.Options{FanOut: fanOut})
		ctx := t.Context()
		if err := s.Create(ctx, "a", []byte("N.")); err != nil {
			t.Fatal(err)
		}
		modified := time.Unix(1700000000, 123456789)
		if found, err := s.SetModified(ctx, "a", modified); !found || err != nil {
			t.Fatalf("fan-out %v: SetModified: %v, %v", fanOut, found, err)
		}
		info, found, err := s.Stat(ctx, "a")
		if !found || err != nil || !info.Modified.Equal(modified) || info.Size != 2 || info.ID != "a" {
			t.Errorf("fan-out %v: Stat: %+v, %v, %v", fanOut, info, found, err)
		}
		for listed, err := range s.All(ctx, "") {
			if err != nil || !listed.Modified.Equal(modified) {
				t.Errorf("fan-out %v: All: %+v, %v", fanOut, listed, err)
			}
		}
		if found, err := s.SetModified(ctx, "none", modified); found || err != nil {
			t.Errorf("SetModified of none: %v, %v", found, err)
		}
		if _, found, err := s.Stat(ctx, "none"); found || err != nil {
			t.Errorf("Stat of none: %v, %v", found, err)
		}
		if _, _, err := s.Stat(ctx, "../a"); !errors.Is(err, store.ErrInvalidID) {
			t.Errorf("Stat of no id: %v", err)
		}
	}
}

// Under a session's name, only a regular file is a session.
func TestDirectoryFollowsNothing(t *testing.T) {
	s, path := open(t, directory.Options{})
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(outside)
	if err != nil {
		t.Fatal(err)
	}
	for name, made := range map[string]error{
		"link": os.Symlink(outside, filepath.Join(path, "link")),
		"dir":  os.Mkdir(filepath.Join(path, "dir"), 0o700),
		"fifo": unix.Mkfifo(filepath.Join(path, "fifo"), 0o600),
	} {
		if made != nil {
			t.Fatal(made)
		}
		if _, found, err := s.Stat(t.Context(), name); found || err != nil {
			t.Errorf("Stat of %s: %v, %v", name, found, err)
		}
		if found, err := s.SetModified(t.Context(), name, time.Unix(1, 0)); found || err != nil {
			t.Errorf("SetModified of %s: %v, %v", name, found, err)
		}
	}
	if after, err := os.Stat(outside); err != nil || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the time of a file outside was set")
	}
}

func TestLockIsBounded(t *testing.T) {
	s, _ := open(t, directory.Options{})
	unlock, err := dated.Lock(t.Context(), s, "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dated.Lock(t.Context(), s, "a", time.Millisecond); !errors.Is(err, store.ErrBusy) {
		t.Errorf("held: %v", err)
	}
	unlock()
	again, err := dated.Lock(t.Context(), s, "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	again()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dated.Lock(ctx, s, "a", time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
}
