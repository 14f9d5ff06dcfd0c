package pickle

import (
	"strings"
	"unsafe"
)

// saveObject follows save_reduce.
func (e *encoder) saveObject(o *Object) error {
	key := identity{pointer: unsafe.Pointer(o)}
	_, done, err := e.enter(key)
	if done {
		return err
	}
	if o.outer != nil && !e.inner[o] {
		err = e.saveTwice(o, key)
	} else {
		err = e.saveOnce(o, key)
	}
	e.depth--
	return err
}

func (e *encoder) saveOnce(o *Object, key identity) error {
	if o.Callable == nil {
		return e.fail("an Object without a Callable")
	}
	if err := e.make(o); err != nil {
		return err
	}
	if e.memoizeMade(key) {
		return nil
	}
	if err := e.appends(o.ListItems, false); err != nil {
		return err
	}
	if err := e.setItems(o.DictItems, false); err != nil {
		return err
	}
	if err := e.setState(o, o.State, o.StateSetter); err != nil {
		return err
	}
	if o.outer != nil {
		return nil
	}
	return e.saveLater(o)
}

// saveTwice writes an object that is met again inside its own arguments: the
// outer call, inside of which the object itself is written, and whose result
// goes.
func (e *encoder) saveTwice(o *Object, key identity) error {
	if e.inner == nil {
		e.inner = map[*Object]bool{}
	}
	e.inner[o] = true
	if err := e.make(o.outer); err != nil {
		return err
	}
	e.op(opPop)
	if entry := e.memo.find(key); entry.pointer != nil {
		e.get(int(entry.index))
	} else if err := e.saveOnce(o, key); err != nil { // the arguments were changed since
		return err
	}
	return e.saveLater(o)
}

func (e *encoder) saveLater(o *Object) error {
	for _, s := range o.Later {
		if err := e.saveStep(o, s); err != nil {
			return err
		}
	}
	return nil
}

// memoizeMade puts what a call has made into the memo. If it is there, since it
// was met again inside its own arguments, that one is taken instead.
func (e *encoder) memoizeMade(key identity) (already bool) {
	entry := e.memo.find(key)
	if entry.pointer != nil {
		e.op(opPop)
		e.get(int(entry.index))
		return true
	}
	e.memoize(entry, key)
	return false
}

func (e *encoder) saveStep(o *Object, s Step) error {
	if err := e.appends(s.ListItems, false); err != nil {
		return err
	}
	if err := e.setItems(s.DictItems, false); err != nil {
		return err
	}
	if err := e.addItems(s.SetItems); err != nil {
		return err
	}
	return e.setState(o, s.State, s.StateSetter)
}

// make writes the call that makes o.
func (e *encoder) make(o *Object) error {
	if o.ArgsObject != nil {
		return e.makeWith(o, o.ArgsObject)
	}
	args := o.Args
	if args == nil {
		args = new(Tuple)
	}
	if o.How == NewObj && e.protocol < 2 {
		return e.call("copyreg", "__newobj__", append([]Value{o.Callable}, args.Items...)...)
	}
	if o.How == Inst || o.How == Obj {
		return e.instantiate(o, args.Items)
	}
	return e.makeWith(o, args)
}

// makeWith writes the call that makes o with args, a tuple or an ArgsObject.
func (e *encoder) makeWith(o *Object, args Value) error {
	switch {
	case o.How == Reduce:
		return e.callWith(opReduce, o.Callable, args)
	case o.How == NewObj && e.protocol >= 2:
		return e.callWith(opNewObj, o.Callable, args)
	case o.How == NewObjEx && e.protocol >= 4:
		return e.callWith(opNewObjEx, o.Callable, args, o.keywords())
	case o.How == NewObj || o.How == NewObjEx:
		return e.call("copyreg", "__newobj_ex__", o.Callable, args, o.keywords())
	}
	return e.fail("an Object made in no known way")
}

