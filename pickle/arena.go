package pickle

// An arena hands out the memory of lists, tuples and items in slices of
// larger pieces: one allocation for many of them. What it hands out has no
// room to grow, so that appending to it moves it.
type arena struct {
	input  int // length of the input in bytes, to which pieces are fitted
	lists  []List
	tuples []Tuple
	slots  []Value
	items  []Item
}

// maxPiece is the greatest number of entries in one piece: 512 entries are
// 8 KiB of values.
const maxPiece = 512

// piece is the size of the next piece: what an input of this length may need,
// at a guess, and at least n.
func (a *arena) piece(n, bytesPerEntry int) int {
	return max(n, min(maxPiece, a.input/bytesPerEntry+1))
}

func (a *arena) list(items []Value) *List {
	if len(a.lists) == 0 {
		a.lists = make([]List, a.piece(1, 32))
	}
	l := &a.lists[0]
	a.lists = a.lists[1:]
	l.Items = a.values(nil, items)
	return l
}

func (a *arena) tuple(items []Value) *Tuple {
	if len(a.tuples) == 0 {
		a.tuples = make([]Tuple, a.piece(1, 32))
	}
	t := &a.tuples[0]
	a.tuples = a.tuples[1:]
	t.Items = a.values(nil, items)
	return t
}

// values returns to with items appended.
func (a *arena) values(to, items []Value) []Value {
	n := len(items)
	switch {
	case n == 0:
		return to
	case to != nil || n >= maxPiece:
		return append(to, items...)
	case n > len(a.slots):
		a.slots = make([]Value, a.piece(n, 8))
	}
	to = a.slots[:n:n]
	a.slots = a.slots[n:]
	copy(to, items)
	return to
}

// pairs returns to with keys and values in turn appended.
func (a *arena) pairs(to []Item, pairs []Value) []Item {
	n := len(pairs) / 2
	switch {
	case n == 0:
		return to
	case to != nil || n >= maxPiece:
		if to == nil {
			to = make([]Item, 0, n)
		}
		for i := 0; i < len(pairs); i += 2 {
			to = append(to, Item{pairs[i], pairs[i+1]})
		}
		return to
	case n > len(a.items):
		a.items = make([]Item, a.piece(n, 16))
	}
	to = a.items[:n:n]
	a.items = a.items[n:]
	for i := range to {
		to[i] = Item{pairs[2*i], pairs[2*i+1]}
	}
	return to
}
