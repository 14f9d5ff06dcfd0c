package pickle

import "encoding/binary"

// skim carries out the opcodes that make up most of a pickle: those that push
// a number, text, an empty container, a short tuple of numbers and texts, or a memo
// entry, with the MEMOIZE or BINPUT after it, and MARK. It keeps what it needs in registers and looks at
// tables rather than branch by opcode, because branches that the processor
// cannot foresee are what a pickle costs. It stops before the first opcode that
// it does not know, or that is not plainly right: the step of that one decides,
// and says what is wrong.
func (m *machine) skim() {
	data, pos := m.data[:min(m.end, m.weigh+skimAhead)], m.pos
	stack, memo := m.stack, m.memo
	containers, most := len(m.objects)+len(m.tuples), m.limits.MaxMemo
	if len(memo) != m.memoLen || m.sparse != nil {
		most = 0 // MEMOIZE may not write a new entry at the end
	}
scan:
	for len(data)-pos > skimAhead {
		op := data[pos]
		switch skims[op] {
		case skimScalar:
			pos += int(scalarSizes[op])
			stack = append(stack, skimValues[op])
			continue
		case skimText:
			start, length := pos+2, uint64(data[pos+1])
			if op == opBinUnicode {
				start, length = pos+5, uint64(binary.LittleEndian.Uint32(data[pos+1:]))
			}
			if room := len(data) - 8 - start; room < 0 || length > uint64(room) {
				break scan
			}
			end := start + int(length)
			if !isShortASCII(data, start, end) {
				break scan
			}
			pos = end
			stack = append(stack, newValue(KindText, bytesWeight(end-start)).withRef(uint32(start), uint32(end)))
		case skimContainer:
			pos++
			stack = append(stack, skimValues[op].withRef(uint32(len(m.objects)), 0))
			m.objects = append(m.objects, object{use: -1, weight: 1, depth: 1})
		case skimGet:
			i, size := uint(data[pos+1]), 2
			if op == opLongBinGet {
				i, size = uint(binary.LittleEndian.Uint32(data[pos+1:])), 5
			}
			if i >= uint(len(memo)) || memo[i].kind() == 0 {
				break scan
			}
			pos += size
			stack = append(stack, memo[i])
			continue
		case skimTuple:
			base := len(stack) - int(op-opTuple1) - 1
			if base < m.fence {
				break scan
			}
			weight := uint32(1)
			for _, v := range stack[base:] {
				if v.kind() >= KindList || v.flags() != 0 {
					break scan
				}
				weight = add(weight, v.weight())
			}
			pos++
			v := newValue(KindTuple, weight).withDepth(1).withRef(uint32(len(m.tuples)), uint32(len(stack)-base))
			m.tuples = append(m.tuples, stack[base:]...)
			stack = append(stack[:base], v)
		case skimMark:
			pos++
			m.fence = len(stack)
			m.marks = append(m.marks, uint32(m.fence))
			continue
		case skimMemoize:
			if len(stack) <= m.fence || len(memo) >= most || op == opBinPut && int(data[pos+1]) != len(memo) {
				break scan
			}
		default:
			break scan
		}
		switch next := data[pos]; {
		case len(memo) >= most:
		case next == opMemoize:
			pos++
			memo = append(memo, stack[len(stack)-1])
		case next == opBinPut && int(data[pos+1]) == len(memo):
			pos += 2
			memo = append(memo, stack[len(stack)-1])
		}
	}
	if most > 0 {
		m.memoLen = len(memo)
	}
	if len(m.objects)+len(m.tuples) > containers {
		m.report.Depth = max(m.report.Depth, 1)
	}
	m.pos, m.stack, m.memo = pos, stack, memo
}

// skimAhead is how many bytes follow the opcode at least, so that skim need
// not ask: the operand of BINFLOAT.
const skimAhead = 8

// isShortASCII is isASCII of data[start:end], eight bytes at a time: eight
// more must follow.
func isShortASCII(data []byte, start, end int) bool {
	const high = 0x8080808080808080
	for ; end-start >= 8; start += 8 {
		if binary.LittleEndian.Uint64(data[start:])&high != 0 {
			return false
		}
	}
	return binary.LittleEndian.Uint64(data[start:])&(1<<(uint(end-start)*8)-1)&high == 0
}

// The opcodes that skim knows, by what it does.
const (
	skimScalar = 1 + iota
	skimText
	skimContainer
	skimGet
	skimMark
	skimTuple
	skimMemoize
)

var skims = [256]uint8{
	opNone: skimScalar, opNewTrue: skimScalar, opNewFalse: skimScalar,
	opBinInt1: skimScalar, opBinInt2: skimScalar, opBinInt: skimScalar, opBinFloat: skimScalar,
	opShortBinUnicode: skimText, opBinUnicode: skimText, opEmptyList: skimContainer, opEmptyDict: skimContainer,
	opTuple1: skimTuple, opTuple2: skimTuple, opTuple3: skimTuple,
	opBinGet: skimGet, opLongBinGet: skimGet, opMark: skimMark, opMemoize: skimMemoize, opBinPut: skimMemoize,
}

// scalarSizes holds lengths in bytes, opcode included.
var scalarSizes = [256]uint8{
	opNone: 1, opNewTrue: 1, opNewFalse: 1, opBinInt1: 2, opBinInt2: 3, opBinInt: 5, opBinFloat: 9,
}

var skimValues = [256]value{
	opNone: newValue(KindNone, 1), opNewTrue: newValue(KindBool, 1), opNewFalse: newValue(KindBool, 1),
	opBinInt1: newValue(KindInt, 1), opBinInt2: newValue(KindInt, 1), opBinInt: newValue(KindInt, 1),
	opBinFloat: newValue(KindFloat, 1), opEmptyList: newValue(KindList, 0), opEmptyDict: newValue(KindDict, 0),
}
