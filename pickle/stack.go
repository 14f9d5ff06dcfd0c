package pickle

import "unsafe"

// A value is what the machine knows of a Python object. Values are copied
// freely between stack and memo; what can still change about an object is
// kept in machine.objects.
//
// It is two words, which the compiler keeps in registers, and not a struct of
// small fields, which it writes to memory one by one.
type value struct {
	meta uint64 // weight, depth, flags and kind, from the top: 32, 16, 8 and 8 bits
	ref  uint64 // b and a, from the top: 32 bits each
}

func newValue(kind Kind, weight uint32) value {
	return value{meta: uint64(weight)<<32 | uint64(kind)}
}

func (v value) withDepth(depth uint16) value { v.meta |= uint64(depth) << 16; return v }
func (v value) withFlags(f flags) value      { v.meta |= uint64(f) << 8; return v }
func (v value) withRef(a, b uint32) value    { v.ref = uint64(b)<<32 | uint64(a); return v }

func (v value) kind() Kind   { return Kind(v.meta) }
func (v value) flags() flags { return flags(v.meta >> 8) }

// depth is the nesting of containers in an immutable value, itself included.
func (v value) depth() uint16 { return uint16(v.meta >> 16) }

// weight is how many values CPython visits to hash or copy an immutable value.
func (v value) weight() uint32 { return uint32(v.meta >> 32) }

// a and b say where the rest is. Text: its span in data. Tuple: its first
// element in machine.tuples, and their number. Global: its index in
// machine.uses. List, dict, set and object: its index in machine.objects.
func (v value) a() uint32 { return uint32(v.ref) }
func (v value) b() uint32 { return uint32(v.ref >> 32) }

type flags uint8

const (
	flagOpaque     flags = 1 << iota // text whose bytes in data are not its characters in UTF-8
	flagUnhashable                   // a bytearray, or a tuple that holds what cannot be hashed
	flagLong                         // an int of more bytes than LONG1 can count
)

// An object is the part of a value that changes after it was made.
type object struct {
	use    int32 // the import it was made by, in machine.uses; -1 for list, dict and set
	weight uint32
	depth  uint16
	keys   keys
}

type keys uint16

const (
	keyClass   keys = 1 << iota // it has the key "__class__"
	keySpecial                  // it has a key that begins with "__"
	keyOther                    // it has a key that is no text
	keyPartial                  // it is a functools.partial of a class's __new__, of which BUILD is expected
	keyMaker                    // it is one that only makes an instance: its use is that of the class
	keyMethod                   // it has a key by which APPEND or APPENDS would find a method
	keyObject                   // it has a key that is an object, which may be a str that is not seen as such
	keyImport                   // it has a value that is an import
	keyHidden                   // attributes that it was given may stand in for its class's methods or for its items
)

func (m *machine) push(v value) { m.stack = append(m.stack, v) }

func (m *machine) pop() (value, error) {
	if len(m.stack) <= m.fence {
		return value{}, m.underflow()
	}
	v := m.stack[len(m.stack)-1]
	m.stack = m.stack[:len(m.stack)-1]
	return v, nil
}

// top returns the uppermost value above the last mark and leaves it.
func (m *machine) top() (value, error) {
	if len(m.stack) <= m.fence {
		return value{}, m.underflow()
	}
	return m.stack[len(m.stack)-1], nil
}

func (m *machine) underflow() error { return m.fail("stack underflow") }

// sinceMark removes the last mark and what is above it, and returns the
// latter. It is valid until the next push.
func (m *machine) sinceMark() ([]value, error) {
	if len(m.marks) == 0 {
		return nil, m.fail("no MARK")
	}
	items := m.stack[m.fence:]
	if len(items) > weighEvery { // they are there twice in a moment
		if err := m.room(len(items) * int(unsafe.Sizeof(items[0]))); err != nil {
			return nil, err
		}
	}
	m.stack = m.stack[:m.fence]
	m.dropMark()
	return items, nil
}

func (m *machine) mark() error {
	m.fence = len(m.stack)
	m.marks = append(m.marks, uint32(m.fence))
	return nil
}

func (m *machine) dropMark() {
	m.marks = m.marks[:len(m.marks)-1]
	m.fence = 0
	if n := len(m.marks); n > 0 {
		m.fence = int(m.marks[n-1])
	}
}

// popOp follows load_pop: right after MARK it is the mark that goes.
func (m *machine) popOp() error {
	if len(m.marks) > 0 && len(m.stack) == m.fence {
		m.dropMark()
		return nil
	}
	_, err := m.pop()
	return err
}

func (m *machine) popMark() error {
	_, err := m.sinceMark()
	return err
}

func (m *machine) dup() error {
	v, err := m.top()
	if err == nil {
		m.push(v)
	}
	return err
}

// hold notes that v is kept as a value, and returns its weight and depth and
// whether it cannot be hashed.
func (m *machine) hold(v value) (weight uint32, depth uint16, unhashable bool) {
	if v.kind() < KindList {
		return v.weight(), 0, v.flags()&flagUnhashable != 0
	}
	return m.holdObject(v)
}

// holdObject is hold for what is more than a number or text.
func (m *machine) holdObject(v value) (weight uint32, depth uint16, unhashable bool) {
	switch v.kind() {
	case KindGlobal:
		m.use(v.a(), RoleLoaded, Args{})
	case KindList, KindDict, KindSet:
		o := &m.objects[v.a()]
		return o.weight, o.depth, true
	case KindObject:
		o := &m.objects[v.a()]
		return o.weight, o.depth, false
	}
	return v.weight(), v.depth(), v.flags()&flagUnhashable != 0
}

// holdAll is hold over many values: the sum of their weights, the greatest
// depth, and whether any cannot be hashed.
func (m *machine) holdAll(items []value) (weight uint32, depth uint16, unhashable bool) {
	for _, v := range items {
		if v.kind() < KindList {
			weight = add(weight, v.weight())
			unhashable = unhashable || v.flags()&flagUnhashable != 0
			continue
		}
		w, d, u := m.holdObject(v)
		weight = add(weight, w)
		depth = max(depth, d)
		unhashable = unhashable || u
	}
	return weight, depth, unhashable
}

// add is saturating: a handful of opcodes can make a weight grow beyond all
// bounds.
func add(a, b uint32) uint32 {
	if sum := a + b; sum >= a {
		return sum
	}
	return 1<<32 - 1
}

// deeper returns the depth of what holds something of depth d.
func (m *machine) deeper(d uint16) (uint16, error) {
	if int(d) >= m.limits.MaxDepth {
		return 0, m.beyond("MaxDepth", m.limits.MaxDepth)
	}
	m.report.Depth = max(m.report.Depth, int(d)+1)
	return d + 1, nil
}

// visit charges weight to the time that CPython may spend on hashing and
// copying.
func (m *machine) visit(weight uint32) error {
	if uint64(weight) > uint64(m.limits.MaxHashed-m.hashed) {
		return m.beyond("MaxHashed", m.limits.MaxHashed)
	}
	m.hashed += int(weight)
	return nil
}
