package pickle

import (
	"bytes"
	"unsafe"
)

// A scanner follows a pickle just closely enough to know which bytes make
// which value of which dict. It builds nothing.
type scanner struct {
	data     []byte
	pos, op  int
	frame    int32 // where the length of the current frame is in data; 0 outside frames
	frameEnd int

	name    []byte // of the attribute looked for
	stack   []scanned
	marks   []scannedMark
	memo    []scannedMemo
	count   int32           // entries of the memo
	weigh   int             // offset from which on the memory taken is looked at again
	objects int32           // given out as scanned.object
	states  map[int32]int32 // object to the dict that BUILD gave it; conflict when there is more
	found   map[int32]attribute
	unclear bool // DUP, an index of the memo written twice, or a key with escapes
}

// A scanned is a value on the stack: the bytes that made it, and which object
// it is.
type scanned struct {
	start, end      int32
	frame, endFrame int32 // scanner.frame at start and at end
	memo            int32 // entries of the memo at start
	what
}

// what is what a value is, as far as it matters.
type what struct {
	object    int32 // 0 for what is neither dict nor instance
	isDict    bool
	isName    bool // text that equals the name looked for
	isEscaped bool // text that may equal it
}

type scannedMark struct{ height, start, frame, memo int32 }

type scannedMemo struct {
	what
	put     int32 // offset of the opcode that wrote it; 0 for none
	lastGet int32 // offset of the last that read it
}

// An attribute is the value of a key in a dict: the bytes from start to end.
type attribute struct {
	start, end int
	frame      int // where the length of its frame is in data; 0 outside frames
	memo       int // entries of the memo at start
	memoized   int // entries that it adds
	apart      bool
}

// conflict stands in scanner.states for objects that more than one BUILD, or
// one with another state than a dict, has changed.
const conflict = -1

// The forms of opcodes' arguments beyond a fixed number of bytes.
const (
	oneLine = 16 + iota
	twoLines
	counted1
	counted4
	counted8
)

// argumentForms says what follows each opcode.
var argumentForms = [256]uint8{
	opProto: 1, opFrame: 8, opBinInt: 4, opBinInt1: 1, opBinInt2: 2, opBinFloat: 8,
	opBinGet: 1, opLongBinGet: 4, opBinPut: 1, opLongBinPut: 4,
	opFloat: oneLine, opInt: oneLine, opLong: oneLine, opString: oneLine, opUnicode: oneLine,
	opPersID: oneLine, opGet: oneLine, opPut: oneLine, opGlobal: twoLines, opInst: twoLines,
	opLong1: counted1, opShortBinString: counted1, opShortBinUnicode: counted1, opShortBinBytes: counted1,
	opLong4: counted4, opBinString: counted4, opBinUnicode: counted4, opBinBytes: counted4,
	opBinUnicode8: counted8, opBinBytes8: counted8, opByteArray8: counted8,
}

func (s *scanner) fail(reason string) error {
	name := ""
	if s.op < len(s.data) {
		name = opcodeNames[s.data[s.op]]
	}
	return &SyntaxError{Offset: s.op, Opcode: name, Reason: reason}
}

// run scans up to STOP and returns the value on top.
func (s *scanner) run() (scanned, error) {
	for {
		if s.pos >= len(s.data) {
			s.op = s.pos
			return scanned{}, &SyntaxError{Offset: s.pos, Reason: "the input ends before STOP", cut: true}
		}
		if s.frame > 0 && s.pos >= s.frameEnd {
			s.frame = 0
		}
		s.op = s.pos
		if s.pos >= s.weigh {
			if err := s.room(); err != nil {
				return scanned{}, err
			}
		}
		op := s.data[s.op]
		s.pos++
		arg, err := s.argument(op)
		if err != nil {
			return scanned{}, err
		}
		if op == opStop {
			if len(s.stack) != 1 || len(s.marks) > 0 {
				return scanned{}, s.fail("not one value on the stack")
			}
			return s.stack[0], nil
		}
		if err := s.step(op, arg); err != nil {
			return scanned{}, err
		}
	}
}

// room fails when more memory is taken than the default of MaxMemory, or, for
// what is longer than the default of MaxBytes, 16 times its length.
func (s *scanner) room() error {
	s.weigh = s.pos + weighEvery
	rest := len(s.data) - s.pos
	s.stack, s.memo = double(s.stack, rest), double(s.memo, rest)
	taken := int(unsafe.Sizeof(scanned{}))*len(s.stack) + int(unsafe.Sizeof(scannedMark{}))*len(s.marks) +
		int(unsafe.Sizeof(scannedMemo{}))*len(s.memo)
	if most := max(Limits{}.withDefaults().MaxMemory, 16*len(s.data)); taken > most {
		return &LimitError{Offset: s.op, Opcode: opcodeNames[s.data[s.op]], Limit: "MaxMemory", Max: most}
	}
	return nil
}

