package pickle

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
)

// DisassembleOptions says how Disassemble writes. Its zero value serves.
type DisassembleOptions struct {
	// Limits bound the input: MaxBytes, and MaxDigits for each integer that
	// is printed. The others bound only how far imports are followed.
	Limits Limits

	// Plain leaves out the remarks on imports. Default: false.
	Plain bool
}

// Disassemble writes the pickle at the start of data to w, one line for each
// opcode, with the text and the checks of pickletools.dis in CPython 3.11.
// Two things differ: which characters can be printed is asked of Go's Unicode
// tables, and once the indentation comes to 64 MiB in all, lines are indented
// by no more than ten levels.
//
// Unless Plain is set, lines that import something end in a remark with the
// name that load resolves and its roles (see Role):
//
//	37: \x93 STACK_GLOBAL  # imports datetime.datetime, called
//
// and where Verify stops following imports, the last line says so.
//
// What comes before a fault is written all the same. The error is then a
// *SyntaxError or a *LimitError, or else that of w. Memory and output are a
// small multiple of len(data).
func Disassemble(w io.Writer, data []byte, options DisassembleOptions) error {
	limits := options.Limits.withDefaults()
	if len(data) > limits.MaxBytes {
		return &LimitError{Limit: "MaxBytes", Max: limits.MaxBytes}
	}
	d := disassembler{w: bufio.NewWriter(w), data: data, limits: limits, highest: -1}
	if !options.Plain {
		d.imports = findImports(data, limits)
	}
	err := d.run()
	if flushed := d.w.Flush(); flushed != nil {
		return flushed
	}
	return err
}

// A disassembler follows pickletools.dis, whose stack holds no more than
// which of its items are marks.
type disassembler struct {
	w       *bufio.Writer
	data    []byte
	pos, op int
	limits  Limits
	imports *imports // nil without remarks

	stack   []bool // whether each item is a mark
	marks   []int  // offsets of the MARK opcodes
	memo    seen
	highest int // protocol among the opcodes; -1 before the first

	argument []byte    // as repr prints it; empty when there is none
	index    memoIndex // the same, of opcodes for the memo
	line     []byte
	indented int // bytes of indentation written
}

func (d *disassembler) run() error {
	for {
		d.op = d.pos
		if d.pos >= len(d.data) {
			return d.cutShort()
		}
		op := d.data[d.pos]
		d.pos++
		e := effects[op]
		if opcodeNames[op] == "" {
			return d.fail("no such opcode")
		}
		if err := d.readArgument(e.argument); err != nil {
			return err
		}
		if err := d.step(op, e); err != nil {
			return err
		}
		if op == opStop {
			return d.finish()
		}
	}
}

// step prints one opcode and does to the stack what it does.
func (d *disassembler) step(op byte, e effect) error {
	d.begin(op)
	pops := int(e.pops)
	remark, fault := "", ""
	onMark := len(d.stack) > 0 && d.stack[len(d.stack)-1]
	if e.marked || op == opPop && onMark {
		if n := len(d.marks); n == 0 {
			fault = "no MARK exists on stack"
			remark = fault
		} else {
			remark = "(MARK at " + strconv.Itoa(d.marks[n-1]) + ")"
			d.marks = d.marks[:n-1]
			if !d.dropToMark() {
				return d.fail("the MARK was popped before")
			}
			if op == opPop {
				pops = 0
			}
		}
	}
	switch op {
	case opPut, opBinPut, opLongBinPut, opMemoize:
		if op == opMemoize {
			d.index = memoIndex{n: d.memo.count}
			remark = "(as " + strconv.Itoa(d.memo.count) + ")"
		}
		fault = d.store()
	case opGet, opBinGet, opLongBinGet:
		if !d.memo.has(d.index) {
			fault = "nothing was stored in the memo at this index"
		}
	}
	d.highest = max(d.highest, int(e.protocol))
	d.end(op, remark)
	if fault != "" {
		return d.fail(fault)
	}
	if len(d.stack) < pops {
		return d.fail(fmt.Sprintf("it takes %d items from a stack of %d", pops, len(d.stack)))
	}
	d.stack = d.stack[:len(d.stack)-pops]
	for range e.pushes {
		d.stack = append(d.stack, op == opMark)
	}
	if op == opMark {
		d.marks = append(d.marks, d.op)
	}
	return nil
}

