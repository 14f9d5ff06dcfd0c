package pickle

import "bytes"

// reduce reads REDUCE: callable(*args).
func (m *machine) reduce() error {
	args, err := m.popArgs()
	if err != nil {
		return err
	}
	callable, err := m.pop()
	if err != nil {
		return err
	}
	if args.kind() == KindObject {
		return m.callSpread(callable, RoleCallable, args, false)
	}
	if class, ok := m.maker(callable); ok && args.b() == 0 {
		return m.pushMade(class, args)
	}
	if callable.kind() != KindGlobal {
		return m.notImported(callable)
	}
	special := m.uses[callable.a()].special
	elems := m.elements(args)
	if err := m.charge(m.uses[callable.a()].module, args); err != nil {
		return err
	}
	shape := m.shape(elems)
	if special == partial && len(elems) == 1 && m.isNew(elems[0]) {
		shape.Kinds[0] = KindNew
		return m.pushPartial(m.use(callable.a(), RoleCallable, shape), args)
	}
	made := m.use(callable.a(), RoleCallable, shape)
	switch special {
	case reconstructor, newObject, newObjectEx:
		return m.pushMade(m.reconstruct(special, made, elems), args)
	case getattr:
		if len(elems) == 2 && elems[0].kind() == KindGlobal {
			attr, ok := m.attribute(elems[1])
			if !ok {
				return m.fail("the attribute's name is not plain text of this pickle")
			}
			v, err := m.derive(m.uses[elems[0].a()], attr)
			if err != nil {
				return err
			}
			m.push(v)
			return nil
		}
	case encode:
		if len(elems) == 2 && elems[0].kind() == KindText && m.kindOf(elems[1]) == KindLatin1 {
			m.push(newValue(KindBytes, elems[0].weight()))
			return nil
		}
	case emptyBytes:
		if len(elems) == 0 {
			m.push(newValue(KindBytes, 1))
			return nil
		}
	}
	return m.pushMade(made, args)
}

// reconstruct notes the class of which one of copyreg's functions makes an
// instance, and returns that use; callable, when the arguments do not name one.
func (m *machine) reconstruct(by special, callable int32, args []value) int32 {
	if len(args) == 0 || args[0].kind() != KindGlobal {
		return callable
	}
	class := args[0].a()
	switch {
	case by == reconstructor && len(args) == 3:
		return m.use(class, RoleClass, m.shape(stateOf(args)))
	case by == newObject:
		return m.use(class, RoleClass, m.shape(args[1:]))
	case by == newObjectEx && len(args) == 3 && args[1].kind() == KindTuple:
		shape := m.shape(m.elements(args[1]))
		shape.Keywords = true
		return m.use(class, RoleClass, shape)
	}
	return callable
}

// stateOf returns what copyreg._reconstructor(class, base, state) passes on
// to base: nothing when state is None.
func stateOf(args []value) []value {
	if args[2].kind() == KindNone {
		return nil
	}
	return args[2:]
}

// charge counts what a constructor of the standard library visits of its
// arguments: set, OrderedDict and others hash or copy them each time.
func (m *machine) charge(module span, args value) error {
	const small = 64 // not worth the look at the module's name
	if args.weight() <= small || !isStandard(string(m.spelled(module))) {
		return nil
	}
	return m.visit(args.weight())
}

// newObj reads NEWOBJ: class.__new__(class, *args).
func (m *machine) newObj() error {
	args, err := m.popArgs()
	if err != nil {
		return err
	}
	return m.makeObject(args, false)
}

// newObjEx reads NEWOBJ_EX: class.__new__(class, *args, **kwargs).
func (m *machine) newObjEx() error {
	keywords, err := m.pop()
	if err != nil {
		return err
	}
	if !m.isKeywords(keywords) {
		return m.fail("the keyword arguments are not a dict whose keys are text")
	}
	args, err := m.popArgs()
	if err != nil {
		return err
	}
	return m.makeObject(args, true)
}

func (m *machine) makeObject(args value, keywords bool) error {
	class, err := m.popGlobal()
	if err != nil {
		return err
	}
	if args.kind() == KindObject {
		return m.callSpread(class, RoleClass, args, keywords)
	}
	shape := m.shape(m.elements(args))
	shape.Keywords = keywords
	return m.pushMade(m.use(class.a(), RoleClass, shape), args)
}

// inst reads INST: the class named on two lines in ASCII, called with what is
// on the stack since MARK.
func (m *machine) inst() error {
	module, err := m.line()
	if err != nil {
		return err
	}
	name, err := m.line()
	if err != nil {
		return err
	}
	if !isASCII(module) || !isASCII(name) {
		return m.fail("not a name in ASCII")
	}
	items, err := m.sinceMark()
	if err != nil {
		return err
	}
	class, err := m.load(module, name)
	if err != nil {
		return err
	}
	return m.instantiate(class, items)
}

// obj reads OBJ: the class lies on the stack above MARK, the arguments above it.
func (m *machine) obj() error {
	items, err := m.sinceMark()
	if err != nil {
		return err
	}
	if len(items) == 0 {
		return m.underflow()
	}
	if items[0].kind() != KindGlobal {
		return m.fail("the class is not an import")
	}
	return m.instantiate(items[0], items[1:])
}

