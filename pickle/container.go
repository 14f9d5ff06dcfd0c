package pickle

// container returns the step that pushes an empty list, dict or set.
func container(kind Kind) func(*machine) error {
	return func(m *machine) error { return m.pushObject(kind, object{use: -1, weight: 1}) }
}

// pushObject pushes a value that may still change. o.depth is that of what it holds.
func (m *machine) pushObject(kind Kind, o object) error {
	depth, err := m.deeper(o.depth)
	if err != nil {
		return err
	}
	o.depth = depth
	m.push(newValue(kind, 0).withRef(uint32(len(m.objects)), 0))
	m.objects = append(m.objects, o)
	return nil
}

func (m *machine) emptyTuple() error { return m.pushTuple(nil) }

func (m *machine) tuple() error {
	items, err := m.sinceMark()
	if err != nil {
		return err
	}
	return m.pushTuple(items)
}

// shortTuple returns the step that makes a tuple of the last n values.
func shortTuple(n int) func(*machine) error {
	return func(m *machine) error {
		if len(m.stack)-n < m.fence {
			return m.underflow()
		}
		items := m.stack[len(m.stack)-n:]
		m.stack = m.stack[:len(m.stack)-n]
		return m.pushTuple(items)
	}
}

func (m *machine) pushTuple(items []value) error {
	weight, depth, unhashable := m.holdAll(items)
	depth, err := m.deeper(depth)
	if err != nil {
		return err
	}
	v := newValue(KindTuple, add(weight, 1)).withDepth(depth).withRef(uint32(len(m.tuples)), uint32(len(items)))
	if unhashable {
		v = v.withFlags(flagUnhashable)
	}
	m.tuples = append(m.tuples, items...)
	m.push(v)
	return nil
}

// elements returns what a tuple holds.
func (m *machine) elements(tuple value) []value {
	return m.tuples[tuple.a() : tuple.a()+tuple.b()]
}

func (m *machine) list() error {
	items, err := m.sinceMark()
	if err != nil {
		return err
	}
	weight, depth, _ := m.holdAll(items)
	return m.pushObject(KindList, object{use: -1, weight: add(weight, 1), depth: depth})
}

func (m *machine) dict() error {
	items, err := m.sinceMark()
	if err != nil {
		return err
	}
	o := object{use: -1, weight: 1}
	if err := m.insert(&o, items); err != nil {
		return err
	}
	return m.pushObject(KindDict, o)
}

func (m *machine) frozenSet() error {
	items, err := m.sinceMark()
	if err != nil {
		return err
	}
	weight, depth, err := m.members(items)
	if err != nil {
		return err
	}
	if depth, err = m.deeper(depth); err != nil {
		return err
	}
	m.push(newValue(KindFrozenSet, add(weight, 1)).withDepth(depth))
	return nil
}

// appendItem is what APPEND does to a list, or to an object that is one in part.
func (m *machine) appendItem() error {
	if len(m.stack)-1 <= m.fence {
		return m.underflow()
	}
	n := len(m.stack) - 1
	items := m.stack[n:]
	m.stack = m.stack[:n]
	return m.extend(items)
}

func (m *machine) appends() error {
	items, err := m.sinceMark()
	if err != nil {
		return err
	}
	return m.extend(items)
}

func (m *machine) extend(items []value) error {
	o, err := m.target(KindList)
	if err != nil {
		return err
	}
	weight, depth, _ := m.holdAll(items)
	o.weight = add(o.weight, weight)
	return m.deepen(o, depth)
}

func (m *machine) setItem() error {
	if len(m.stack)-2 <= m.fence {
		return m.underflow()
	}
	n := len(m.stack) - 2
	items := m.stack[n:]
	m.stack = m.stack[:n]
	return m.update(items)
}

func (m *machine) setItems() error {
	items, err := m.sinceMark()
	if err != nil {
		return err
	}
	return m.update(items)
}