// dropToMark removes the last mark and what is above it.
func (d *disassembler) dropToMark() bool {
	n := len(d.stack) - 1
	for n >= 0 && !d.stack[n] {
		n--
	}
	if n < 0 {
		return false
	}
	d.stack = d.stack[:n]
	return true
}

// store writes into the memo and returns what is wrong with that.
func (d *disassembler) store() (fault string) {
	switch n := len(d.stack); {
	case d.memo.has(d.index):
		return "the memo has an entry at this index already"
	case n == 0:
		return "the stack is empty: nothing to store in the memo"
	case d.stack[n-1]:
		return "a mark cannot be stored in the memo"
	}
	d.memo.add(d.index, d.op)
	return ""
}

const (
	mostIndented    = 64 << 20 // bytes of indentation before it is cut
	leastIndentable = 10       // levels, from then on
)

// begin writes the offset, the opcode and its name into d.line.
func (d *disassembler) begin(op byte) {
	levels := len(d.marks)
	if d.indented += 4 * levels; d.indented > mostIndented {
		levels = min(levels, leastIndentable)
	}
	offset := strconv.AppendInt(nil, int64(d.op), 10)
	d.line = pad(d.line[:0], 5-len(offset))
	d.line = append(append(d.line, offset...), ": "...)
	code := len(d.line)
	if op < 0x80 {
		d.line = append(d.line, op)
	} else {
		d.line = append(d.line, '\\', 'x', hexDigits[op>>4], hexDigits[op&0xf])
	}
	d.line = pad(d.line, 5-(len(d.line)-code))
	d.line = pad(d.line, 4*levels)
	d.line = append(d.line, opcodeNames[op]...)
}

// end adds what follows the name, and prints the line.
func (d *disassembler) end(op byte, remark string) {
	if len(d.argument) > 0 || remark != "" {
		d.line = pad(d.line, 10-len(opcodeNames[op]))
		if len(d.argument) > 0 {
			d.line = append(append(d.line, ' '), d.argument...)
		}
		if remark != "" {
			d.line = append(append(d.line, ' '), remark...)
		}
	}
	if d.imports != nil {
		d.line = d.imports.appendRemark(d.line, op, d.op, d.data)
	}
	d.w.Write(append(d.line, '\n'))
}

// finish prints what pickletools prints after STOP.
func (d *disassembler) finish() error {
	fmt.Fprintf(d.w, "highest protocol among opcodes = %d\n", d.highest)
	if len(d.stack) > 0 {
		return d.fail(fmt.Sprintf("%d items are left on the stack", len(d.stack)))
	}
	if d.imports != nil && d.imports.stopped != nil {
		fmt.Fprintf(d.w, "# imports were not followed further: %v\n", d.imports.stopped)
	}
	return nil
}

func pad(b []byte, n int) []byte {
	for range n {
		b = append(b, ' ')
	}
	return b
}

func (d *disassembler) fail(reason string) error {
	return &SyntaxError{Offset: d.op, Opcode: d.opcode(), Reason: reason}
}

func (d *disassembler) cutShort() error {
	reason := "the input ends before STOP"
	if len(d.data) == 0 {
		reason = "the input is empty"
	}
	return &SyntaxError{Offset: d.op, Opcode: d.opcode(), Reason: reason, cut: true}
}

func (d *disassembler) opcode() string {
	if d.op >= len(d.data) {
		return ""
	}
	return opcodeNames[d.data[d.op]]
}

// A memoIndex is an index in the memo. Python's have no bounds.
type memoIndex struct {
	n   int
	far string // its digits, when it does not fit in n
}

// seen is a set of memo indices. Those that an opcode's offset allows for are
// kept in a slice, so that no index costs more memory than the input's length
// pays for.
type seen struct {
	dense  []bool
	sparse map[memoIndex]bool
	count  int
}

func (s *seen) has(i memoIndex) bool {
	return i.far == "" && i.n >= 0 && i.n < len(s.dense) && s.dense[i.n] || s.sparse[i]
}

// add puts in what is not there, for an opcode at the offset op.
func (s *seen) add(i memoIndex, op int) {
	s.count++
	if i.far != "" || i.n < 0 || i.n > op {
		if s.sparse == nil {
			s.sparse = map[memoIndex]bool{}
		}
		s.sparse[i] = true
		return
	}
	if i.n >= len(s.dense) {
		s.dense = append(s.dense, make([]bool, i.n+1-len(s.dense))...)
	}
	s.dense[i.n] = true
}
