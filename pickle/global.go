package pickle

import (
	"bytes"
	"unicode/utf8"
)

// A use is a Global in the making. Its names are spans of machine.names.
type use struct {
	module, name span
	role         Role
	args         Args
	offset       uint32
	next         int32 // the same import in another role, in machine.uses; 0 when there is none
	special      special
	derived      bool
	state, items bool
}

type span struct{ start, end uint32 }

// special marks the callables that are more than their permission: whose
// result depends on names among their arguments, or whose arguments and state
// count for more than their kinds.
type special uint8

const (
	plain         special = iota
	getattr               // builtins.getattr: an attribute of an import
	encode                // _codecs.encode: bytes, in protocols 0 to 2
	emptyBytes            // builtins.bytes: b"", in protocols 0 to 2
	reconstructor         // copyreg._reconstructor: an instance, in protocols 0 and 1
	newObject             // copyreg.__newobj__
	newObjectEx           // copyreg.__newobj_ex__
	partial               // functools.partial: copyreg.__newobj_ex__ in protocols 2 and 3
	mapping               // collections.OrderedDict and Counter: a dict with the keys given
	cookie                // http.cookies.BaseCookie and SimpleCookie: a dict that makes text of its values
	generator             // random.Random
)

// isPicklesOwn reports whether pickle itself writes the calls, by REDUCE alone.
func (s special) isPicklesOwn() bool { return s > plain && s <= partial }

func specialOf(module, name []byte) special {
	switch string(module) {
	case "builtins":
		switch string(name) {
		case "getattr":
			return getattr
		case "bytes":
			return emptyBytes
		}
	case "_codecs":
		if string(name) == "encode" {
			return encode
		}
	case "functools":
		if string(name) == "partial" {
			return partial
		}
	case "collections":
		if string(name) == "OrderedDict" || string(name) == "Counter" {
			return mapping
		}
	case "http.cookies":
		return cookie
	case "random":
		return generator
	case "copyreg":
		switch string(name) {
		case "_reconstructor":
			return reconstructor
		case "__newobj__":
			return newObject
		case "__newobj_ex__":
			return newObjectEx
		}
	}
	return plain
}

// global reads GLOBAL: two lines, in UTF-8.
func (m *machine) global() error {
	module, err := m.line()
	if err != nil {
		return err
	}
	name, err := m.line()
	if err != nil {
		return err
	}
	v, err := m.load(module, name)
	if err != nil {
		return err
	}
	m.push(v)
	return nil
}

// stackGlobal takes its names from the stack. They may have come by way of
// the memo, but must be text that stands in the pickle.
func (m *machine) stackGlobal() error {
	if len(m.stack)-2 < m.fence {
		return m.underflow()
	}
	n := len(m.stack) - 2
	module, ok1 := m.text(m.stack[n])
	name, ok2 := m.text(m.stack[n+1])
	if !ok1 || !ok2 {
		return m.fail("the names are not plain text of this pickle")
	}
	m.stack = m.stack[:n]
	v, err := m.load(module, name)
	if err != nil {
		return err
	}
	m.push(v)
	return nil
}

// load resolves names as Unpickler.find_class does and returns the value that
// stands for what is imported.
func (m *machine) load(module, name []byte) (value, error) {
	if !validPath(module) || !validPath(name) {
		return value{}, m.fail("not a name that can be imported")
	}
	if len(module)+len(name) > maxName {
		return value{}, m.fail("the names are too long")
	}
	u := use{role: RolePopped, offset: uint32(m.op)}
	newModule, newName := "", ""
	if m.report.Protocol < 3 {
		r := renames[string(module)]
		if to, ok := r.names[string(name)]; ok {
			newModule, newName = to[0], to[1]
		} else {
			newModule = r.module
		}
	}
	if !m.roomFor(len(module) + len(name)) {
		return value{}, m.fail("the names are longer than the pickle accounts for")
	}
	u.module = m.spell(module, newModule)
	u.name = m.spell(name, newName)
	u.special = specialOf(m.spelled(u.module), m.spelled(u.name))
	return m.imported(u), nil
}