func (m *machine) update(items []value) error {
	o, err := m.target(KindDict)
	if err != nil {
		return err
	}
	inner := *o
	inner.depth = 0
	if err := m.insert(&inner, items); err != nil {
		return err
	}
	if o.use >= 0 && m.uses[o.use].special == cookie {
		// It makes text of each value.
		if err := m.visit(inner.weight - o.weight); err != nil {
			return err
		}
	}
	o.weight, o.keys = inner.weight, inner.keys
	return m.deepen(o, inner.depth)
}

func (m *machine) addItems() error {
	items, err := m.sinceMark()
	if err != nil {
		return err
	}
	v, err := m.top()
	if err != nil {
		return err
	}
	if v.kind() != KindSet {
		return m.fail("the target is not a set")
	}
	weight, depth, err := m.members(items)
	if err != nil {
		return err
	}
	o := &m.objects[v.a()]
	o.weight = add(o.weight, weight)
	return m.deepen(o, depth)
}

// target returns the top of the stack, which must be of the kind given or an
// object made by this pickle: CPython would call append, extend or
// __setitem__ of whatever lies there, a module's or class's too.
func (m *machine) target(kind Kind) (*object, error) {
	v, err := m.top()
	if err != nil {
		return nil, err
	}
	if v.kind() != kind && v.kind() != KindObject {
		return nil, m.fail("the target is a " + v.kind().String())
	}
	o := &m.objects[v.a()]
	if o.keys&keyHidden != 0 {
		return nil, m.hidden()
	}
	if o.use >= 0 {
		m.uses[o.use].items = true
	}
	return o, nil
}

// deepen makes o hold something of depth inner.
func (m *machine) deepen(o *object, inner uint16) error {
	depth, err := m.deeper(inner)
	o.depth = max(o.depth, depth)
	return err
}

// insert puts keys and values, in turn, into o, whose depth becomes that of the deepest.
func (m *machine) insert(o *object, items []value) error {
	if len(items)%2 != 0 {
		return m.fail("a key without a value")
	}
	for i := 0; i+1 < len(items); i += 2 {
		if key, v := items[i], items[i+1]; key.kind() == KindText && v.kind() < KindList {
			o.weight = add(o.weight, add(key.weight(), v.weight()))
			m.noteKey(o, key)
			continue
		}
		weight, depth, err := m.hash(items[i])
		if err != nil {
			return err
		}
		if items[i+1].kind() == KindGlobal {
			o.keys |= keyImport
		}
		valueWeight, valueDepth, _ := m.hold(items[i+1])
		o.weight = add(o.weight, add(weight, valueWeight))
		o.depth = max(o.depth, depth, valueDepth)
		m.noteKey(o, items[i])
	}
	return nil
}

// noteKey looks for special names. Where text is written with escapes these
// show all the same: text that escapes letters or "_" is refused.
func (m *machine) noteKey(o *object, key value) {
	switch key.kind() {
	case KindText:
	case KindObject, kindPersistent:
		o.keys |= keyOther | keyObject
		return
	default:
		o.keys |= keyOther
		return
	}
	if key.b()-key.a() < 2 {
		return
	}
	switch b := m.data[key.a():key.b()]; {
	case b[0] == '_' && b[1] == '_':
		o.keys |= keySpecial
		if string(b) == "__class__" {
			o.keys |= keyClass
		}
	case string(b) == "append" || string(b) == "extend":
		o.keys |= keyMethod
	}
}

// members is holdAll for what goes into a set.
func (m *machine) members(items []value) (weight uint32, depth uint16, err error) {
	for _, v := range items {
		w, d, err := m.hash(v)
		if err != nil {
			return 0, 0, err
		}
		weight = add(weight, w)
		depth = max(depth, d)
	}
	return weight, depth, nil
}

// hash is hold for a key: v must be hashable, and what CPython spends on it
// is charged. Tuples do not keep their hash, so a chain of tuples that each
// hold the one before twice takes time exponential in its length.
func (m *machine) hash(v value) (weight uint32, depth uint16, err error) {
	weight, depth, unhashable := m.hold(v)
	if unhashable {
		return 0, 0, m.fail("the key cannot be hashed: " + v.kind().String())
	}
	if v.kind() == KindTuple || v.kind() == KindFrozenSet || v.kind() == KindObject {
		err = m.visit(weight)
	}
	return weight, depth, err
}
