package main

import (
	"bytes"
	"encoding/binary"
)

// An argument form says what follows an opcode. Forms up to 8 are that many
// bytes.
const (
	oneLine = 16 + iota
	twoLines
	counted1
	counted4
	counted8
)

// forms is written down apart from the package under test, from CPython's
// Lib/pickletools.py.
var forms = map[byte]int{
	'(': 0, '.': 0, '0': 0, '1': 0, '2': 0, 'N': 0, 'Q': 0, 'R': 0, 'a': 0, 'b': 0, 'd': 0, 'e': 0,
	'l': 0, 'o': 0, 's': 0, 't': 0, 'u': 0, ')': 0, ']': 0, '}': 0,
	'F': oneLine, 'I': oneLine, 'L': oneLine, 'P': oneLine, 'S': oneLine, 'V': oneLine, 'g': oneLine, 'p': oneLine,
	'c': twoLines, 'i': twoLines,
	'J': 4, 'K': 1, 'M': 2, 'G': 8, 'h': 1, 'j': 4, 'q': 1, 'r': 4,
	'T': counted4, 'U': counted1, 'X': counted4, 'B': counted4, 'C': counted1,
	0x80: 1, 0x81: 0, 0x82: 1, 0x83: 2, 0x84: 4, 0x85: 0, 0x86: 0, 0x87: 0, 0x88: 0, 0x89: 0,
	0x8a: counted1, 0x8b: counted4, 0x8c: counted1, 0x8d: counted8, 0x8e: counted8, 0x8f: 0,
	0x90: 0, 0x91: 0, 0x92: 0, 0x93: 0, 0x94: 0, 0x95: 8, 0x96: counted8, 0x97: 0, 0x98: 0,
}

// alike lists opcodes that take the same form of argument, by form.
var alike = func() map[int][]byte {
	m := map[int][]byte{}
	for op := range 256 {
		if form, ok := forms[byte(op)]; ok {
			m[form] = append(m[form], byte(op))
		}
	}
	return m
}()

var (
	anyOpcode = bytes.Join([][]byte{alike[0], alike[1], alike[2], alike[4], alike[8], alike[oneLine],
		alike[twoLines], alike[counted1], alike[counted4], alike[counted8]}, nil)
	textOpcodes = []byte{0x8c, 'X', 0x8d, 'V', 'U', 'S'}
)

// An instruction is an opcode and the bytes of its argument, a length before
// them included.
type instruction []byte

// parse cuts data into instructions. What follows STOP, or cannot be read, is
// the last of them.
func parse(data []byte) []instruction {
	var program []instruction
	for len(data) > 0 {
		n := width(data)
		if n < 0 || n > len(data) {
			return append(program, instruction(data))
		}
		program = append(program, instruction(data[:n]))
		if data[0] == '.' {
			if n < len(data) {
				program = append(program, instruction(data[n:]))
			}
			return program
		}
		data = data[n:]
	}
	return program
}

// width is the length of the instruction at the start of data, or -1.
func width(data []byte) int {
	form, ok := forms[data[0]]
	if !ok {
		return -1
	}
	rest := data[1:]
	switch form {
	default:
		return 1 + form
	case oneLine, twoLines:
		n := bytes.IndexByte(rest, '\n')
		if n < 0 {
			return -1
		}
		if form == twoLines {
			m := bytes.IndexByte(rest[n+1:], '\n')
			if m < 0 {
				return -1
			}
			n += 1 + m
		}
		return n + 2
	case counted1, counted4, counted8:
		head := map[int]int{counted1: 1, counted4: 4, counted8: 8}[form]
		if len(rest) < head {
			return -1
		}
		var b [8]byte
		copy(b[:], rest[:head])
		n := binary.LittleEndian.Uint64(b[:])
		if n > uint64(len(rest)-head) {
			return -1
		}
		return 1 + head + int(n)
	}
}

// announced returns where data announces a length beyond its end, and that
// length; 0 when it does not.
func announced(data []byte) (at int, length uint64) {
	for at < len(data) {
		rest := data[at+1:]
		n := width(data[at:])
		if n < 0 || data[at] == 0x95 {
			var b [8]byte
			switch forms[data[at]] {
			case counted4:
				copy(b[:4], rest)
			case counted8, 8:
				copy(b[:], rest)
			default:
				return at, 0
			}
			if length := binary.LittleEndian.Uint64(b[:]); length > uint64(len(rest)) {
				return at, length
			}
		}
		if n < 0 || data[at] == '.' {
			return at, 0
		}
		at += n
	}
	return at, 0
}

// counted returns the instruction op with body after a length.
func counted(op byte, body []byte) instruction {
	b := instruction{op}
	switch forms[op] {
	case counted1:
		body = body[:min(len(body), 255)]
		b = append(b, byte(len(body)))
	case counted4:
		b = binary.LittleEndian.AppendUint32(b, uint32(len(body)))
	case counted8:
		b = binary.LittleEndian.AppendUint64(b, uint64(len(body)))
	}
	return append(b, body...)
}
