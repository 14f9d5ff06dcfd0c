package pickle

import "bytes"

// judgeState refuses a state that would exchange the class of o, by a key
// "__class__" or by setattr of a special name, which is what CPython does with
// the second of a pair; and setattr on what a function returns, which may be a
// class. It notes when attributes may stand in for the object: APPEND, APPENDS
// and a second BUILD look append, extend and __setstate__ up in the instance
// first, and would call what the pickle has put there; a UserDict passes items
// on to its attribute data, which may be a dict of the application.
func (m *machine) judgeState(o *object, state value) error {
	attributes, slots := m.keysOf(state), keys(0)
	u := &m.uses[o.use]
	if state.kind() == KindTuple && state.b() == 2 {
		pair := m.elements(state)
		attributes, slots = m.keysOf(pair[0]), m.keysOf(pair[1])
		if u.role == RoleCallable && m.hasItems(pair[1]) && !isClassName(lastName(m.spelled(u.name))) {
			return m.fail("the state sets attributes, by setattr, of what a function returns")
		}
	}
	switch {
	case attributes&keyClass != 0 || slots&keySpecial != 0:
		return m.fail("the state sets __class__ or a special attribute")
	case (attributes|slots)&keyObject != 0:
		return m.fail("the state sets attributes whose names are not plain text")
	case u.special == generator && !m.isGeneratorState(state):
		return m.fail("the state of random.Random is not made of tuples")
	}
	if (attributes|slots)&(keyMethod|keySpecial|keyImport) != 0 {
		o.keys |= keyHidden
	}
	return nil
}

// hasItems says whether v is a dict with items.
func (m *machine) hasItems(v value) bool {
	return v.kind() == KindDict && m.objects[v.a()].weight > 1
}

// lastName returns what follows the last dot of a name.
func lastName(name []byte) string {
	return string(name[bytes.LastIndexByte(name, '.')+1:])
}

func (m *machine) hidden() error {
	return m.fail("the target's attributes may stand in for it")
}

// keysOf returns what is known of v's keys in case it is a dict, or of a class
// derived from dict.
func (m *machine) keysOf(v value) keys {
	switch v.kind() {
	case KindDict:
		return m.objects[v.a()].keys
	case KindObject:
		o := &m.objects[v.a()]
		if m.mayBeFilled(&m.uses[o.use]) {
			return keyClass | keySpecial
		}
		return o.keys
	}
	return 0
}

// mayBeFilled says whether a call may return a dict with keys that came with
// its arguments.
func (m *machine) mayBeFilled(u *use) bool {
	if u.role != RoleCallable || u.special != mapping && isStandard(string(m.spelled(u.module))) {
		return false
	}
	if u.args.Unknown {
		return true
	}
	for _, k := range u.args.Kinds {
		if k >= KindList {
			return true
		}
	}
	return u.args.Rest >= KindList
}

// isGeneratorState says whether v is what random.Random.__reduce__ returns,
// (version, (integers...), gauss_next): of version 2, setstate walks through
// whatever stands in the place of the integers, a range of 10**10 too.
func (m *machine) isGeneratorState(v value) bool {
	return v.kind() == KindTuple && v.b() == 3 && m.elements(v)[1].kind() == KindTuple
}
