package pickle

import (
	"fmt"
	"io"
	"sync"
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
	e.out, e.protocol, e.usual = dst, protocol, protocol >= 4
	if protocol >= 2 {
		e.out = append(e.out, opProto, byte(protocol))
	}
	e.startFrames()
	if err := e.save(v); err != nil {
		return dst, err
	}
	e.op(opStop)
	e.closeFrame()
	return e.out, nil
}

var encoders = sync.Pool{New: func() any { return &encoder{memo: newMemo()} }}

// maxNesting is the deepest nesting that Append writes: twice what
// CPython writes with its standard recursion limit.
const maxNesting = 10_000

// An encoder follows CPython's Modules/_pickle.c: its methods save... are the
// functions of these names there.
type encoder struct {
	out      []byte
	protocol int
	framing  bool
	frame    int // where the header of the current frame is in out
	full     int // the length of out at which the current frame ends
	depth    int
	single   bool             // write no memo: each object is met once
	usual    bool             // protocol 4 or 5, and not single
	inner    map[*Object]bool // whose outer call is written or being written
	memo     memo
}

func (e *encoder) release() {
	e.out, e.depth = nil, 0
	clear(e.inner)
	if e.memo.reset() {
		encoders.Put(e)
	}
}

func (e *encoder) op(op byte) { e.out = append(e.out, op) }

func (e *encoder) fail(format string, args ...any) error {
	return &EncodeError{e.protocol, fmt.Sprintf(format, args...)}
}

func (e *encoder) save(v Value) error {
	if len(e.out) >= e.full {
		e.closeFrame()
		e.openFrame()
	}
	// The most frequent types are found sooner so.
	if s, ok := v.(Str); ok {
		return e.saveStr(string(s))
	}
	if n, ok := v.(Int); ok {
		e.saveInt(int64(n))
		return nil
	}
	switch v := v.(type) {
	case None:
		e.op(opNone)
	case Bool:
		e.saveBool(bool(v))
	case *BigInt:
		return e.saveBigInt(v)
	case Float:
		e.saveFloat(float64(v))
	case Bytes:
		return e.saveBytes(string(v))
	case ByteStr:
		return e.saveByteStr(string(v))
	case Import:
		return e.saveImport(v)
	case Python2Int:
		e.savePython2Int(v)
	case Python2Import:
		return e.savePython2Import(v)
	case PersistentID:
		return e.savePersistentID(v)
	case nil:
		return e.fail("a nil Value")
	case *List:
		return e.saveList(v)
	case *Tuple:
		return e.saveTuple(v)
	case *Dict:
		return e.saveDict(v)
	case *Set:
		return e.saveSet(v)
	case *FrozenSet:
		return e.saveFrozenSet(v)
	case *ByteArray:
		return e.saveByteArray(v)
	case *Object:
		return e.saveObject(v)
	}
	return nil
}

// enter begins an object whose identity is its pointer. It is done when it
// could be fetched from the memo; else entry is where the memo takes it, for
// as long as nothing else is saved; depth must go down again in the end.
func (e *encoder) enter(key identity) (entry *memoEntry, done bool, err error) {
	if key.pointer == nil {
		return nil, true, e.fail("a nil pointer")
	}
	entry = e.memo.find(key)
	if entry.pointer != nil {
		if e.single {
			return nil, true, ErrNotEditable
		}
		e.get(int(entry.index))
		return nil, true, nil
	}
	if e.depth++; e.depth > maxNesting {
		return nil, true, e.fail("nested too deeply")
	}
	return entry, false, nil
}

// savePersistentID follows save_pers.
func (e *encoder) savePersistentID(p PersistentID) error {
	if e.protocol > 0 {
		if e.depth++; e.depth > maxNesting {
			return e.fail("nested too deeply")
		}
		if err := e.save(p.ID); err != nil {
			return err
		}
		e.depth--
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