// attribute returns the name that getattr is given. In protocol 0 CPython
// writes that of a nested class with letters beyond ASCII in
// raw-unicode-escape; textUnicode lets no second way to spell it through.
func (m *machine) attribute(v value) (name []byte, ok bool) {
	name, ok = m.text(v)
	if ok || v.kind() != KindText || m.data[v.a()-1] != opUnicode || v.b()-v.a() > maxName {
		return name, ok
	}
	s, ok := rawUnescape(string(m.data[v.a():v.b()]))
	return []byte(s), ok
}

// derive is getattr on an import: an attribute of it, named by text.
func (m *machine) derive(of use, attr []byte) (value, error) {
	if !validPath(attr) || bytes.IndexByte(attr, '.') >= 0 {
		return value{}, m.fail("not the name of an attribute")
	}
	if !m.roomFor(int(of.name.end-of.name.start) + 1 + len(attr)) {
		return value{}, m.fail("the names are longer than the pickle accounts for")
	}
	u := use{module: of.module, role: RolePopped, offset: uint32(m.op), derived: true}
	u.name.start = uint32(len(m.names))
	m.names = append(m.names, m.spelled(of.name)...)
	m.names = append(m.names, '.')
	m.names = append(m.names, attr...)
	u.name.end = uint32(len(m.names))
	return m.imported(u), nil
}

func (m *machine) imported(u use) value {
	m.uses = append(m.uses, u)
	return newValue(KindGlobal, 1).withRef(uint32(len(m.uses)-1), 0)
}

// roomFor bounds machine.names by the input's length: a few bytes can fetch a
// long name from the memo over and over.
func (m *machine) roomFor(n int) bool {
	return len(m.names)+n <= 1<<16+4*len(m.data)
}

// spell adds renamed, or else name, to machine.names.
func (m *machine) spell(name []byte, renamed string) span {
	start := uint32(len(m.names))
	if renamed != "" {
		m.names = append(m.names, renamed...)
	} else {
		m.names = append(m.names, name...)
	}
	return span{start, uint32(len(m.names))}
}

func (m *machine) spelled(s span) []byte { return m.names[s.start:s.end] }

// validPath says whether b is a dotted path of names. NUL, which CPython 3.11
// and later take for the end of a module's name, line ends and other control
// characters, blanks and empty parts are not; letters beyond ASCII are.
func validPath(b []byte) bool {
	before, high := byte('.'), byte(0)
	for _, c := range b {
		if !inPath[c] || c == '.' && before == '.' {
			return false
		}
		before = c
		high |= c
	}
	return before != '.' && (high < utf8.RuneSelf || utf8.Valid(b))
}

// inPath holds the bytes that validPath allows.
var inPath = func() (in [256]bool) {
	for c := range in {
		in[c] = c >= utf8.RuneSelf || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' ||
			'0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
	}
	return in
}()

// use notes that import i serves in a role, and returns the index of the use.
// Uses of one import are linked, so that a class met a thousand times is
// listed once.
func (m *machine) use(i uint32, role Role, args Args) int32 {
	first := &m.uses[i]
	if first.role == RolePopped {
		first.role, first.args = role, args
		return int32(i)
	}
	if first.role == role && first.args == args {
		return int32(i)
	}
	for n, hops := first.next, 0; n != 0 && hops < maxUses; n, hops = m.uses[n].next, hops+1 {
		if u := &m.uses[n]; u.role == role && u.args == args {
			return n
		}
	}
	again := *first
	again.role, again.args, again.state, again.items = role, args, false, false
	m.uses = append(m.uses, again)
	added := int32(len(m.uses) - 1)
	m.uses[i].next = added
	return added
}

// maxUses is how many shapes of one import are compared before a further
// use is listed anew; it keeps the pass linear.
const maxUses = 8

// globals turns the uses into what the report holds, at two allocations.
func (m *machine) globals() []Global {
	if len(m.uses) == 0 {
		return nil
	}
	names := string(m.names)
	globals := make([]Global, len(m.uses))
	for i, u := range m.uses {
		globals[i] = Global{
			Module: names[u.module.start:u.module.end],
			Name:   names[u.name.start:u.name.end],
			Role:   u.role, Args: u.args, Offset: int(u.offset),
			Derived: u.derived, State: u.state, Items: u.items,
		}
	}
	return globals
}
