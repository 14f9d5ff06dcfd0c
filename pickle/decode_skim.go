package pickle

import (
	"encoding/binary"
	"math"
)

// skim carries out the opcodes that make up most of a pickle, as run does but
// on variables that stay in registers. It returns before the first opcode
// that it does not know, or that is not plainly right: run decides, and says
// what is wrong.
func (d *decoder) skim() {
	in, pos := d.in[:min(d.end, d.weigh+skimAhead+1)], d.pos
	stack, fence, memo := d.stack, d.fence, d.memo
	a, pair := &d.arena, 0 // where the last TUPLE2 ended
	// Picklers count up from 0; run follows the others.
	maxMemo := 0
	if len(memo) == d.memoLen && d.sparse == nil {
		maxMemo = d.limits.MaxMemo
	}
loop:
	for len(in)-pos > skimAhead+1 { // and the MEMOIZE after it
		var v Value
		op := in[pos]
		switch op {
		case opMark:
			pos++
			fence = len(stack)
			d.marks = append(d.marks, uint32(fence))
			continue
		case opMemoize:
			if len(stack) <= fence || len(memo) >= maxMemo {
				break loop
			}
			pos++
			memo = append(memo, stack[len(stack)-1])
			continue
		case opBinPut, opLongBinPut:
			size, i := 2, int(in[pos+1])
			if op == opLongBinPut {
				size, i = 5, int(littleUint32(in, pos+1))
			}
			if len(stack) <= fence || i >= maxMemo || i != len(memo) {
				break loop
			}
			pos += size
			memo = append(memo, stack[len(stack)-1])
			continue
		case opBinGet, opLongBinGet:
			size, i := 2, int(in[pos+1])
			if op == opLongBinGet {
				size, i = 5, int(littleUint32(in, pos+1))
			}
			if uint(i) >= uint(len(memo)) || memo[i] == nil {
				break loop
			}
			v, pos = memo[i], pos+size
		case opNone:
			v, pos = None{}, pos+1
		case opNewTrue, opNewFalse:
			v, pos = Bool(op == opNewTrue), pos+1
		case opBinInt1:
			v, pos = smallInts[in[pos+1]], pos+2
		case opBinInt2:
			n := binary.LittleEndian.Uint16([]byte(in[pos+1 : pos+3]))
			v, pos = a.int(int64(n), pos), pos+3
		case opBinInt:
			v, pos = a.int(int64(int32(littleUint32(in, pos+1))), pos), pos+5
		case opBinFloat:
			bits := binary.BigEndian.Uint64([]byte(in[pos+1 : pos+9]))
			v, pos = a.float(math.Float64frombits(bits), pos), pos+9
		case opShortBinUnicode, opBinUnicode:
			start, n := pos+2, int(in[pos+1])
			if op == opBinUnicode {
				start, n = pos+5, int(littleUint32(in, pos+1))
			}
			end := start + n
			if n < 0 || n > len(in)-start-8 || !isShortASCII([]byte(in), start, end) {
				break loop
			}
			v, pos = a.str(in[start:end], pos), end
		case opEmptyDict:
			v, pos = a.dicts.next(a, pos), pos+1
		case opEmptyList:
			v, pos = a.lists.next(a, pos), pos+1
		case opTuple1, opTuple2, opTuple3:
			start := len(stack) - int(op-opTuple1) - 1
			if start < fence {
				break loop
			}
			v, pos = a.tuple(stack[start:], pos), pos+1
			stack = stack[:start]
			if op == opTuple2 {
				pair = pos
			}
		default:
			break loop
		}
		stack = append(stack, v)
		if in[pos] == opMemoize && len(memo) < maxMemo {
			memo = append(memo, v)
			pos++
		}
	}
	if pos > d.pos {
		d.last = 0
		if pair == pos {
			d.last = opTuple2
		}
	}
	d.pos, d.stack, d.fence, d.memo = pos, stack, fence, memo
	if maxMemo > 0 {
		d.memoLen = len(memo)
	}
}

func littleUint32(s string, pos int) uint32 {
	return binary.LittleEndian.Uint32([]byte(s[pos : pos+4]))
}
