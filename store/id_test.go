package store_test

import (
	"strings"
	"testing"

	"alforja/store"
)

func TestValidID(t *testing.T) {
	for _, id := range []string{"a", "Z9-_", "-", strings.Repeat("x", 128), store.NewID()} {
		if !store.ValidID(id) {
			t.Errorf("ValidID(%q) = false", id)
		}
	}
	for _, id := range []string{"", ".", "..", "a.b", "a/b", "a\x00", "ä", "a b", "@[`{/:", strings.Repeat("x", 129)} {
		if store.ValidID(id) {
			t.Errorf("ValidID(%q) = true", id)
		}
	}
}

func FuzzValidID(f *testing.F) {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, seed := range []string{"", "a", "../evil", "a\x00b", "*del*", "Zz09-_", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		want := id != "" && len(id) <= store.MaxIDBytes
		for _, c := range []byte(id) {
			want = want && strings.IndexByte(allowed, c) >= 0
		}
		if got := store.ValidID(id); got != want {
			t.Errorf("ValidID(%q) = %v, want %v", id, got, want)
		}
	})
}

func TestNewID(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		id := store.NewID()
		if len(id) != 22 || !store.ValidID(id) || seen[id] {
			t.Fatalf("NewID() = %q", id)
		}
		seen[id] = true
	}
}
