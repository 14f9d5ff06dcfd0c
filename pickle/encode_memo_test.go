package pickle

import (
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// TestMemo: the table holds what a map would, through growth and reuse.
func TestMemo(t *testing.T) {
	memory := make([]byte, 5000)
	rapid.Check(t, func(t *rapid.T) {
		m := newMemo()
		for range 3 {
			want := map[identity]uint32{}
			for _, at := range rapid.SliceOfN(rapid.IntRange(0, len(memory)-1), 0, 1500).Draw(t, "at") {
				key := identity{unsafe.Pointer(&memory[at]), uint32(at % 3)}
				entry := m.find(key)
				if index, met := want[key]; met != (entry.pointer != nil) || met && index != entry.index {
					t.Fatalf("%d: got %v, want %d, %v", at, *entry, index, met)
				}
				if entry.pointer == nil {
					want[key] = uint32(m.count)
					m.set(entry, key)
					m.count++
				}
			}
			for key, index := range want {
				if entry := m.find(key); entry.pointer == nil || entry.index != index {
					t.Fatalf("lost %v", key)
				}
			}
			if !m.reset() {
				t.Fatal("too large to keep")
			}
		}
	})
}

// TestMemoShrinks: a small value after a large one does not go on clearing the
// table of the large one.
func TestMemoShrinks(t *testing.T) {
	m := newMemo()
	memory := make([]byte, 20_000)
	for i := range memory {
		key := identity{pointer: unsafe.Pointer(&memory[i])}
		m.set(m.find(key), key)
	}
	large := len(m.entries)
	m.reset()
	m.reset()
	if len(m.entries) > memoLeast {
		t.Errorf("%d entries after a table of %d was used for nothing", len(m.entries), large)
	}
	for i := range memory {
		key := identity{pointer: unsafe.Pointer(&memory[i])}
		if entry := m.find(key); entry.pointer != nil {
			t.Fatal("an entry of the value before")
		} else {
			m.set(entry, key)
		}
	}
	if len(m.entries) != large {
		t.Errorf("%d entries, before %d", len(m.entries), large)
	}
}
