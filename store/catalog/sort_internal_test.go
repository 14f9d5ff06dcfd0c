package catalog

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"alforja/store"
)

func TestSorter(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 6), 0, 300).Draw(t, "keys")
		s := Sorter{Reverse: rapid.Bool().Draw(t, "reverse"), Dir: dir, memory: rapid.IntRange(1, 4000).Draw(t, "memory")}
		defer s.Close()
		for i, key := range keys {
			if err := s.Add(key, fmt.Appendf(nil, "%x %d", key, i)); err != nil {
				t.Fatal(err)
			}
		}
		var texts []string
		err := s.Each(func(text []byte) error {
			texts = append(texts, string(text))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(keys, bytes.Compare)
		if s.Reverse {
			slices.Reverse(keys)
		}
		if len(texts) != len(keys) {
			t.Fatalf("%d lines of %d", len(texts), len(keys))
		}
		for i, key := range keys {
			if want := fmt.Sprintf("%x ", key); texts[i][:len(want)] != want {
				t.Fatalf("line %d is %q, want key %x", i, texts[i], key)
			}
		}
	})
}

func TestSortKeys(t *testing.T) {
	entry := func(id, user string, size int64, modified time.Time) *Entry {
		return &Entry{Info: store.Info{ID: id, Size: size, Modified: modified}, User: user, Class: user, Created: modified}
	}
	early, late := time.Unix(-5, 0), time.Unix(0, 7)
	for _, c := range []struct {
		by            string
		first, second *Entry
	}{
		{"id", entry("a", "z", 9, late), entry("b", "a", 1, early)},
		{"user", entry("z", "a", 9, late), entry("a", "ab", 1, early)},
		{"user", entry("a", "", 9, late), entry("b", "", 1, early)},
		{"class", entry("z", "a", 9, late), entry("a", "b", 1, early)},
		{"size", entry("z", "z", 255, late), entry("a", "a", 256, early)},
		{"modified", entry("z", "z", 9, early), entry("a", "a", 1, late)},
		{"modified", entry("z", "z", 9, time.Time{}), entry("a", "a", 1, early)},
		{"created", entry("z", "z", 9, early), entry("a", "a", 1, late)},
	} {
		if bytes.Compare(SortKey(c.first, c.by), SortKey(c.second, c.by)) >= 0 {
			t.Errorf("by %s: %+v does not come before %+v", c.by, c.first, c.second)
		}
	}
}
