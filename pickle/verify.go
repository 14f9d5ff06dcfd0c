package pickle

import (
	"slices"
	"sync"
	"unsafe"
)

// Verify reads the pickle at the start of data in one pass over its opcodes
// and reports what loading it would import and call. It builds no objects and
// leaves data alone; what it allocates is a small multiple of len(data) at
// most, and so is its time.
//
// The error is a *SyntaxError when data does not hold a pickle that Verify
// lets through (the package comment lists where it is stricter than CPython)
// and a *LimitError when the pickle goes beyond a limit. Bytes after STOP are
// no error: the report counts them.
func Verify(data []byte, limits Limits) (Report, error) {
	limits = limits.withDefaults()
	if len(data) > limits.MaxBytes {
		return Report{}, &LimitError{Limit: "MaxBytes", Max: limits.MaxBytes}
	}
	m := machines.Get().(*machine)
	defer m.release()
	m.data, m.end, m.limits, m.weigh = data, len(data), limits, weighEvery
	if err := m.run(); err != nil {
		return Report{}, err
	}
	m.report.Globals = m.globals()
	m.report.Memo = m.memoLen
	m.report.Used = m.pos
	m.report.Trailing = len(data) - m.pos
	return m.report, nil
}

var machines = sync.Pool{New: func() any { return new(machine) }}

// A machine is the pickle machine of CPython, but that its values are only
// what later opcodes can depend on.
type machine struct {
	data   []byte
	pos    int  // of the next byte to read
	op     int  // of the current opcode
	end    int  // of the frame, or of data outside frames
	framed bool // inside a frame

	stack   []value
	marks   []uint32 // heights of the stack at each MARK
	fence   int      // the last of marks: nothing below it can be popped
	tuples  []value
	objects []object

	memo    []value
	sparse  map[int]value
	memoLen int

	uses  []use
	names []byte

	hashed int
	weigh  int // offset from which on MaxMemory is looked at again
	limits Limits
	report Report
}

// keepEntries bounds what a machine keeps for its next use, so that one
// large pickle does not hold memory for good.
const keepEntries = 1 << 16

func (m *machine) release() {
	if cap(m.stack)+cap(m.tuples)+cap(m.objects)+cap(m.memo)+cap(m.uses)+cap(m.names) > keepEntries {
		return
	}
	*m = machine{
		stack: m.stack[:0], marks: m.marks[:0], tuples: m.tuples[:0], objects: m.objects[:0],
		memo: m.memo[:0], uses: m.uses[:0], names: m.names[:0],
	}
	machines.Put(m)
}

// weighEvery is how many bytes of input lie between two looks at MaxMemory.
const weighEvery = 16 << 10

// look fails when MaxMemory is exceeded, and makes room for what comes next.
func (m *machine) look() error {
	m.weigh = m.pos + weighEvery
	rest := len(m.data) - m.pos
	m.stack, m.tuples = double(m.stack, rest), double(m.tuples, rest)
	m.objects, m.memo = double(m.objects, rest), double(m.memo, rest)
	return m.room(0)
}

// double makes a large slice twice as large, or as large as the rest of the
// input can make it, before append would have to: that copies, and leaves to
// the collector, five times what there is.
func double[T any](s []T, rest int) []T {
	if len(s) < weighEvery || cap(s)-len(s) >= weighEvery {
		return s
	}
	return slices.Grow(s, min(len(s), rest)+1)
}

// room fails unless MaxMemory allows for n more bytes.
func (m *machine) room(n int) error {
	const inMap = 64 // bytes that an entry of sparse takes
	n += int(unsafe.Sizeof(value{}))*(len(m.stack)+len(m.tuples)+len(m.memo)) +
		int(unsafe.Sizeof(uint32(0)))*len(m.marks) +
		int(unsafe.Sizeof(object{}))*len(m.objects) +
		int(unsafe.Sizeof(use{})+unsafe.Sizeof(Global{}))*len(m.uses) +
		2*len(m.names) + inMap*len(m.sparse)
	if n > m.limits.MaxMemory {
		return m.beyond("MaxMemory", m.limits.MaxMemory)
	}
	return nil
}

// run carries out opcodes until STOP.
func (m *machine) run() error {
	for {
		if m.pos >= m.weigh {
			if err := m.look(); err != nil {
				return err
			}
		}
		if m.pos < m.end && skims[m.data[m.pos]] != 0 {
			m.skim()
		}
		if done, err := m.step(); done || err != nil {
			return err
		}
	}
}

// step carries out one opcode; done is true after STOP.
func (m *machine) step() (done bool, err error) {
	if m.pos >= m.end {
		if m.end == len(m.data) {
			m.op = m.pos
			return false, m.cutShort()
		}
		m.end, m.framed = len(m.data), false
	}
	m.op = m.pos
	m.pos++
	op := m.data[m.op]
	if op == opStop {
		return true, m.stop()
	}
	carryOut := steps[op]
	if carryOut == nil {
		return false, m.fail("no such opcode")
	}
	return false, carryOut(m)
}

