package pickle

import "bytes"

// In protocols 2 and 3, which have no NEWOBJ_EX, CPython's Pickler.save_reduce
// writes functools.partial(base.__new__, class, *args, **kwargs), and calls
// the result without arguments. A partial pickles itself in two steps: it is
// made with its function alone, then BUILD sets function, arguments, keywords
// and attributes. The machine follows these steps, and no others, to the
// class of which an instance is made; whatever else becomes of a partial it
// leaves to the policy.

// isNew says whether v is the attribute __new__ of an import.
func (m *machine) isNew(v value) bool {
	if v.kind() != KindGlobal {
		return false
	}
	u := &m.uses[v.a()]
	return u.derived && bytes.HasSuffix(m.spelled(u.name), []byte(".__new__"))
}

// pushPartial pushes a functools.partial of a class's __new__.
func (m *machine) pushPartial(made int32, args value) error {
	if err := m.pushMade(made, args); err != nil {
		return err
	}
	m.objects[len(m.objects)-1].keys = keyPartial
	return nil
}

// buildPartial notes the class of which a partial makes instances from the
// state that BUILD sets. It returns false when the state is not the one that
// CPython writes.
func (m *machine) buildPartial(o *object, state value) bool {
	if state.kind() != KindTuple || state.b() != 4 {
		return false
	}
	parts := m.elements(state)
	function, args, keywords, attributes := parts[0], parts[1], parts[2], parts[3]
	if !m.isNew(function) || args.kind() != KindTuple || args.b() == 0 ||
		!m.isKeywords(keywords) || attributes.kind() != KindNone {
		return false
	}
	elems := m.elements(args)
	if elems[0].kind() != KindGlobal {
		return false
	}
	shape := m.shape(elems[1:])
	shape.Keywords = true
	o.use = m.use(elems[0].a(), RoleClass, shape)
	o.keys = keyMaker
	return true
}

// maker returns the use of the class of which v, when it is called without
// arguments, makes an instance.
func (m *machine) maker(v value) (class int32, ok bool) {
	if v.kind() != KindObject || m.objects[v.a()].keys&keyMaker == 0 {
		return 0, false
	}
	return m.objects[v.a()].use, true
}