// argument returns what follows the opcode, without a length before it.
func (s *scanner) argument(op byte) ([]byte, error) {
	form := argumentForms[op]
	rest := s.data[s.pos:]
	n, head := int(form), 0
	switch form {
	case 0:
		return nil, nil
	case oneLine, twoLines:
		n = bytes.IndexByte(rest, '\n')
		if n >= 0 && form == twoLines {
			second := bytes.IndexByte(rest[n+1:], '\n')
			if second < 0 {
				n = second
			} else {
				n += 1 + second
			}
		}
		if n < 0 {
			n = len(rest)
		}
		n++
	case counted1, counted4, counted8:
		head = 1 << (form - counted1)
		if form != counted1 {
			head = int(form-counted4+1) * 4
		}
		if len(rest) < head {
			n = len(rest) + 1
			break
		}
		length := littleUint(rest[:head])
		n = len(rest) + 1
		if length <= uint64(len(rest)-head) {
			n = head + int(length)
		}
	}
	if n > len(rest) {
		return nil, &SyntaxError{Offset: s.op, Opcode: opcodeNames[op], Reason: "the input ends before STOP", cut: true}
	}
	s.pos += n
	return rest[head:n], nil
}

func littleUint(b []byte) uint64 {
	var n uint64
	for i := len(b) - 1; i >= 0; i-- {
		n = n<<8 | uint64(b[i])
	}
	return n
}

func (s *scanner) step(op byte, arg []byte) error {
	switch op {
	case opNone, opNewTrue, opNewFalse, opInt, opBinInt, opBinInt1, opBinInt2, opLong, opLong1, opLong4,
		opFloat, opBinFloat, opShortBinBytes, opBinBytes, opBinBytes8, opByteArray8,
		opEmptyTuple, opEmptyList, opEmptySet, opGlobal, opPersID:
		s.push(what{})
	case opShortBinUnicode, opBinUnicode, opBinUnicode8, opShortBinString, opBinString:
		s.push(what{isName: string(arg) == string(s.name)})
	case opUnicode:
		s.push(what{isName: string(arg[:len(arg)-1]) == string(s.name), isEscaped: bytes.IndexByte(arg, '\\') >= 0})
	case opString:
		n := len(arg) - 1
		s.push(what{
			isName:    n == len(s.name)+2 && string(arg[1:n-1]) == string(s.name),
			isEscaped: bytes.IndexByte(arg, '\\') >= 0,
		})
	case opEmptyDict:
		s.push(what{object: s.object(), isDict: true})
	case opMark:
		s.marks = append(s.marks, scannedMark{int32(len(s.stack)), int32(s.op), s.frame, s.count})
	case opTuple1, opTuple2, opTuple3:
		return s.collapse(int(op-opTuple1)+1, 0)
	case opStackGlobal:
		return s.collapse(2, 0)
	case opBinPersID:
		return s.collapse(1, 0)
	case opReduce, opNewObj:
		return s.collapse(2, s.object())
	case opNewObjEx:
		return s.collapse(3, s.object())
	case opTuple, opList, opFrozenSet:
		return s.collapseMark(0)
	case opInst, opObj:
		return s.collapseMark(s.object())
	case opDict:
		return s.dict()
	case opAppend:
		return s.drop(1)
	case opAppends, opAddItems, opPopMark:
		return s.dropMark(op != opPopMark)
	case opSetItem:
		return s.setItems(2, false)
	case opSetItems:
		return s.setItems(0, true)
	case opBuild:
		return s.build()
	default:
		return s.stepRare(op, arg)
	}
	return nil
}

func (s *scanner) stepRare(op byte, arg []byte) error {
	switch op {
	case opProto:
		return nil
	case opFrame:
		n := littleUint(arg)
		if s.frame > 0 || n > uint64(len(s.data)-s.pos) {
			return s.fail("not a frame of its own")
		}
		s.frame, s.frameEnd = int32(s.op+1), s.pos+int(n)
	case opMemoize:
		return s.store(int(s.count))
	case opBinPut, opLongBinPut:
		return s.store(int(littleUint(arg)))
	case opPut:
		return s.storeText(arg)
	case opBinGet, opLongBinGet:
		return s.recall(int(littleUint(arg)))
	case opGet:
		i, ok := indexOf(arg)
		if !ok {
			return s.fail("not a memo index")
		}
		return s.recall(i)
	case opPop:
		if n := len(s.marks); n > 0 && int(s.marks[n-1].height) == len(s.stack) {
			s.marks = s.marks[:n-1]
			return nil
		}
		if len(s.stack) <= s.fence() {
			return s.fail("stack underflow")
		}
		s.stack = s.stack[:len(s.stack)-1]
	case opDup:
		if len(s.stack) <= s.fence() {
			return s.fail("stack underflow")
		}
		s.unclear = true // a second reference without the memo, which picklers do not write
		s.push(s.stack[len(s.stack)-1].what)
	default:
		return s.fail("not an opcode that can be edited around")
	}
	return nil
}

func (s *scanner) object() int32 { s.objects++; return s.objects }

func (s *scanner) push(w what) {
	s.stack = append(s.stack, scanned{int32(s.op), int32(s.pos), s.frame, s.frame, s.count, w})
}

// grown notes that the current opcode belongs to the top of the stack.
func (s *scanner) grown() *scanned {
	top := &s.stack[len(s.stack)-1]
	top.end, top.endFrame = int32(s.pos), s.frame
	return top
}

