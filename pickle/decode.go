package pickle

import (
	"sync"
	"unsafe"
)

// DecodeOptions says how Decode reads. Its zero value serves.
type DecodeOptions struct {
	// Limits bound the input. MaxHashed is here the number of values copied
	// for sets and bytes that are spelled by calls; 16 bytes count as one.
	Limits Limits

	// Python2 says what a str of Python 2 becomes. Default: Python2Keep.
	Python2 Python2Strings

	// Python2Types keeps what Python 2 tells apart and Python 3 does not, for
	// Append below protocol 3: int and long (Python2Int), and two names that
	// became one (Python2Import). Default: false, they are Int and Import.
	Python2Types bool
}

// Python2Strings says what a str of Python 2 (STRING, BINSTRING and
// SHORT_BINSTRING) becomes, as the argument encoding of CPython's load does.
type Python2Strings uint8

const (
	Python2Keep   Python2Strings = iota // a ByteStr
	Python2ASCII                        // a Str; an error beyond ASCII: load's default
	Python2UTF8                         // a Str; an error when it is not UTF-8
	Python2Latin1                       // a Str; the bytes are the first 256 characters
	Python2Bytes                        // Bytes
)

// Decode reads the pickle at the start of data, up to its STOP, into values.
// Nothing is imported or called: what would be is an Object.
//
// Memory and time are a small multiple of len(data). The values share no
// memory with data, but strings share one copy of it, so that one of them
// keeps all of it; others are allocated together, so that one keeps up to
// 8 KiB. They are nested no deeper than Limits.MaxDepth, but for
// cycles: what walks them by recursion needs to note where it has been.
//
// What protocols spell by a call, for lack of an opcode, is the value meant:
// Bytes below protocol 3, Set and FrozenSet below 4, ByteArray below 5, and a
// Import with a dotted name for a getattr on an import below 4. Buffers of
// protocol 5 in band are Bytes or *ByteArray. What a pickle makes and throws
// away (POP) is not kept.
//
// The error is a *SyntaxError or a *LimitError. Extension codes, out-of-band
// buffers, and changes to what the pickle did not make are syntax errors.
func Decode(data []byte, options DecodeOptions) (Value, error) {
	limits := options.Limits.withDefaults()
	if len(data) > limits.MaxBytes {
		return nil, &LimitError{Limit: "MaxBytes", Max: limits.MaxBytes}
	}
	d := decoders.Get().(*decoder)
	defer d.release()
	d.start(string(data), limits)
	d.python2, d.python2Types = options.Python2, options.Python2Types
	v, err := d.run()
	if err != nil {
		return nil, err
	}
	// Each container takes one byte at least.
	if d.pos > limits.MaxDepth && !nestedWithin(v, limits.MaxDepth, d.pos) {
		return nil, d.beyond("MaxDepth", limits.MaxDepth)
	}
	return v, nil
}

