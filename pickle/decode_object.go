package pickle

import "unicode/utf8"

// global reads GLOBAL: two lines.
func (d *decoder) global() error {
	g, err := d.globalLines()
	if err != nil {
		return err
	}
	d.push(g)
	return nil
}

func (d *decoder) globalLines() (Value, error) {
	module, err := d.line()
	if err != nil {
		return nil, err
	}
	name, err := d.line()
	if err != nil {
		return nil, err
	}
	if !utf8.ValidString(module) || !utf8.ValidString(name) {
		return nil, d.fail("not UTF-8")
	}
	if len(module)+len(name) > maxName {
		return nil, d.fail("the names are too long")
	}
	return d.resolve(module, name), nil
}

func (d *decoder) stackGlobal() error {
	start := len(d.stack) - 2
	if start < d.fence {
		return d.underflow()
	}
	module, ok1 := nameText(d.stack[start])
	name, ok2 := nameText(d.stack[start+1])
	if !ok1 || !ok2 {
		return d.fail("the names are not text of this pickle")
	}
	if len(module)+len(name) > maxName {
		return d.fail("the names are too long")
	}
	d.stack = append(d.stack[:start], d.resolve(module, name))
	return nil
}

// nameText returns a str, or a string of Python 2 that is one to load: its
// default encoding is ASCII.
func nameText(v Value) (text string, ok bool) {
	switch v := v.(type) {
	case Str:
		return string(v), true
	case ByteStr:
		return string(v), isASCII([]byte(v))
	}
	return "", false
}

// resolve maps names as Unpickler.find_class does under fix_imports.
func (d *decoder) resolve(module, name string) Value {
	if d.protocol < 3 {
		return d.python2Import(Import{module, name})
	}
	return Import{module, name}
}

// renamed returns what Python 3 calls what Python 2 called i.
func renamed(i Import) Import {
	r := renames[i.Module]
	if to, ok := r.names[i.Name]; ok {
		return Import{to[0], to[1]}
	}
	if r.module != "" {
		i.Module = r.module
	}
	return i
}

// reduce reads REDUCE: callable(*args).
func (d *decoder) reduce() error {
	args, argsObject, err := d.popArgs()
	if err != nil {
		return err
	}
	callable, err := d.pop()
	if err != nil {
		return err
	}
	if g, ok := callable.(Import); ok && d.protocol < 5 && argsObject == nil {
		if v := d.spelledByCall(g, args.Items); v != nil {
			d.push(v)
			if d.copied > d.limits.MaxHashed {
				return d.beyond("MaxHashed", d.limits.MaxHashed)
			}
			return nil
		}
	}
	return d.pushObject(&Object{How: Reduce, Callable: callable, Args: args, ArgsObject: argsObject})
}

// spelledByCall returns the value for which the pickle's protocol has no
// opcode and Pickler.save writes a call, or nil.
func (d *decoder) spelledByCall(g Import, args []Value) Value {
	switch {
	case g.Module == "builtins":
		return d.builtinByCall(g.Name, args)
	case g.Module == "_codecs" && g.Name == "encode" && d.protocol < 3:
		if b, ok := d.encodedLatin1(args); ok {
			return Bytes(b)
		}
	}
	return nil
}

func (d *decoder) builtinByCall(name string, args []Value) Value {
	switch {
	case name == "bytes" && d.protocol < 3 && len(args) == 0:
		return Bytes("")
	case (name == "set" || name == "frozenset") && d.protocol < 4 && len(args) == 1:
		l, ok := args[0].(*List)
		if !ok {
			return nil
		}
		if d.charge(len(l.Items)) {
			return None{}
		}
		items := d.arena.values(nil, l.Items, d.pos)
		if name == "set" {
			return &Set{Items: items}
		}
		return &FrozenSet{Items: items}
	case name == "getattr" && d.protocol < 4 && len(args) == 2:
		of, ok1 := args[0].(Import)
		attr, ok2 := args[1].(Str)
		if ok1 && ok2 && len(of.Module)+len(of.Name)+len(attr) < maxName {
			d.charge(bytesCopied(len(of.Name) + len(attr)))
			return d.attribute(Import{of.Module, of.Name + "." + string(attr)})
		}
	case name == "bytearray" && len(args) == 0:
		return new(ByteArray)
	case name == "bytearray":
		b, ok := d.encodedLatin1(args)
		if given, isBytes := args[0].(Bytes); isBytes && len(args) == 1 {
			b, ok = string(given), true
		}
		if ok && d.charge(bytesCopied(len(b))) {
			return None{}
		}
		if ok {
			d.arena.spent += len(b)
			return &ByteArray{Data: []byte(b)}
		}
	}
	return nil
}

// attribute returns what a call of getattr on an import stands for: an import
// with a dotted name, but only once. A second call may get another object, a
// bound method for one, and is left a call.
func (d *decoder) attribute(i Import) Value {
	if d.attributes[i] {
		return nil
	}
	if d.attributes == nil {
		d.attributes = map[Import]bool{}
	}
	d.attributes[i] = true
	return i
}

// maxName bounds a module's name and a name in it, in bytes together. Names
// are compared each time that they are used.
const maxName = 1 << 10

// encodedLatin1 returns the bytes that args, a str and the name of the codec,
// stand for.
func (d *decoder) encodedLatin1(args []Value) (b string, ok bool) {
	if len(args) != 2 || args[1] != Str("latin1") && args[1] != Str("latin-1") {
		return "", false
	}
	s, ok := args[0].(Str)
	if !ok || d.charge(bytesCopied(len(s))) {
		return "", ok
	}
	return toLatin1(string(s))
}