func (s *scanner) fence() int {
	if n := len(s.marks); n > 0 {
		return int(s.marks[n-1].height)
	}
	return 0
}

// collapse makes one value of the last n.
func (s *scanner) collapse(n int, object int32) error {
	first := len(s.stack) - n
	if first < s.fence() {
		return s.fail("stack underflow")
	}
	s.stack = s.stack[:first+1]
	s.grown().what = what{object: object}
	return nil
}

// collapseMark makes one value of the mark and what is above it.
func (s *scanner) collapseMark(object int32) error {
	n := len(s.marks)
	if n == 0 {
		return s.fail("no MARK")
	}
	m := s.marks[n-1]
	s.marks = s.marks[:n-1]
	s.stack = append(s.stack[:m.height], scanned{start: m.start, frame: m.frame, memo: m.memo, what: what{object: object}})
	s.grown()
	return nil
}

func (s *scanner) drop(n int) error {
	if len(s.stack)-n <= s.fence() {
		return s.fail("stack underflow")
	}
	s.stack = s.stack[:len(s.stack)-n]
	s.grown()
	return nil
}

// dropMark removes the mark and what is above it, which has gone into the
// value below when into is set.
func (s *scanner) dropMark(into bool) error {
	n := len(s.marks)
	if n == 0 {
		return s.fail("no MARK")
	}
	height := int(s.marks[n-1].height)
	s.marks = s.marks[:n-1]
	s.stack = s.stack[:height]
	if into {
		if height <= s.fence() {
			return s.fail("stack underflow")
		}
		s.grown()
	}
	return nil
}

// dict follows DICT, whose items lie above the mark.
func (s *scanner) dict() error {
	object := s.object()
	n := len(s.marks)
	if n == 0 {
		return s.fail("no MARK")
	}
	s.note(s.stack[s.marks[n-1].height:], object)
	err := s.collapseMark(object)
	s.stack[len(s.stack)-1].isDict = true
	return err
}

// setItems follows SETITEM, with n operands, and SETITEMS.
func (s *scanner) setItems(n int, marked bool) error {
	if marked {
		if len(s.marks) == 0 {
			return s.fail("no MARK")
		}
		n = len(s.stack) - s.fence()
	}
	target := len(s.stack) - n - 1
	if target < 0 || !marked && target < s.fence() {
		return s.fail("stack underflow")
	}
	s.note(s.stack[target+1:], s.stack[target].object)
	if marked {
		return s.dropMark(true)
	}
	return s.drop(n)
}

// note keeps the value that the name looked for has among pairs.
func (s *scanner) note(pairs []scanned, object int32) {
	for i := 0; i+1 < len(pairs); i += 2 {
		s.unclear = s.unclear || pairs[i].isEscaped
		if !pairs[i].isName {
			continue
		}
		key, v := &pairs[i], &pairs[i+1]
		next, memo := int32(s.op), s.count
		if i+2 < len(pairs) {
			next, memo = pairs[i+2].start, pairs[i+2].memo
		}
		s.found[object] = attribute{
			start: int(v.start), end: int(v.end), frame: int(v.frame), memo: int(v.memo), memoized: int(memo - v.memo),
			// What was pushed and popped in between belongs to neither; a
			// frame must hold the value whole.
			apart: key.end == v.start && v.end == next && v.frame == v.endFrame,
		}
	}
}

func (s *scanner) build() error {
	n := len(s.stack)
	if n-2 < s.fence() {
		return s.fail("stack underflow")
	}
	state, target := s.stack[n-1], s.stack[n-2]
	if target.object > 0 {
		if _, twice := s.states[target.object]; twice || !state.isDict {
			s.states[target.object] = conflict
		} else {
			s.states[target.object] = state.object
		}
	}
	return s.drop(1)
}

func (s *scanner) storeText(arg []byte) error {
	i, ok := indexOf(arg)
	if !ok {
		return s.fail("not a memo index")
	}
	return s.store(i)
}

func indexOf(line []byte) (int, bool) {
	digits := line[:len(line)-1]
	if len(digits) > 9 || !isDecimal(digits) {
		return 0, false
	}
	n := 0
	for _, c := range digits {
		n = n*10 + int(c-'0')
	}
	return n, true
}

func (s *scanner) store(i int) error {
	if len(s.stack) <= s.fence() {
		return s.fail("stack underflow")
	}
	// Picklers count up; what does not, cannot be followed cheaply.
	if i > s.op {
		return s.fail("a memo index out of order")
	}
	for len(s.memo) <= i {
		s.memo = append(s.memo, scannedMemo{})
	}
	if s.memo[i].put > 0 {
		s.unclear = true
	} else {
		s.count++
	}
	s.memo[i] = scannedMemo{what: s.grown().what, put: int32(s.op)}
	return nil
}

func (s *scanner) recall(i int) error {
	if i >= len(s.memo) || s.memo[i].put == 0 {
		return s.fail("no such memo entry")
	}
	s.memo[i].lastGet = int32(s.op)
	s.push(s.memo[i].what)
	return nil
}