func (o *Object) keywords() *Dict {
	if o.Kwargs != nil {
		return o.Kwargs
	}
	return new(Dict)
}

func (e *encoder) callWith(op byte, operands ...Value) error {
	for _, v := range operands {
		if err := e.save(v); err != nil {
			return err
		}
	}
	e.op(op)
	return nil
}

// call writes a call of an import with arguments in a new tuple.
func (e *encoder) call(module, name string, args ...Value) error {
	return e.callWith(opReduce, Import{module, name}, &Tuple{Items: args})
}

// instantiate writes OBJ, or INST where Python 2 wrote it.
func (e *encoder) instantiate(o *Object, args []Value) error {
	class, named := o.Callable.(Import)
	old, namedOld := o.Callable.(Python2Import)
	byName := (named || namedOld) && o.How == Inst && e.protocol == 0
	e.op(opMark)
	if !byName {
		if err := e.save(o.Callable); err != nil {
			return err
		}
	}
	for _, v := range args {
		if err := e.save(v); err != nil {
			return err
		}
	}
	if !byName {
		e.op(opObj)
		return nil
	}
	e.op(opInst)
	if namedOld {
		return e.nameLines(Import(old))
	}
	return e.importLines(class)
}

func (e *encoder) setState(o *Object, state, setter Value) error {
	switch {
	case state == nil:
		return nil
	case setter == nil:
		return e.callWith(opBuild, state)
	}
	// The object stays on the stack under the call, whose result goes.
	if err := e.callWith(opTuple2, setter, o, state); err != nil {
		return err
	}
	e.op(opReduce)
	e.op(opPop)
	return nil
}

// bytesByCall writes bytes below protocol 3, as save_bytes does.
func (e *encoder) bytesByCall(s string) error {
	if s == "" {
		return e.call("builtins", "bytes")
	}
	if err := e.saveImport(Import{"_codecs", "encode"}); err != nil {
		return err
	}
	return e.pairAndReduce(func() error {
		if err := e.freshStr(fromLatin1(s)); err != nil {
			return err
		}
		return e.saveStr(latin1)
	})
}

const latin1 = "latin1"

// byteArrayClass has memory of its own: whether the same text elsewhere in a
// value is the same string must not depend on where the linker puts constants.
var byteArrayClass = Import{strings.Clone("builtins"), strings.Clone("bytearray")}

// byteArrayByCall writes a bytearray below protocol 5, as save_bytearray does.
func (e *encoder) byteArrayByCall(v *ByteArray) error {
	if len(v.Data) == 0 {
		return e.call(byteArrayClass.Module, byteArrayClass.Name)
	}
	if err := e.saveImport(byteArrayClass); err != nil {
		return err
	}
	return e.tupleAndReduce(1, func() error { return e.freshBytes(string(v.Data)) })
}

// setByCall writes a set or frozenset below protocol 4, as save_set does.
func (e *encoder) setByCall(name string, items []Value, key identity) error {
	if err := e.saveImport(Import{"builtins", name}); err != nil {
		return err
	}
	err := e.tupleAndReduce(1, func() error {
		e.emptyList()
		e.put()
		return e.appends(items, true)
	})
	if err != nil {
		return err
	}
	e.depth--
	e.memoizeMade(key)
	return nil
}

func (e *encoder) pairAndReduce(args func() error) error { return e.tupleAndReduce(2, args) }

// tupleAndReduce writes a tuple of n values, which args writes and nothing
// else can refer to, and REDUCE.
func (e *encoder) tupleAndReduce(n int, args func() error) error {
	if e.protocol < 2 {
		e.op(opMark)
	}
	if err := args(); err != nil {
		return err
	}
	if e.protocol < 2 {
		e.op(opTuple)
	} else {
		e.op(opTuple1 + byte(n-1))
	}
	e.put()
	e.op(opReduce)
	return nil
}
