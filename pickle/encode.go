package pickle

import (
	"fmt"
	"io"
	"sync"
	"unsafe"
)

// DefaultProtocol is the protocol that CPython 3.8 to 3.13 write when none is
// named, and that every Python since 3.4 reads.
const DefaultProtocol = 4

// An EncodeError says why a value cannot be written.
type EncodeError struct {
	Protocol int
	Reason   string
}

func (e *EncodeError) Error() string {
	return fmt.Sprintf("pickle: cannot be written in protocol %d: %s", e.Protocol, e.Reason)
}

// Encode writes v to w as one pickle, in one call of Write. Errors are those
// of Append and of w.
func Encode(w io.Writer, v Value, protocol int) error {
	b, err := Append(nil, v, protocol)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// Append appends v to dst as one pickle of protocol 0 to 5, as CPython 3.11's
// C pickler writes it: opcodes, memo, frames and batches are the same, so
// that a pickle of CPython decoded and encoded in its own protocol is the same
// bytes, if its objects are. What a protocol has no opcode for is written
// as a call that its readers know. Names that Python 2 had are used below
// protocol 3.
//
// The error is an *EncodeError: an unknown protocol, a nil Value, nesting
// deeper than 10,000, text that is not UTF-8 (but for lone surrogates), or a
// name or number for which the protocol has no form. dst is then returned as
// it was.
func Append(dst []byte, v Value, protocol int) ([]byte, error) {
	if protocol < 0 || protocol > 5 {
		return dst, &EncodeError{protocol, "no such protocol"}
	}
	e := encoders.Get().(*encoder)
	defer e.release()
	e.out, e.protocol, e.frame = dst, protocol, -1
	if protocol >= 2 {
		e.out = append(e.out, opProto, byte(protocol))
		e.framing = protocol >= 4
	}
	if err := e.save(v); err != nil {
		return dst, err
	}
	e.op(opStop)
	e.closeFrame()
	return e.out, nil
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

// maxNesting is the deepest nesting that Append writes: twice what
// CPython writes with its standard recursion limit.
const maxNesting = 10_000

// An encoder follows CPython's Modules/_pickle.c: its methods save... are the
// functions of these names there.
type encoder struct {
	out      []byte
	protocol int
	framing  bool
	frame    int // where the header of the current frame is in out; -1 outside frames
	depth    int
	single   bool // write no memo: each object is met once
	memo     memo
}

func (e *encoder) release() {
	e.out = nil
	e.framing, e.depth = false, 0
	if e.memo.reset() {
		encoders.Put(e)
	}
}

// op writes an opcode, and before the first of a frame room for its header.
func (e *encoder) op(op byte) {
	if e.framing && e.frame < 0 {
		e.openFrame()
	}
	e.out = append(e.out, op)
}

func (e *encoder) fail(format string, args ...any) error {
	return &EncodeError{e.protocol, fmt.Sprintf(format, args...)}
}

func (e *encoder) save(v Value) error {
	if e.frame >= 0 && len(e.out)-e.frame-frameHeader >= frameTarget {
		e.closeFrame()
	}
	switch v := v.(type) {
	case None:
		e.op(opNone)
	case Bool:
		e.saveBool(bool(v))
	case Int:
		e.saveInt(int64(v))
	case *BigInt:
		return e.saveBigInt(v)
	case Float:
		e.saveFloat(float64(v))
	case Str:
		return e.saveStr(string(v))
	case Bytes:
		return e.saveBytes(string(v))
	case ByteStr:
		return e.saveByteStr(string(v))
	case Import:
		return e.saveImport(v)
	case PersistentID:
		return e.nested(func() error { return e.savePersistentID(v) })
	case nil:
		return e.fail("a nil Value")
	default:
		return e.saveMutable(v)
	}
	return nil
}

// saveMutable saves what has an identity by its pointer.
func (e *encoder) saveMutable(v Value) error {
	key := identity{pointer: pointerOf(v)}
	if key.pointer == nil {
		return e.fail("a nil pointer")
	}
	if e.single {
		if _, met := e.memo.lookup(key); met {
			return ErrNotEditable
		}
	} else if e.recall(key) {
		return nil
	}
	if e.depth++; e.depth > maxNesting {
		return e.fail("nested too deeply")
	}
	var err error
	switch v := v.(type) {
	case *List:
		err = e.saveList(v, key)
	case *Tuple:
		err = e.saveTuple(v, key)
	case *Dict:
		err = e.saveDict(v, key)
	case *Set:
		err = e.saveSet(v, key)
	case *FrozenSet:
		err = e.saveFrozenSet(v, key)
	case *ByteArray:
		err = e.saveByteArray(v, key)
	case *Object:
		err = e.saveObject(v, key)
	}
	e.depth--
	return err
}

func pointerOf(v Value) unsafe.Pointer {
	switch v := v.(type) {
	case *List:
		return unsafe.Pointer(v)
	case *Tuple:
		return unsafe.Pointer(v)
	case *Dict:
		return unsafe.Pointer(v)
	case *Set:
		return unsafe.Pointer(v)
	case *FrozenSet:
		return unsafe.Pointer(v)
	case *ByteArray:
		return unsafe.Pointer(v)
	case *Object:
		return unsafe.Pointer(v)
	}
	return nil
}

// nested counts one level of nesting around f.
func (e *encoder) nested(f func() error) error {
	if e.depth++; e.depth > maxNesting {
		return e.fail("nested too deeply")
	}
	err := f()
	e.depth--
	return err
}

// savePersistentID follows save_pers.
func (e *encoder) savePersistentID(p PersistentID) error {
	if e.protocol > 0 {
		if err := e.save(p.ID); err != nil {
			return err
		}
		e.op(opBinPersID)
		return nil
	}
	id, ok := p.ID.(Str)
	if !ok || !isLine(string(id)) || !isASCII([]byte(id)) {
		return e.fail("a persistent id that is not one line of ASCII")
	}
	e.op(opPersID)
	e.text(string(id))
	return nil
}

// text writes s and the end of its line.
func (e *encoder) text(s string) {
	e.out = append(e.out, s...)
	e.out = append(e.out, '\n')
}
