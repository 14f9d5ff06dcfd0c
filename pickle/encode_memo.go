package pickle

import (
	"strconv"
	"unsafe"
)

// An identity tells objects apart: by their pointer, and strings by where
// their bytes are, how many there are and what type they have.
type identity struct {
	pointer unsafe.Pointer
	extent  uint // of strings: 4 * length + type; else 0
}

// The types of strings, in identity.extent.
const (
	strIdentity uint = iota + 1
	bytesIdentity
	byteStrIdentity
)

// empty stands for the strings without characters, of which Python has but
// one of each.
var empty byte

func stringIdentity(s string, kind uint) identity {
	if s == "" {
		return identity{unsafe.Pointer(&empty), kind}
	}
	return identity{unsafe.Pointer(unsafe.StringData(s)), uint(len(s))<<2 | kind}
}

// A memo maps identities to indices: an open hash table, as CPython's own
// PyMemoTable. It holds pointers, not their numbers, so that what they point
// to neither moves nor dies.
type memo struct {
	entries []memoEntry // a power of two of them
	used    int
	count   int // the next index; also counts what cannot be met again
	imports map[Import]int
}

type memoEntry struct {
	identity
	index int
}

const (
	memoLeast = 64      // entries of a new table
	memoKeep  = 1 << 16 // entries of the largest table that is kept for the next use
)

// reset empties the memo, and says whether it is small enough to keep.
func (m *memo) reset() bool {
	if len(m.entries) > memoKeep || len(m.imports) > memoKeep {
		return false
	}
	clear(m.entries)
	clear(m.imports)
	m.used, m.count = 0, 0
	return true
}

// find returns the entry of key, or the empty one where it belongs.
func (m *memo) find(key identity) *memoEntry {
	// Neighbours in memory become neighbours in the table, which is what
	// makes it quick; the rest of the bits come in where that collides.
	mask := uint(len(m.entries) - 1)
	h := uint(uintptr(key.pointer)) >> 3
	for i, perturb := h, h^key.extent; ; i, perturb = 5*i+perturb+1, perturb>>5 {
		entry := &m.entries[i&mask]
		if entry.identity == key || entry.pointer == nil {
			return entry
		}
	}
}

func (m *memo) lookup(key identity) (index int, ok bool) {
	if m.used == 0 {
		return 0, false
	}
	entry := m.find(key)
	return entry.index, entry.pointer != nil
}

// add gives key the next index.
func (m *memo) add(key identity) {
	if m.used >= len(m.entries)/2 {
		m.grow()
	}
	*m.find(key) = memoEntry{key, m.count}
	m.used++
}

func (m *memo) grow() {
	old := m.entries
	m.entries = make([]memoEntry, max(memoLeast, 4*len(old)))
	for _, entry := range old {
		if entry.pointer != nil {
			*m.find(entry.identity) = entry
		}
	}
}

// recall writes a GET when key is in the memo.
func (e *encoder) recall(key identity) bool {
	if e.single {
		return false
	}
	i, ok := e.memo.lookup(key)
	if ok {
		e.get(i)
	}
	return ok
}

// get follows memo_get.
func (e *encoder) get(i int) {
	switch {
	case e.protocol == 0:
		e.op(opGet)
		e.out = strconv.AppendInt(e.out, int64(i), 10)
		e.out = append(e.out, '\n')
	case i < 256:
		e.op(opBinGet)
		e.out = append(e.out, byte(i))
	default:
		e.op(opLongBinGet)
		e.out = append(e.out, byte(i), byte(i>>8), byte(i>>16), byte(i>>24))
	}
}

// memoize puts key into the memo: memo_put.
func (e *encoder) memoize(key identity) {
	e.memo.add(key)
	e.put()
}

// put writes what puts the top of the stack into the memo, at the next index.
func (e *encoder) put() {
	if e.single {
		return
	}
	i := e.memo.count
	e.memo.count++
	switch {
	case e.protocol >= 4:
		e.op(opMemoize)
	case e.protocol == 0:
		e.op(opPut)
		e.out = strconv.AppendInt(e.out, int64(i), 10)
		e.out = append(e.out, '\n')
	case i < 256:
		e.op(opBinPut)
		e.out = append(e.out, byte(i))
	default:
		e.op(opLongBinPut)
		e.out = append(e.out, byte(i), byte(i>>8), byte(i>>16), byte(i>>24))
	}
}
