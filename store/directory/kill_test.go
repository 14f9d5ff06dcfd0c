package directory_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"alforja/store/directory"
)

// saverVariable makes the test binary a saver: see save.
const saverVariable = "DIRECTORY_TEST_SAVER"

func TestMain(m *testing.M) {
	if task := os.Getenv(saverVariable); task != "" {
		fmt.Fprintln(os.Stderr, save(task))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// save updates session "a" for ever, after one line on standard output. The
// sizes vary so that it grows and shrinks.
func save(task string) error {
	size, path, _ := strings.Cut(task, ":")
	n, err := strconv.Atoi(size)
	if err != nil {
		return err
	}
	s, err := directory.Open(path, directory.Options{})
	if err != nil {
		return err
	}
	fmt.Println("saving")
	for i := 0; ; i++ {
		if _, err := s.Update(context.Background(), "a", pickled(byte('a'+i%26), n-i%100)); err != nil {
			return err
		}
	}
}

// A process killed while it saves leaves the old state or the new one.
func TestKill(t *testing.T) {
	for _, size := range []int{258, 4088, 100_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			const kills = 100
			s, path := open(t, directory.Options{Patience: time.Nanosecond})
			must(t, s.Create(t.Context(), "a", pickled('0', size)))
			saves := make(map[byte]bool)
			for range kills {
				killSaver(t, fmt.Sprintf("%d:%s", size, path))
				state, err := os.ReadFile(filepath.Join(path, "a"))
				must(t, err)
				fill, ok := loads(state)
				if !ok {
					t.Fatalf("torn: %d bytes, %.20q", len(state), state)
				}
				saves[fill] = true
				if found, err := s.Update(t.Context(), "a", pickled('0', size)); !found || err != nil {
					t.Fatalf("Update after the kill = %v, %v", found, err)
				}
			}
			if len(saves) < 5 {
				t.Errorf("only %d different states in %d kills: the saver did not save", len(saves), kills)
			}
			if got := names(t, path); len(got) != 1 {
				t.Errorf("among the sessions: %v", got)
			}
			if got := names(t, filepath.Join(path+".alforja", "tmp")); len(got) > kills {
				t.Errorf("%d files in tmp after %d kills", len(got), kills)
			}
		})
	}
}

func killSaver(t *testing.T, task string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), saverVariable+"="+task)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the saver did not start: %v", err)
	}
	<-time.After(time.Duration(rand.IntN(8000)) * time.Microsecond) // at any moment
	must(t, cmd.Process.Kill())
	cmd.Wait()
}

// loads reports whether Python would load state, up to its STOP, and what the bytes are
// filled with.
func loads(state []byte) (fill byte, ok bool) {
	if len(state) < 9 {
		return 0, false
	}
	n := int(state[3]) | int(state[4])<<8 | int(state[5])<<16 | int(state[6])<<24
	if len(state) < n+8 {
		return 0, false
	}
	fill = state[7]
	return fill, bytes.Equal(state[:n+8], pickled(fill, n))
}
