package pickle

// mayBeTuple says whether v is an instance of an application's class. CPython
// passes it as the arguments of a call if the class is a subclass of tuple, as a
// namedtuple is that __reduce__ returns, and else raises.
func (m *machine) mayBeTuple(v value) bool {
	if v.kind() != KindObject {
		return false
	}
	o := &m.objects[v.a()]
	made := &m.uses[o.use]
	return made.role == RoleClass && o.keys&keyMaker == 0 && !isStandard(string(m.spelled(made.module)))
}

// callSpread pushes the result of a call with the elements of an instance,
// which are not known: neither special callables are looked into, nor do the
// policy's rules for the standard library permit it.
func (m *machine) callSpread(callable value, role Role, args value, keywords bool) error {
	if callable.kind() != KindGlobal {
		return m.notImported(callable)
	}
	weight, depth, _ := m.hold(args)
	made := m.use(callable.a(), role, Args{Unknown: true, Keywords: keywords})
	return m.pushMade(made, newValue(0, weight).withDepth(depth))
}