func (d *decoder) start(in string, limits Limits) {
	d.in, d.end, d.limits, d.weigh = in, len(in), limits, weighEvery
	d.arena.start(len(in))
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// A decoder is CPython's unpickler, but that calls make an Object.
type decoder struct {
	in       string
	pos      int // of the next byte to read
	op       int // of the current opcode
	end      int // of the frame, or of in outside frames
	framed   bool
	protocol int

	beforeLast, last byte // the two opcodes before the current one; skim notes TUPLE2 only

	stack []Value
	marks []uint32 // heights of the stack at each MARK
	fence int      // the last of marks: nothing below it can be popped

	memo     []Value
	sparse   map[int]Value
	memoLen  int
	memoBase int // entries that came before in, when in is a part of a pickle

	attributes map[Import]bool // got by getattr: see attribute

	arena   arena
	copied  int // values copied for calls; see charge
	weigh   int // offset from which on MaxMemory is looked at again
	limits  Limits
	python2 Python2Strings

	python2Types bool
}

func (d *decoder) release() {
	if cap(d.stack)+cap(d.memo)+cap(d.marks) > keepEntries {
		return
	}
	forget(d.stack[:cap(d.stack)])
	clear(d.memo)
	*d = decoder{stack: d.stack[:0], marks: d.marks[:0], memo: d.memo[:0]}
	decoders.Put(d)
}

// forget clears values that were in use: those up to the first nil.
func forget(values []Value) {
	n := 64
	for n < len(values) && values[n] != nil {
		n *= 2
	}
	clear(values[:min(n, len(values))])
}

// look fails when MaxMemory is exceeded, and makes room for what comes next.
func (d *decoder) look() error {
	d.weigh = d.pos + weighEvery
	d.stack, d.memo = double(d.stack, len(d.in)-d.pos), double(d.memo, len(d.in)-d.pos)
	return d.room(0)
}

// room fails unless MaxMemory allows for n more bytes.
func (d *decoder) room(n int) error {
	const inMap = 64 // bytes that an entry of sparse takes
	n += d.arena.bytes() + inMap*len(d.sparse) +
		int(unsafe.Sizeof(Value(nil)))*(len(d.stack)+len(d.memo)) +
		int(unsafe.Sizeof(uint32(0)))*len(d.marks)
	if n > d.limits.MaxMemory {
		return d.beyond("MaxMemory", d.limits.MaxMemory)
	}
	return nil
}

// run carries out opcodes until STOP.
func (d *decoder) run() (Value, error) {
	for {
		if d.pos >= d.weigh {
			if err := d.look(); err != nil {
				return nil, err
			}
		}
		d.skim()
		if d.pos >= d.end {
			if d.end == len(d.in) {
				d.op = d.pos
				return nil, d.cutShort()
			}
			d.end, d.framed = len(d.in), false
		}
		d.op = d.pos
		d.pos++
		op := d.in[d.op]
		if op == opStop {
			return d.stop()
		}
		step := decodeSteps[op]
		if step == nil {
			return nil, d.fail("no such opcode")
		}
		if err := step(d); err != nil {
			return nil, err
		}
		d.beforeLast, d.last = d.last, op
	}
}

var decodeSteps = [256]func(*decoder) error{
	opProto: (*decoder).proto, opFrame: (*decoder).frame,

	opMark: (*decoder).mark, opPop: (*decoder).popOp, opPopMark: (*decoder).popMark, opDup: (*decoder).dup,
	opGet: (*decoder).get, opBinGet: (*decoder).binGet, opLongBinGet: (*decoder).longBinGet,
	opPut: (*decoder).put, opBinPut: (*decoder).binPut, opLongBinPut: (*decoder).longBinPut,
	opMemoize: func(d *decoder) error { return d.store(d.memoLen) },

	opNone:     func(d *decoder) error { d.push(None{}); return nil },
	opNewTrue:  func(d *decoder) error { d.push(Bool(true)); return nil },
	opNewFalse: func(d *decoder) error { d.push(Bool(false)); return nil },

	opInt: (*decoder).textInt, opLong: (*decoder).textLong, opFloat: (*decoder).textFloat,
	opBinInt1: (*decoder).binInt1, opBinInt2: (*decoder).binInt2, opBinInt: (*decoder).binInt, opBinFloat: (*decoder).binFloat,
	opLong1: (*decoder).long1, opLong4: (*decoder).long4,

	opString: (*decoder).textString, opUnicode: (*decoder).textUnicode,
	opShortBinString: (*decoder).shortBinString, opBinString: (*decoder).binString,
	opShortBinUnicode: func(d *decoder) error { return d.unicode(1) },
	opBinUnicode:      func(d *decoder) error { return d.unicode(4) },
	opBinUnicode8:     func(d *decoder) error { return d.unicode(8) },
	opShortBinBytes:   func(d *decoder) error { return d.bytes(1) },
	opBinBytes:        func(d *decoder) error { return d.bytes(4) },
	opBinBytes8:       func(d *decoder) error { return d.bytes(8) },
	opByteArray8:      (*decoder).byteArray,

	opEmptyTuple: (*decoder).emptyTuple, opTuple: (*decoder).tuple,
	opTuple1:    func(d *decoder) error { return d.shortTuple(1) },
	opTuple2:    func(d *decoder) error { return d.shortTuple(2) },
	opTuple3:    func(d *decoder) error { return d.shortTuple(3) },
	opEmptyList: (*decoder).emptyList,
	opEmptyDict: (*decoder).emptyDict, opEmptySet: (*decoder).emptySet,
	opList: (*decoder).list, opDict: (*decoder).dict, opFrozenSet: (*decoder).frozenSet,
	opAppend: (*decoder).appendItem, opAppends: (*decoder).appends, opAddItems: (*decoder).addItems,
	opSetItem: (*decoder).setItem, opSetItems: (*decoder).setItems,

	opGlobal: (*decoder).global, opStackGlobal: (*decoder).stackGlobal, opInst: (*decoder).inst,
	opObj: (*decoder).obj, opNewObj: (*decoder).newObj, opNewObjEx: (*decoder).newObjEx,
	opReduce: (*decoder).reduce, opBuild: (*decoder).build,
	opPersID: (*decoder).persID, opBinPersID: (*decoder).binPersID,

	opExt1: (*decoder).extension, opExt2: (*decoder).extension, opExt4: (*decoder).extension,
	opNextBuffer: (*decoder).outOfBand, opReadonlyBuffer: (*decoder).outOfBand,
}

func (d *decoder) proto() error {
	if d.op != 0 {
		return d.fail("PROTO must come first, and once")
	}
	s, err := d.take(1)
	if err != nil {
		return err
	}
	if s[0] > 5 {
		return d.fail("unknown protocol")
	}
	d.protocol = int(s[0])
	return nil
}

// frame is as strict as Verify: what unpicklers do with frames that overlap
// or end amid an opcode differs.
func (d *decoder) frame() error {
	if d.framed {
		return d.fail("frame inside a frame")
	}
	n, err := d.uint(8)
	if err != nil {
		return err
	}
	if n > uint64(len(d.in)-d.pos) {
		return d.cutShort()
	}
	d.end, d.framed = d.pos+int(n), true
	return nil
}

func (d *decoder) stop() (Value, error) {
	if d.framed && d.pos != d.end {
		return nil, d.fail("STOP before the end of its frame")
	}
	v, err := d.pop()
	if err != nil {
		return nil, err
	}
	if len(d.stack) > 0 || len(d.marks) > 0 {
		return nil, d.fail("values or marks are left on the stack")
	}
	return v, nil
}

func (d *decoder) extension() error {
	return d.fail("extension codes stand for names that the pickle does not hold")
}

func (d *decoder) outOfBand() error {
	return d.fail("out-of-band buffers are not part of the pickle")
}

// need fails unless n more bytes follow inside the frame.
func (d *decoder) need(n uint64) error {
	if n <= uint64(d.end-d.pos) {
		return nil
	}
	if d.end < len(d.in) {
		return d.fail("the opcode reaches beyond its frame")
	}
	return d.cutShort()
}

// take reads n bytes.
func (d *decoder) take(n uint64) (string, error) {
	if err := d.need(n); err != nil {
		return "", err
	}
	start := d.pos
	d.pos += int(n)
	return d.in[start:d.pos], nil
}

// uint reads a little-endian number of 1, 2, 4 or 8 bytes.
func (d *decoder) uint(size int) (uint64, error) {
	s, err := d.take(uint64(size))
	if err != nil {
		return 0, err
	}
	var n uint64
	for i := size - 1; i >= 0; i-- {
		n = n<<8 | uint64(s[i])
	}
	return n, nil
}

// block reads a length of size bytes and then as many bytes as it says.
func (d *decoder) block(size int) (string, error) {
	n, err := d.uint(size)
	if err != nil {
		return "", err
	}
	return d.take(n)
}

func (d *decoder) fail(reason string) error {
	return &SyntaxError{Offset: d.op, Opcode: d.opcode(), Reason: reason}
}

func (d *decoder) beyond(limit string, most int) error {
	return &LimitError{Offset: d.op, Opcode: d.opcode(), Limit: limit, Max: most}
}

func (d *decoder) cutShort() error {
	reason := "the input ends before STOP"
	if len(d.in) == 0 {
		reason = "the input is empty"
	}
	return &SyntaxError{Offset: d.op, Opcode: d.opcode(), Reason: reason, cut: true}
}

func (d *decoder) opcode() string {
	if d.op >= len(d.in) {
		return ""
	}
	return opcodeNames[d.in[d.op]]
}
