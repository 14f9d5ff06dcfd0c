package pickle

import "strconv"

// A Report says what loading a pickle would do.
type Report struct {
	Protocol      int      // what PROTO says; without it 0, the protocol that load then assumes
	Globals       []Global // what it imports, in order of import, and uses beyond the first
	PersistentIDs int      // number of PERSID and BINPERSID, which ask the application for objects
	Depth         int      // deepest nesting of containers and objects
	Memo          int      // entries in the memo
	Used          int      // length of the pickle in bytes: the offset after STOP
	Trailing      int      // bytes after STOP, which load ignores
}

// A Global is one way in which a pickle uses something that it imports. Each
// import is listed at least once, and once more for every further role or
// shape of arguments.
//
// The names are those that CPython's load resolves: below protocol 3 the
// names of Python 2 are mapped (fix_imports). A name with dots is reached by
// attributes: because STACK_GLOBAL names it so, or because the pickle calls
// getattr on an import, as Python does for nested classes below protocol 4
// and for class methods. Derived marks the latter.
type Global struct {
	Module  string
	Name    string
	Role    Role
	Args    Args // for RoleClass and RoleCallable
	Offset  int  // of the opcode that imports it, in bytes
	Derived bool // by getattr
	State   bool // an object made this way is the target of BUILD
	Items   bool // an object made this way is the target of APPEND(S) or SETITEM(S)
}

func (g *Global) path() string { return g.Module + "." + g.Name }

// A Role says what a pickle does with what it imports.
type Role uint8

const (
	RolePopped   Role = iota // imported, then not used
	RoleLoaded               // held as a value: in a container, as an argument, as a base
	RoleClass                // instances are made: NEWOBJ, NEWOBJ_EX, copyreg's reconstructors; other INST and OBJ
	RoleCallable             // called: REDUCE; INST and OBJ of what is not the standard library's, with arguments or no class by its name
)

func (r Role) String() string {
	return [...]string{"imported", "loaded", "class", "called"}[r]
}

// A Kind says what a value is, as far as the opcodes tell.
type Kind uint8

const (
	_             Kind = iota
	KindNone           // None
	KindBool           // bool
	KindInt            // int of at most 255 bytes
	KindLong           // int of more
	KindFloat          // float
	KindText           // str
	KindLatin1         // the str "latin1" or "latin-1", in which Python 2 compatible bytes are written
	KindRatio          // a str of decimal digits, or two such joined by "/": a Fraction
	KindBytes          // bytes
	KindByteArray      // bytearray
	KindList           // list
	KindTuple          // tuple
	KindDict           // dict
	KindSet            // set
	KindFrozenSet      // frozenset
	KindGlobal         // what GLOBAL, STACK_GLOBAL or getattr yields
	KindObject         // what a call returns, or an instance made
	KindNew            // a class's __new__, passed to functools.partial
	kindCount

	// KindMixed stands in Args.Kinds for values of several kinds.
	KindMixed = kindCount

	// kindPersistent is what a persistent id stands for. It is an object, but
	// none that this pickle made.
	kindPersistent = kindCount + 1
)

func (k Kind) String() string {
	names := [...]string{
		"?", "none", "bool", "int", "long", "float", "text", "latin1", "ratio", "bytes", "bytearray",
		"list", "tuple", "dict", "set", "frozenset", "global", "object", "new", "mixed", "persistent",
	}
	if int(k) >= len(names) {
		return strconv.Itoa(int(k))
	}
	return names[k]
}

// Args is the shape of the arguments of a call.
type Args struct {
	Count    int     // number of positional arguments
	Kinds    [4]Kind // of the first four
	Rest     Kind    // of all the others: KindMixed when they differ
	Keywords bool    // keyword arguments follow (NEWOBJ_EX)
	Unknown  bool    // an instance of an application's class is spread, a namedtuple mostly: Count and kinds are 0
}
