package pickle

import (
	"slices"
	"strconv"
	"unsafe"
)

// An identity tells objects apart: by their pointer, and strings by where
// their bytes are, how many there are and what type they have.
type identity struct {
	pointer unsafe.Pointer
	extent  uint32 // of strings: 4 * length + type; else 0
}

// The types of strings, in identity.extent.
const (
	strIdentity uint32 = iota + 1
	bytesIdentity
	byteStrIdentity
)

// empty stands for the strings without characters, of which Python has but
// one of each.
var empty byte

func stringIdentity(s string, kind uint32) identity {
	if s == "" {
		return identity{unsafe.Pointer(&empty), kind}
	}
	return identity{unsafe.Pointer(unsafe.StringData(s)), uint32(len(s))<<2 | kind}
}

// pointerOf returns what tells v apart from others, or nil when v has no such
// pointer.
func pointerOf(v Value) unsafe.Pointer {
	switch v := v.(type) {
	case *List:
		return unsafe.Pointer(v)
	case *Tuple:
		return unsafe.Pointer(v)
	case *Dict:
		return unsafe.Pointer(v)
	case *Set:
		return unsafe.Pointer(v)
	case *FrozenSet:
		return unsafe.Pointer(v)
	case *ByteArray:
		return unsafe.Pointer(v)
	case *Object:
		return unsafe.Pointer(v)
	}
	return nil
}

// A memo maps identities to indices: an open hash table, as CPython's own
// PyMemoTable. It holds pointers, not their numbers, so that what they point
// to neither moves nor dies.
type memo struct {
	entries []memoEntry // a power of two of them, half of them empty
	used    int
	count   int // the next index; also counts what cannot be met again
	imports map[Import]int
}

// A memoEntry is an identity and its index; 16 bytes.
type memoEntry struct {
	pointer unsafe.Pointer
	extent  uint32
	index   uint32
}

const (
	memoLeast = 64      // entries of a new table
	memoKeep  = 1 << 16 // entries of the largest table that is kept for the next use
)

func newMemo() memo { return memo{entries: make([]memoEntry, memoLeast)} }

// reset empties the memo, and says whether it is small enough to keep. The
// table gets the size that what it held would have needed, as the next is
// likely to be like it; a small one after a large one clears that once.
func (m *memo) reset() bool {
	if cap(m.entries) > memoKeep || len(m.imports) > memoKeep {
		return false
	}
	clear(m.entries)
	clear(m.imports)
	for len(m.entries) > memoLeast && m.used < len(m.entries)/8 {
		m.entries = m.entries[:len(m.entries)/2]
	}
	m.used, m.count = 0, 0
	return true
}

// find returns the entry of key, or the empty one where it belongs, which is
// valid until the next set.
func (m *memo) find(key identity) *memoEntry {
	// Neighbours in memory become neighbours in the table, which is what
	// makes it quick; the rest of the bits come in where that collides.
	mask := uint(len(m.entries) - 1)
	h := uint(uintptr(key.pointer)) >> 3
	for i, perturb := h, h^uint(key.extent); ; i, perturb = 5*i+perturb+1, perturb>>5 {
		entry := &m.entries[i&mask]
		if entry.pointer == key.pointer && entry.extent == key.extent || entry.pointer == nil {
			return entry
		}
	}
}

// set fills the entry that find returned with the next index.
func (m *memo) set(entry *memoEntry, key identity) {
	*entry = memoEntry{key.pointer, key.extent, uint32(m.count)}
	if m.used++; m.used >= len(m.entries)/2 {
		m.grow()
	}
}

// grow makes the table twice as large, where it is if that has been so large
// before.
func (m *memo) grow() {
	old, size := m.entries, 2*len(m.entries)
	if size <= cap(old) {
		m.entries = old[:size]
		old = slices.Clone(old)
		clear(m.entries[:len(old)])
	} else {
		m.entries = make([]memoEntry, size)
	}
	for _, entry := range old {
		if entry.pointer != nil {
			*m.find(identity{entry.pointer, entry.extent}) = entry
		}
	}
}

// maxMemoized is the length from which on strings are written each time they
// occur: their extent would overflow.
const maxMemoized = 1 << 30

// recall finds the entry of a string, and writes a GET when it is taken.
func (e *encoder) recall(s string, key identity) (entry *memoEntry, done bool) {
	if len(s) >= maxMemoized {
		return new(memoEntry), false
	}
	entry = e.memo.find(key)
	if entry.pointer == nil || e.single {
		return entry, false
	}
	e.get(int(entry.index))
	return entry, true
}

// get follows memo_get.
func (e *encoder) get(i int) { e.atIndex(opGet, opBinGet, opLongBinGet, i) }

// atIndex writes an opcode with an index of the memo: text in protocol 0, else short or long.
func (e *encoder) atIndex(text, short, long byte, i int) {
	switch {
	case e.protocol == 0:
		e.op(text)
		e.out = strconv.AppendInt(e.out, int64(i), 10)
		e.out = append(e.out, '\n')
	case i < 256:
		e.out = append(e.out, short, byte(i))
	default:
		e.out = append(e.out, long, byte(i), byte(i>>8), byte(i>>16), byte(i>>24))
	}
}

// memoize puts key into the memo, in the entry that find returned: memo_put.
func (e *encoder) memoize(entry *memoEntry, key identity) {
	e.memo.set(entry, key)
	e.put()
}

// put writes what puts the top of the stack into the memo, at the next index.
func (e *encoder) put() {
	if e.single {
		return
	}
	i := e.memo.count
	e.memo.count++
	if e.protocol >= 4 {
		e.op(opMemoize)
		return
	}
	e.atIndex(opPut, opBinPut, opLongBinPut, i)
}
