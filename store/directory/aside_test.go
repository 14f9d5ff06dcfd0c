package directory_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"alforja/store"
	"alforja/store/directory"
)

// Between the look at what is set aside already and the rename, nobody adds to it: not from this
// store, nor from another process, which another store stands for, with a lock file of its own.
func TestSetAsideIsAlone(t *testing.T) {
	opts := directory.Options{LockWait: 50 * time.Millisecond, CorruptFiles: 1}
	for name, second := range map[string][]byte{"the same content": []byte("garbage."), "one too many": []byte("trash.")} {
		for _, where := range []string{"this store", "another store"} {
			t.Run(name+" by "+where, func(t *testing.T) {
				s, path := open(t, opts)
				other := s
				if where == "another store" {
					other = openAt(t, path, opts)
				}
				must(t, s.Create(t.Context(), "a", []byte("garbage.")))
				must(t, s.Create(t.Context(), "b", second))
				meanwhile := func() {
					if done, err := other.SetAside(t.Context(), "b", second); done || !errors.Is(err, store.ErrBusy) {
						t.Errorf("SetAside meanwhile = %v, %v; want false, ErrBusy", done, err)
					}
				}
				beforeCall(t, unix.SYS_RENAMEAT2, 1, meanwhile, func() {
					if done, err := s.SetAside(t.Context(), "a", []byte("garbage.")); !done || err != nil {
						t.Errorf("SetAside = %v, %v", done, err)
					}
				})
				if done, err := other.SetAside(t.Context(), "b", second); !done || err != nil {
					t.Errorf("SetAside afterwards = %v, %v", done, err)
				}
				if got := names(t, filepath.Join(path+".alforja", "corrupt")); len(got) != 1 {
					t.Errorf("kept %v, want one file", got)
				}
			})
		}
	}
}
