package directory_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"alforja/store/directory"
)

// Between the writing of a new file and its rename, somebody takes away one end of the
// rename. Only where that is the session, the session is gone.
func TestTakenAwayBeforeTheRename(t *testing.T) {
	emptied := func(path string) error {
		left, err := filepath.Glob(path + ".alforja/tmp/*")
		for _, name := range left {
			err = errors.Join(err, os.Remove(name))
		}
		return err
	}
	removed := func(path string) error { return os.RemoveAll(path + ".alforja") }
	deleted := func(path string) error { return os.Remove(filepath.Join(path, "a")) }
	update := func(ctx context.Context, s *directory.Store) (bool, error) {
		return s.Update(ctx, "a", pickled('n', 9000))
	}
	setAside := func(ctx context.Context, s *directory.Store) (bool, error) { return s.SetAside(ctx, "a", before) }
	create := func(ctx context.Context, s *directory.Store) (bool, error) {
		return true, s.Create(ctx, "b", pickled('n', 9000))
	}
	for _, test := range []struct {
		name  string
		do    func(context.Context, *directory.Store) (bool, error)
		taken func(path string) error
		found bool
		file  string // which has the new state afterwards
	}{
		{"update, tmp emptied", update, emptied, true, "a"},
		{"update, state directory removed", update, removed, true, "a"},
		{"update, session deleted", update, deleted, false, ""},
		{"create, tmp emptied", create, emptied, true, "b"},
		{"create, state directory removed", create, removed, true, "b"},
		{"set aside, state directory removed", setAside, removed, true, ""},
		{"set aside, session deleted", setAside, deleted, false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, path := open(t, directory.Options{})
			must(t, s.Create(t.Context(), "a", before))
			beforeCall(t, unix.SYS_RENAMEAT2, 1, func() { must(t, test.taken(path)) }, func() {
				if found, err := test.do(t.Context(), s); found != test.found || err != nil {
					t.Errorf("%v, %v; want %v, nil", found, err, test.found)
				}
			})
			if test.file != "" {
				wantFile(t, filepath.Join(path, test.file), pickled('n', 9000))
			}
		})
	}
}

// The old state is taken away while the disk fails to take the new one: then it cannot be
// brought back, and who saves hears that the new one is there.
func TestExchangeCannotBeUndone(t *testing.T) {
	s, path := open(t, directory.Options{Durability: directory.DurabilityPower})
	must(t, s.Create(t.Context(), "a", before))
	var found bool
	var err error
	beforeCall(t, unix.SYS_RENAMEAT2, 2, func() { must(t, os.RemoveAll(path+".alforja/tmp")) }, func() {
		found, err = s.Update(t.Context(), "a", pickled('n', 600))
	}, rule{unix.SYS_FSYNC, unix.EIO, []argument{{0, descriptorOf(t, path)}}})
	if !found || !errors.Is(err, unix.EIO) {
		t.Errorf("Update = %v, %v; want true and EIO", found, err)
	}
	wantFile(t, filepath.Join(path, "a"), pickled('n', 600))
}