// instantiate is what INST and OBJ do, as _pickle.c's instantiate: __new__ of
// a class without arguments, and otherwise a call, of a function too.
func (m *machine) instantiate(class value, items []value) error {
	weight, depth, _ := m.holdAll(items)
	u := &m.uses[class.a()]
	if u.special.isPicklesOwn() {
		return m.fail("what is called is written by REDUCE alone: getattr, and pickle's own functions")
	}
	role := RoleClass
	// Calls of the standard library are known by REDUCE alone, which looks into
	// their arguments; as classes, the policy lets few take any.
	if (len(items) > 0 || !isClassName(lastName(m.spelled(u.name)))) && !isStandard(string(m.spelled(u.module))) {
		role = RoleCallable
	}
	made := m.use(class.a(), role, m.shape(items))
	return m.pushMade(made, newValue(0, weight).withDepth(depth))
}

// pushMade pushes the result of a call with args.
func (m *machine) pushMade(made int32, args value) error {
	return m.pushObject(KindObject, object{use: made, weight: add(args.weight(), 1), depth: args.depth()})
}

// build reads BUILD: __setstate__(state), or attributes set from a dict, or
// from a pair of dicts of which the second is set by setattr.
func (m *machine) build() error {
	state, err := m.pop()
	if err != nil {
		return err
	}
	target, err := m.top()
	if err != nil {
		return err
	}
	if target.kind() != KindObject {
		return m.fail("the target is a " + target.kind().String() + ", not an object made here")
	}
	o := &m.objects[target.a()]
	if o.keys&keyHidden != 0 {
		return m.hidden()
	}
	if err := m.judgeState(o, state); err != nil {
		return err
	}
	weight, depth, _ := m.hold(state)
	o.weight = add(o.weight, weight)
	switch {
	case o.keys&keyMaker != 0:
		return m.fail("a functools.partial is changed twice")
	case o.keys&keyPartial != 0 && m.buildPartial(o, state):
	default:
		m.uses[o.use].state = true
	}
	return m.deepen(o, depth)
}

// persID and binPersID push what the application finds under an id.
func (m *machine) persID() error {
	id, err := m.line()
	if err != nil {
		return err
	}
	if !isASCII(id) {
		return m.fail("the id is not in ASCII")
	}
	return m.pushPersistent()
}

func (m *machine) binPersID() error {
	id, err := m.pop()
	if err != nil {
		return err
	}
	m.hold(id)
	return m.pushPersistent()
}

func (m *machine) pushPersistent() error {
	m.report.PersistentIDs++
	m.push(newValue(kindPersistent, 1))
	return nil
}

// popArgs pops the arguments of a call: a tuple, or an instance that may be one.
func (m *machine) popArgs() (value, error) {
	v, err := m.pop()
	if err == nil && v.kind() != KindTuple && !m.mayBeTuple(v) {
		err = m.fail("the arguments are not a tuple made by this pickle")
	}
	return v, err
}

func (m *machine) popGlobal() (value, error) {
	v, err := m.pop()
	if err == nil && v.kind() != KindGlobal {
		err = m.notImported(v)
	}
	return v, err
}

func (m *machine) notImported(v value) error {
	return m.fail("what is called or made is no import: " + v.kind().String())
}

// isKeywords says whether v can be passed as keyword arguments: CPython wants
// their names to be str.
func (m *machine) isKeywords(v value) bool {
	return v.kind() == KindDict && m.objects[v.a()].keys&keyOther == 0
}

// maxShape is the number of arguments that are looked at; it keeps the pass
// linear when one long tuple is passed again and again.
const maxShape = 64

// shape describes the arguments of a call.
func (m *machine) shape(args []value) Args {
	s := Args{Count: len(args)}
	for i, v := range args {
		kind := m.kindOf(v)
		switch {
		case i < len(s.Kinds):
			s.Kinds[i] = kind
		case i == len(s.Kinds):
			s.Rest = kind
		case s.Rest != kind || i == maxShape:
			s.Rest = KindMixed
			return s
		}
	}
	return s
}

// kindOf is a value's kind, with int told apart by length, and text by what it
// says.
func (m *machine) kindOf(v value) Kind {
	if v.kind() == KindInt && v.flags()&flagLong != 0 {
		return KindLong
	}
	if v.kind() != KindText {
		return v.kind()
	}
	b, ok := m.text(v)
	switch {
	case !ok || len(b) > maxLookedAt:
	case string(b) == "latin1" || string(b) == "latin-1":
		return KindLatin1
	case isRatio(b):
		return KindRatio
	}
	return KindText
}

// maxLookedAt bounds, in bytes, what is looked at each time that one text is
// passed to a call: numbers of a Fraction beyond it do not count as such.
const maxLookedAt = 128

// isRatio says whether b is what Fraction's __reduce__ writes. Fraction takes
// "1e1000000000" too, and would compute it.
func isRatio(b []byte) bool {
	if len(b) == 0 || b[0] != '-' && (b[0] < '0' || b[0] > '9') {
		return false
	}
	numerator, denominator, found := bytes.Cut(bytes.TrimPrefix(b, []byte("-")), []byte("/"))
	return isDecimal(numerator) && (!found || isDecimal(denominator))
}