// steps holds what the opcodes do.
var steps = [256]func(*machine) error{
	opMark: (*machine).mark, opMemoize: (*machine).memoize, opBinGet: (*machine).binGet, opBinPut: (*machine).binPut,
	opNone: scalar(KindNone, 0), opNewTrue: scalar(KindBool, 0), opNewFalse: scalar(KindBool, 0),
	opBinInt: scalar(KindInt, 4), opBinInt1: scalar(KindInt, 1), opBinInt2: scalar(KindInt, 2),
	opBinFloat:        scalar(KindFloat, 8),
	opShortBinUnicode: countedText(1), opBinUnicode: countedText(4), opBinUnicode8: countedText(8),
	opTuple1: shortTuple(1), opTuple2: shortTuple(2), opTuple3: shortTuple(3),

	opProto: (*machine).proto, opFrame: (*machine).frame,

	opPop: (*machine).popOp, opPopMark: (*machine).popMark, opDup: (*machine).dup,
	opGet: (*machine).get, opLongBinGet: (*machine).longBinGet,
	opPut: (*machine).put, opLongBinPut: (*machine).longBinPut,

	opInt: (*machine).textInt, opLong: (*machine).textLong, opFloat: (*machine).textFloat,
	opLong1: counted(KindInt, 1, false), opLong4: counted(KindInt, 4, true),

	opString: (*machine).textString, opUnicode: (*machine).textUnicode,
	opShortBinString: (*machine).shortBinString, opBinString: (*machine).binString,
	opShortBinBytes: counted(KindBytes, 1, false), opBinBytes: counted(KindBytes, 4, false),
	opBinBytes8: counted(KindBytes, 8, false), opByteArray8: counted(KindByteArray, 8, false),

	opEmptyTuple: (*machine).emptyTuple, opTuple: (*machine).tuple,
	opEmptyList: container(KindList), opEmptyDict: container(KindDict), opEmptySet: container(KindSet),
	opList: (*machine).list, opDict: (*machine).dict, opFrozenSet: (*machine).frozenSet,
	opAppend: (*machine).appendItem, opAppends: (*machine).appends, opAddItems: (*machine).addItems,
	opSetItem: (*machine).setItem, opSetItems: (*machine).setItems,

	opGlobal: (*machine).global, opStackGlobal: (*machine).stackGlobal, opInst: (*machine).inst,
	opObj: (*machine).obj, opNewObj: (*machine).newObj, opNewObjEx: (*machine).newObjEx,
	opReduce: (*machine).reduce, opBuild: (*machine).build,
	opPersID: (*machine).persID, opBinPersID: (*machine).binPersID,

	opExt1: (*machine).extension, opExt2: (*machine).extension, opExt4: (*machine).extension,
	opNextBuffer: (*machine).outOfBand, opReadonlyBuffer: (*machine).outOfBand,
}

// proto allows PROTO at the start only: in the middle it would change what
// later names resolve to.
func (m *machine) proto() error {
	if m.op != 0 {
		return m.fail("PROTO must come first, and once")
	}
	b, err := m.take(1)
	if err != nil {
		return err
	}
	if b[0] > 5 {
		return m.fail("unknown protocol")
	}
	m.report.Protocol = int(b[0])
	return nil
}

// frame enters a frame. What CPython does with frames that overlap, or end
// amid an opcode, depends on whether it loads from a file or from bytes.
func (m *machine) frame() error {
	if m.framed {
		return m.fail("frame inside a frame")
	}
	n, err := m.uint(8)
	if err != nil {
		return err
	}
	if n > uint64(len(m.data)-m.pos) {
		return m.cutShort()
	}
	m.end, m.framed = m.pos+int(n), true
	return nil
}

func (m *machine) stop() error {
	if m.framed && m.pos != m.end {
		return m.fail("STOP before the end of its frame")
	}
	v, err := m.pop()
	if err != nil {
		return err
	}
	if len(m.stack) > 0 || len(m.marks) > 0 {
		return m.fail("values or marks are left on the stack")
	}
	m.hold(v)
	return nil
}

func (m *machine) extension() error {
	return m.fail("extension codes stand for names that the pickle does not hold")
}

func (m *machine) outOfBand() error {
	return m.fail("out-of-band buffers are not part of the pickle")
}

func (m *machine) fail(reason string) error {
	return &SyntaxError{Offset: m.op, Opcode: m.opcode(), Reason: reason}
}

func (m *machine) beyond(limit string, most int) error {
	return &LimitError{Offset: m.op, Opcode: m.opcode(), Limit: limit, Max: most}
}

func (m *machine) cutShort() error {
	reason := "the input ends before STOP"
	if len(m.data) == 0 {
		reason = "the input is empty"
	}
	return &SyntaxError{Offset: m.op, Opcode: m.opcode(), Reason: reason, cut: true}
}

func (m *machine) opcode() string {
	if m.op >= len(m.data) {
		return ""
	}
	return opcodeNames[m.data[m.op]]
}
