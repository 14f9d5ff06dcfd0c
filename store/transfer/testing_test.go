package transfer_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"alforja/pickle"
	"alforja/store/dated"
	"alforja/store/directory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t testing.TB) dated.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sessions")
	s, err := directory.Open(path, directory.Options{Create: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// state is a pickle of a text.
func state(t testing.TB, text string) []byte {
	t.Helper()
	data, err := pickle.Append(nil, pickle.Str(text), 4)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// old is a time long before the tests.
var old = time.Unix(1700000000, 123456789)

// put stores a session as it is.
func put(t testing.TB, s dated.Store, id, text string, modified time.Time) {
	t.Helper()
	if err := s.Create(t.Context(), id, state(t, text)); err != nil {
		t.Fatal(err)
	}
	setModified(t, s, id, modified)
}

func setModified(t testing.TB, s dated.Store, id string, modified time.Time) {
	t.Helper()
	if found, err := s.SetModified(t.Context(), id, modified); err != nil || !found {
		t.Fatal(found, err)
	}
}

func update(t testing.TB, s dated.Store, id, text string) {
	t.Helper()
	if found, err := s.Update(t.Context(), id, state(t, text)); err != nil || !found {
		t.Fatal(found, err)
	}
}

// contents returns what a store holds: for each id the text and the time.
func contents(t testing.TB, s dated.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for info, err := range s.All(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		data, _, err := s.Load(t.Context(), info.ID)
		if err != nil {
			t.Fatal(err)
		}
		all[info.ID] = fmt.Sprintf("%q %s", data, info.Modified.UTC().Format(time.RFC3339Nano))
	}
	return all
}
