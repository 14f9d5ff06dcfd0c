package pickle

import (
	"bytes"
	"encoding/binary"
	"math"
	"strconv"
	"strings"
)

// readArgument reads what follows an opcode and leaves its repr in
// d.argument. It takes what pickletools takes, which is more than Verify does.
func (d *disassembler) readArgument(form argumentType) error {
	d.argument = d.argument[:0]
	switch form {
	case argNone:
		return nil
	case argUint1:
		return d.readInt(1, false)
	case argUint2:
		return d.readInt(2, false)
	case argUint4, argInt4:
		return d.readInt(4, form == argInt4)
	case argUint8:
		return d.readInt(8, false)
	case argLong1, argLong4, argBytes1, argBytes4, argBytes8, argByteArray8, argString1, argString4, argUnicode1, argUnicode4, argUnicode8:
		return d.readBlock(form)
	case argFloat8:
		b, err := d.take(8)
		if err == nil {
			d.argument = appendRepr(d.argument, math.Float64frombits(binary.BigEndian.Uint64(b)))
		}
		return err
	}
	return d.readLines(form)
}

// readLines is readArgument for what ends with a newline.
func (d *disassembler) readLines(form argumentType) error {
	line, err := d.readLine()
	if err != nil {
		return err
	}
	switch form {
	case argDecimalLine:
		return d.readDecimal(line)
	case argLongLine:
		return d.appendDecimal(bytes.TrimSuffix(line, []byte("L")))
	case argFloatLine:
		f, ok := pythonFloat(line)
		if !ok {
			return d.fail("not a float")
		}
		d.argument = appendRepr(d.argument, f)
	case argUnicodeLine:
		s, ok := rawUnescape(string(line))
		if !ok {
			return d.fail("not in raw-unicode-escape")
		}
		d.argument = appendStrRepr(d.argument, s)
	case argStringLine:
		n := len(line)
		if n == 0 || line[0] != '\'' && line[0] != '"' || line[n-1] != line[0] {
			return d.fail("the string is not quoted")
		}
		return d.appendText(string(line[1:max(1, n-1)])) // pickletools takes a lone quote for both
	case argNameLine:
		return d.appendText(string(line))
	case argNamePair:
		second, err := d.readLine()
		if err != nil {
			return err
		}
		return d.appendText(string(line), string(second))
	}
	return nil
}

// readInt reads a little-endian number of size bytes.
func (d *disassembler) readInt(size int, signed bool) error {
	b, err := d.take(size)
	if err != nil {
		return err
	}
	n := littleUint(b)
	d.index = memoIndex{n: int(n)}
	if signed {
		d.argument = strconv.AppendInt(d.argument, int64(int32(n)), 10)
	} else {
		d.argument = strconv.AppendUint(d.argument, n, 10)
	}
	return nil
}

// readBlock reads a length and as many bytes as it says.
func (d *disassembler) readBlock(form argumentType) error {
	size := 4
	switch form {
	case argLong1, argBytes1, argString1, argUnicode1:
		size = 1
	case argBytes8, argByteArray8, argUnicode8:
		size = 8
	}
	head, err := d.take(size)
	if err != nil {
		return err
	}
	n := littleUint(head)
	if n > math.MaxInt32 && (form == argLong4 || form == argString4) {
		return d.fail("negative length")
	}
	if n > uint64(len(d.data)-d.pos) {
		return d.cutShort()
	}
	b := d.data[d.pos : d.pos+int(n)]
	d.pos += int(n)
	switch form {
	case argLong1, argLong4:
		return d.appendLong(b)
	case argString1, argString4:
		d.argument = appendStrRepr(d.argument, fromLatin1(string(b)))
	case argUnicode1, argUnicode4, argUnicode8:
		if !validSurrogates(b) {
			return d.fail("not UTF-8")
		}
		d.argument = appendStrRepr(d.argument, string(b))
	case argByteArray8:
		d.argument = append(d.argument, "bytearray("...)
		d.argument = append(appendBytesRepr(d.argument, b), ')')
	default:
		d.argument = appendBytesRepr(d.argument, b)
	}
	return nil
}

// appendLong prints an integer in little-endian two's complement.
func (d *disassembler) appendLong(b []byte) error {
	if len(b) == 0 {
		d.argument = append(d.argument, '0')
		return nil
	}
	n := littleEndian(bytes.Clone(b))
	// A bit is worth 0.301 digits: what is far beyond is not converted, which
	// takes more than linear time.
	if n.BitLen() > 4*d.limits.MaxDigits {
		return d.tooManyDigits()
	}
	s := n.String()
	if len(strings.TrimPrefix(s, "-")) > d.limits.MaxDigits {
		return d.tooManyDigits()
	}
	d.argument = append(d.argument, s...)
	return nil
}

