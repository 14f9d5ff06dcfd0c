package pickle

import "unsafe"

// An arena hands out the memory of values and of what containers hold in
// slices of larger pieces: one allocation for many of them.
type arena struct {
	input   int // length of the input in bytes
	spent   int // bytes handed out, but for those of the slabs
	strs    slab[Str]
	ints    slab[Int]
	floats  slab[Float]
	lists   slab[List]
	tuples  slab[Tuple]
	dicts   slab[Dict]
	objects slab[Object]
	slots   slab[Value]
	items   slab[Item]
}

// A slab hands out entries of one piece after the other.
type slab[T any] struct {
	piece []T
	used  int // entries of piece
	total int // entries of all pieces
}

const (
	minPiece = 8         // entries
	maxPiece = 8<<10 - 8 // bytes: what the runtime makes 8 KiB of

	long = 256 // items that get memory of their own
)

// firstPieces are the first pieces of an arena, in one allocation.
type firstPieces struct {
	strs    [8]Str
	floats  [4]Float
	lists   [2]List
	tuples  [2]Tuple
	dicts   [2]Dict
	objects [1]Object
	slots   [8]Value
	items   [8]Item
}

// leastForFirst is the length of the input, in bytes, that is worth them.
const leastForFirst = 128

func (a *arena) start(input int) {
	*a = arena{input: input}
	if input < leastForFirst {
		return
	}
	first := new(firstPieces)
	a.strs.begin(first.strs[:])
	a.floats.begin(first.floats[:])
	a.lists.begin(first.lists[:])
	a.tuples.begin(first.tuples[:])
	a.dicts.begin(first.dicts[:])
	a.objects.begin(first.objects[:])
	a.slots.begin(first.slots[:])
	a.items.begin(first.items[:])
}

func (s *slab[T]) begin(piece []T) { s.piece, s.total = piece, len(piece) }

// take returns n entries without room to grow, so that appending moves them.
func (s *slab[T]) take(n int, a *arena, pos int) []T {
	if n > len(s.piece)-s.used {
		s.renew(n, a.input, pos)
	}
	s.used += n
	return s.piece[s.used-n : s.used : s.used]
}

func (s *slab[T]) next(a *arena, pos int) *T {
	if s.used >= len(s.piece) {
		s.renew(1, a.input, pos)
	}
	s.used++
	return &s.piece[s.used-1]
}

// renew makes a piece for at least n entries, and for as many as the rest of
// the input needs if it is like what lies before pos.
func (s *slab[T]) renew(n, input, pos int) {
	const early = 200 // bytes that say little
	rest := (s.total + n) * (input - pos) / (pos + early)
	n = max(n, minPiece, min(input/128, 64), min(rest, maxPiece/int(unsafe.Sizeof(s.piece[0]))))
	s.piece, s.used, s.total = make([]T, n), 0, s.total+n
}

func (s *slab[T]) bytes() int { return s.total * int(unsafe.Sizeof(*new(T))) }

// bytes is how much has been handed out.
func (a *arena) bytes() int {
	return a.spent + a.strs.bytes() + a.ints.bytes() + a.floats.bytes() + a.lists.bytes() + a.tuples.bytes() +
		a.dicts.bytes() + a.slots.bytes() + a.items.bytes()
}

func (a *arena) str(s string, pos int) Value {
	p := a.strs.next(a, pos)
	*p = Str(s)
	return boxed(Str(""), unsafe.Pointer(p))
}

// smallInts are the ints of one byte.
var smallInts = func() (ints [256]Value) {
	for i := range ints {
		ints[i] = Int(i)
	}
	return ints
}()

func (a *arena) int(n int64, pos int) Value {
	if uint64(n) < uint64(len(smallInts)) {
		return smallInts[n]
	}
	p := a.ints.next(a, pos)
	*p = Int(n)
	return boxed(Int(0), unsafe.Pointer(p))
}

func (a *arena) float(f float64, pos int) Value {
	p := a.floats.next(a, pos)
	*p = Float(f)
	return boxed(Float(0), unsafe.Pointer(p))
}

// boxed returns a Value with the type of like and the contents that p points
// to, which must be of that type and not change any more. A conversion would
// allocate a box for each string and number, and Decode would take 1.2 to 1.4
// times as long. It relies on the layout of interfaces, type and pointer, as
// the collector sees it: p keeps its piece alive.
func boxed(like Value, p unsafe.Pointer) Value {
	(*[2]unsafe.Pointer)(unsafe.Pointer(&like))[1] = p
	return like
}

// object returns one of the first pieces, or a new one: objects are large and
// few.
func (a *arena) object() *Object {
	if a.objects.used < len(a.objects.piece) {
		return a.objects.next(a, 0)
	}
	a.spent += int(unsafe.Sizeof(Object{}))
	return new(Object)
}

func (a *arena) list(items []Value, pos int) *List {
	l := a.lists.next(a, pos)
	l.Items = a.values(nil, items, pos)
	return l
}

func (a *arena) tuple(items []Value, pos int) *Tuple {
	t := a.tuples.next(a, pos)
	t.Items = a.values(nil, items, pos)
	return t
}

// values returns to with items appended.
func (a *arena) values(to, items []Value, pos int) []Value {
	switch n := len(items); {
	case n == 0:
		return to
	case to == nil && n < long:
		to = a.slots.take(n, a, pos)
		copy(to, items)
		return to
	}
	return append(grow(to, len(items), a, pos), items...)
}

// pairs returns to with keys and values in turn appended.
func (a *arena) pairs(to []Item, pairs []Value, pos int) []Item {
	n := len(pairs) / 2
	switch {
	case n == 0:
		return to
	case to == nil && n < long:
		to = a.items.take(n, a, pos)[:0]
	default:
		to = grow(to, n, a, pos)
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		to = append(to, Item{pairs[i], pairs[i+1]})
	}
	return to
}

// grow returns s with room for n more, and when it has to move what is there
// already, for as many as the rest of the input may add.
func grow[T any](s []T, n int, a *arena, pos int) []T {
	n += len(s)
	if n <= cap(s) {
		return s
	}
	if len(s) > 0 {
		n = min(4*n, n+n/8+n*(a.input-pos)/pos)
	}
	a.spent += (n - cap(s)) * int(unsafe.Sizeof(*new(T)))
	return append(make([]T, 0, n), s...)
}
