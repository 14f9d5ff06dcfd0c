package pickle

import "math/big"

// A Value is what a pickle holds, with nothing lost that Python's unpickler
// could tell apart. It is one of
//
//	None  Bool  Int  *BigInt  Float
//	Str  Bytes  *ByteArray  ByteStr
//	*List  *Tuple  *Dict  *Set  *FrozenSet
//	Import  *Object  PersistentID
//	Python2Int  Python2Import
//
// and never nil where a pickle was decoded.
//
// Identity: what Python knows as one object is one pointer here, and cycles
// are cycles of pointers. Str, Bytes and ByteStr have no pointer; two of them
// count as one object when they share their memory, as copies of one Go
// string do. Encode then writes them once, as CPython does. None of this is
// asked of values made by hand: equal strings in different memory are merely
// written twice.
//
// The types that are not pointers, and so all keys that Python can hash by
// value, but for tuples and frozensets, can be compared with ==.
type Value interface{ value() }

// None is Python's None.
type None struct{}

// Bool is a bool.
type Bool bool

// Int is an int that fits into 64 bits. Decode yields it whenever it does.
type Int int64

// BigInt is an int of any size.
type BigInt struct{ big.Int }

// Float is a float; the bits of a NaN are kept from protocol 1 on.
type Float float64

// Str is a str, in UTF-8. A lone surrogate, which UTF-8 does not allow and
// Python's str does, is the three bytes that Python's error handler
// "surrogatepass" writes: U+D800 is "\xed\xa0\x80".
type Str string

// Bytes is a bytes object. Like it, a Go string cannot change.
type Bytes string

// ByteStr is a str of Python 2: bytes, of which only the writer knows whether
// they are text. DecodeOptions.Python2 says what becomes of it.
type ByteStr string

// ByteArray is a bytearray.
type ByteArray struct{ Data []byte }

// List is a list.
type List struct{ Items []Value }

// Tuple is a tuple.
type Tuple struct{ Items []Value }

// Dict is a dict in its order. Where a key occurs twice the last one counts.
type Dict struct{ Items []Item }

// Item is a key with its value.
type Item struct{ Key, Value Value }

// Set is a set, in the order of the pickle.
type Set struct{ Items []Value }

// FrozenSet is a frozenset, in the order of the pickle.
type FrozenSet struct{ Items []Value }

// Import is what a pickle imports: a class, a function, a constant. Name may
// be dotted ("Outer.Inner"). The names are those of Python 3: of pickles
// below protocol 3 they are mapped as load maps them.
type Import struct{ Module, Name string }

// PersistentID stands for an object that the pickle does not hold. In
// protocol 0 the ID is a Str.
type PersistentID struct{ ID Value }

// An Object is whatever is made by a call: an instance, mostly. It keeps how
// the object was made and what was done to it, in the order in which pickle
// writes it: the call, ListItems, DictItems, State, Later.
type Object struct {
	How      How
	Callable Value  // what is called; the class, but for Reduce. Mostly an Import
	Args     *Tuple // never nil where a pickle was decoded
	Kwargs   *Dict  // for NewObjEx

	// ArgsObject is passed in place of Args, which are then empty, when it is
	// not nil: an instance of a subclass of tuple, such as a namedtuple, which
	// CPython spreads as it does a tuple. Not for Inst and Obj.
	ArgsObject *Object

	ListItems []Value // appended to the object: APPEND, APPENDS
	DictItems []Item  // set in the object: SETITEM, SETITEMS

	// State is what __setstate__ gets (BUILD), nil when there is none. For a
	// class without that method it is the dict of attributes, or a tuple of
	// that dict, or None, and a dict of slots.
	State Value

	// StateSetter is called with the object and State in place of BUILD when
	// it is not nil: the sixth item of a reduce value.
	StateSetter Value

	// Later holds what does not fit the order above. CPython writes it for an
	// object that was met again inside its own arguments alone.
	Later []Step

	// outer is the call in whose arguments this object was made, where CPython
	// met the object again inside its own arguments. Its result was thrown
	// away, but its arguments are others than Args: __reduce__ makes new ones
	// each time, and what is still empty in the inner ones has been filled in
	// the outer.
	outer *Object
}