func (d *disassembler) tooManyDigits() error {
	return &LimitError{Offset: d.op, Opcode: d.opcode(), Limit: "MaxDigits", Max: d.limits.MaxDigits}
}

// readDecimal reads an int, or a bool as 00 or 01; for opcodes of the memo an
// index.
func (d *disassembler) readDecimal(line []byte) error {
	switch string(line) {
	case "00":
		d.argument, d.index = append(d.argument, "False"...), memoIndex{n: 0}
		return nil
	case "01":
		d.argument, d.index = append(d.argument, "True"...), memoIndex{n: 1}
		return nil
	}
	if err := d.appendDecimal(line); err != nil {
		return err
	}
	n, err := strconv.Atoi(string(d.argument))
	d.index = memoIndex{n: n}
	if err != nil {
		d.index = memoIndex{far: string(d.argument)}
	}
	return nil
}

// appendDecimal prints an integer from what Python's int() takes: blanks
// around it, a sign, leading zeros and single underscores between digits.
func (d *disassembler) appendDecimal(s []byte) error {
	s = bytes.Trim(s, pythonBlanks)
	negative := len(s) > 0 && s[0] == '-'
	if negative || len(s) > 0 && s[0] == '+' {
		s = s[1:]
	}
	s, ok := withoutUnderscores(s)
	if !ok || len(s) == 0 || len(bytes.Trim(s, "0123456789")) > 0 {
		return d.fail("not an integer")
	}
	if len(s) > d.limits.MaxDigits {
		return d.tooManyDigits()
	}
	s = bytes.TrimLeft(s, "0")
	switch {
	case len(s) == 0:
		d.argument = append(d.argument, '0')
	case negative:
		d.argument = append(append(d.argument, '-'), s...)
	default:
		d.argument = append(d.argument, s...)
	}
	return nil
}

// pythonBlanks are what int() and float() skip around a number in bytes.
const pythonBlanks = " \t\n\v\f\r"

// withoutUnderscores removes underscores, which must stand between digits.
func withoutUnderscores(s []byte) ([]byte, bool) {
	if bytes.IndexByte(s, '_') < 0 {
		return s, true
	}
	isDigit := func(i int) bool { return i >= 0 && i < len(s) && '0' <= s[i] && s[i] <= '9' }
	out := make([]byte, 0, len(s))
	for i, c := range s {
		if c != '_' {
			out = append(out, c)
		} else if !isDigit(i-1) || !isDigit(i+1) {
			return nil, false
		}
	}
	return out, true
}

// pythonFloat reads what Python's float() takes.
func pythonFloat(s []byte) (float64, bool) {
	s, ok := withoutUnderscores(bytes.Trim(s, pythonBlanks))
	if !ok {
		return 0, false
	}
	switch strings.ToLower(strings.TrimLeft(string(s), "+-")) {
	case "inf", "infinity", "nan":
	default:
		if len(bytes.Trim(s, "0123456789.eE+-")) > 0 {
			return 0, false // Go reads hexadecimal too
		}
	}
	f, err := strconv.ParseFloat(string(s), 64)
	return f, err == nil || math.IsInf(f, 0) // Python's float() overflows to inf
}

// appendText prints lines of escaped ASCII, joined by blanks, as one str.
func (d *disassembler) appendText(lines ...string) error {
	for i, line := range lines {
		s, ok := unescape(line)
		if !ok {
			return d.fail("a broken escape")
		}
		if !isASCII([]byte(s)) {
			return d.fail("text beyond ASCII")
		}
		lines[i] = s
	}
	d.argument = appendStrRepr(d.argument, strings.Join(lines, " "))
	return nil
}

func (d *disassembler) take(n int) ([]byte, error) {
	if n > len(d.data)-d.pos {
		return nil, d.cutShort()
	}
	d.pos += n
	return d.data[d.pos-n : d.pos], nil
}

func (d *disassembler) readLine() ([]byte, error) {
	n := bytes.IndexByte(d.data[d.pos:], '\n')
	if n < 0 {
		return nil, d.cutShort()
	}
	line := d.data[d.pos : d.pos+n]
	d.pos += n + 1
	return line, nil
}