// charge counts n values copied for a call, and says whether that is beyond
// MaxHashed: a few bytes can have one large list copied over and over.
func (d *decoder) charge(n int) (beyond bool) {
	d.copied += n
	return d.copied > d.limits.MaxHashed
}

// bytesCopied is how many values n bytes count as: they take 16 each.
func bytesCopied(n int) int { return 1 + n/16 }

func (d *decoder) newObj() error {
	args, argsObject, err := d.popArgs()
	if err != nil {
		return err
	}
	return d.makeObject(&Object{How: NewObj, Args: args, ArgsObject: argsObject})
}

func (d *decoder) newObjEx() error {
	v, err := d.pop()
	if err != nil {
		return err
	}
	kwargs, ok := v.(*Dict)
	if !ok {
		return d.fail("the keyword arguments are not a dict")
	}
	args, argsObject, err := d.popArgs()
	if err != nil {
		return err
	}
	return d.makeObject(&Object{How: NewObjEx, Args: args, ArgsObject: argsObject, Kwargs: kwargs})
}

func (d *decoder) makeObject(o *Object) error {
	class, err := d.pop()
	if err != nil {
		return err
	}
	o.Callable = class
	return d.pushObject(o)
}

func (d *decoder) pushObject(o *Object) error {
	made := d.arena.object()
	*made = *o
	d.push(made)
	return nil
}

func (d *decoder) inst() error {
	class, err := d.globalLines()
	if err != nil {
		return err
	}
	args, err := d.sinceMark()
	if err != nil {
		return err
	}
	return d.pushObject(&Object{How: Inst, Callable: class, Args: d.arena.tuple(args, d.pos)})
}

func (d *decoder) obj() error {
	items, err := d.sinceMark()
	if err != nil {
		return err
	}
	if len(items) == 0 {
		return d.underflow()
	}
	return d.pushObject(&Object{How: Obj, Callable: items[0], Args: d.arena.tuple(items[1:], d.pos)})
}

func (d *decoder) build() error {
	state, err := d.pop()
	if err != nil {
		return err
	}
	target, err := d.top()
	if err != nil {
		return err
	}
	o, ok := target.(*Object)
	if !ok {
		return d.fail("the target is not an object made here")
	}
	d.setState(o, state, nil)
	return nil
}

func (d *decoder) setState(o *Object, state, setter Value) {
	if o.State == nil && o.Later == nil {
		o.State, o.StateSetter = state, setter
		return
	}
	d.later(o, Step{State: state, StateSetter: setter})
}

func (d *decoder) later(o *Object, s Step) {
	o.Later = append(grow(o.Later, 1, &d.arena, d.pos), s)
}

// notePopped keeps what a call did that is thrown away. CPython throws away
// two: an object that was met again inside its own arguments, where a GET of
// the one made there follows, and setter(object, state), written on top of the
// object as TUPLE2, REDUCE, POP with nothing in between (save_reduce with a
// state_setter).
func (d *decoder) notePopped(popped Value) {
	call, ok := popped.(*Object)
	if !ok || d.last != opReduce && d.last != opNewObj && d.last != opNewObjEx {
		return
	}
	if again, ok := d.nextRecalled().(*Object); ok && again.madeLike(call) {
		if again.outer == nil && call.outer == nil {
			again.outer = call
		}
		return
	}
	if d.last != opReduce || d.beforeLast != opTuple2 || call.How != Reduce || len(call.Args.Items) != 2 {
		return
	}
	target := call.Args.Items[0]
	if o, ok := target.(*Object); ok && len(d.stack) > d.fence && d.stack[len(d.stack)-1] == target {
		d.setState(o, call.Args.Items[1], call.Callable)
	}
}

// madeLike says whether the same thing was called to make o and other: an
// import, or a functools.partial, which __getnewargs_ex__ has below protocol 4.
func (o *Object) madeLike(other *Object) bool {
	if o.How != other.How || o.Callable == other.Callable {
		return o.How == other.How
	}
	by, ok1 := o.Callable.(*Object)
	otherBy, ok2 := other.Callable.(*Object)
	return ok1 && ok2 && by.How == otherBy.How && by.Callable == otherBy.Callable
}

// nextRecalled returns what the next opcode, if it is a GET, fetches.
func (d *decoder) nextRecalled() Value {
	ahead := decoder{in: d.in, pos: d.pos + 1, end: d.end}
	if d.pos >= d.end {
		return nil
	}
	var i int
	var err error
	switch d.in[d.pos] {
	case opGet:
		i, err = ahead.textIndex()
	case opBinGet:
		var n uint64
		n, err = ahead.uint(1)
		i = int(n)
	case opLongBinGet:
		var n uint64
		n, err = ahead.uint(4)
		i = int(n)
	default:
		return nil
	}
	if err != nil {
		return nil
	}
	return d.lookup(i)
}

func (d *decoder) persID() error {
	id, err := d.line()
	if err != nil {
		return err
	}
	if !isASCII([]byte(id)) {
		return d.fail("the id is not in ASCII")
	}
	d.push(PersistentID{Str(id)})
	return nil
}

func (d *decoder) binPersID() error {
	id, err := d.pop()
	if err != nil {
		return err
	}
	d.push(PersistentID{id})
	return nil
}

// popArgs pops the arguments of a call: a tuple, or an instance that may be one.
func (d *decoder) popArgs() (*Tuple, *Object, error) {
	v, err := d.pop()
	if err != nil {
		return nil, nil, err
	}
	switch v := v.(type) {
	case *Tuple:
		return v, nil, nil
	case *Object:
		if _, ok := v.Class(); ok {
			return d.arena.tuple(nil, d.pos), v, nil
		}
	}
	return nil, nil, d.fail("the arguments are not a tuple made by this pickle")
}