// How says how an object is made.
type How uint8

const (
	NewObj   How = iota // Callable.__new__(Callable, *Args); below protocol 2 by copyreg.__newobj__
	NewObjEx            // the same with Kwargs; below protocol 4 by copyreg.__newobj_ex__
	Reduce              // Callable(*Args)
	Inst                // INST of Python 2: an instance, by __new__ alone when there are no Args
	Obj                 // OBJ of Python 2: the same
)

// A Step changes an object after it was made. One of the fields is set, and
// StateSetter may accompany State.
type Step struct {
	State       Value
	StateSetter Value
	ListItems   []Value
	DictItems   []Item
	SetItems    []Value // by the object's method add: ADDITEMS
}

func (None) value()         {}
func (Bool) value()         {}
func (Int) value()          {}
func (*BigInt) value()      {}
func (Float) value()        {}
func (Str) value()          {}
func (Bytes) value()        {}
func (ByteStr) value()      {}
func (*ByteArray) value()   {}
func (*List) value()        {}
func (*Tuple) value()       {}
func (*Dict) value()        {}
func (*Set) value()         {}
func (*FrozenSet) value()   {}
func (Import) value()       {}
func (*Object) value()      {}
func (PersistentID) value() {}

// Get returns the value of the last item whose key == key, which holds for
// equal strings and numbers of one type and for the same pointer. A nil Dict
// is empty.
func (d *Dict) Get(key Value) (v Value, ok bool) {
	if d == nil {
		return nil, false
	}
	for i := len(d.Items) - 1; i >= 0; i-- {
		if d.Items[i].Key == key {
			return d.Items[i].Value, true
		}
	}
	return nil, false
}

// Set replaces the value that Get finds, or adds an item.
func (d *Dict) Set(key, v Value) {
	for i := len(d.Items) - 1; i >= 0; i-- {
		if d.Items[i].Key == key {
			d.Items[i].Value = v
			return
		}
	}
	d.Items = append(d.Items, Item{key, v})
}

// Class returns the class of which o is made an instance: Callable, or what
// copyreg's functions, which protocols 0 and 1 call, get as their first
// argument. ok is false when that is no import.
func (o *Object) Class() (class Import, ok bool) {
	class, ok = imported(o.Callable)
	if ok && o.How == Reduce && class.Module == "copyreg" && o.Args != nil && len(o.Args.Items) > 0 {
		switch class.Name {
		case "_reconstructor", "__newobj__", "__newobj_ex__":
			class, ok = imported(o.Args.Items[0])
		}
	}
	return class, ok
}

// imported returns the import that v is, or gets by getattr of one, as nested
// classes are below protocol 4.
func imported(v Value) (i Import, ok bool) { return importedWithin(v, maxName) }

// importedWithin is imported for names of at most length bytes, which bounds
// how many calls of getattr it follows.
func importedWithin(v Value, length int) (i Import, ok bool) {
	if i, ok = v.(Import); ok {
		return i, true
	}
	if old, ok := v.(Python2Import); ok {
		return old.Import(), true
	}
	o, ok := v.(*Object)
	if !ok || o.Args == nil || len(o.Args.Items) != 2 || !o.isCallOf("builtins", "getattr") {
		return Import{}, false
	}
	name, ok := o.Args.Items[1].(Str)
	if !ok || len(name) >= length {
		return Import{}, false
	}
	of, ok := importedWithin(o.Args.Items[0], length-len(name)-1)
	return Import{of.Module, of.Name + "." + string(name)}, ok
}

// Attributes returns the dict of o's attributes, as the default BUILD takes
// it from State, or nil.
func (o *Object) Attributes() *Dict {
	switch state := o.State.(type) {
	case *Dict:
		return state
	case *Tuple:
		if len(state.Items) == 2 {
			d, _ := state.Items[0].(*Dict)
			return d
		}
	}
	return nil
}
