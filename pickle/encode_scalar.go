package pickle

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

func (e *encoder) saveBool(b bool) {
	switch {
	case e.protocol >= 2 && b:
		e.op(opNewTrue)
	case e.protocol >= 2:
		e.op(opNewFalse)
	case b:
		e.op(opInt)
		e.text("01")
	default:
		e.op(opInt)
		e.text("00")
	}
}

// saveInt follows save_long.
func (e *encoder) saveInt(n int64) {
	switch {
	case e.protocol == 0 && n == int64(int32(n)):
		e.op(opInt)
		e.out = strconv.AppendInt(e.out, n, 10)
		e.out = append(e.out, '\n')
	case n == int64(uint8(n)):
		e.out = append(e.out, opBinInt1, byte(n))
	case n == int64(uint16(n)):
		e.out = append(e.out, opBinInt2, byte(n), byte(n>>8))
	case n == int64(int32(n)):
		e.out = append(e.out, opBinInt, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	default:
		e.saveLong(n)
	}
}

// saveLong saves what does not fit into 32 bits.
func (e *encoder) saveLong(n int64) {
	if e.protocol < 2 {
		e.op(opLong)
		e.out = strconv.AppendInt(e.out, n, 10)
		e.text("L")
		return
	}
	size := 8
	for size > 1 && n<<(72-8*size)>>(72-8*size) == n {
		size--
	}
	e.op(opLong1)
	e.out = append(e.out, byte(size))
	for i := range size {
		e.out = append(e.out, byte(n>>(8*i)))
	}
}

func (e *encoder) saveBigInt(n *BigInt) error {
	if n == nil {
		return e.fail("a nil pointer")
	}
	if n.IsInt64() {
		e.saveInt(n.Int64())
		return nil
	}
	if e.protocol < 2 {
		s := n.String()
		if len(s) > maxTextDigits {
			return e.fail("an int of %d digits, which Python does not read from text", len(s))
		}
		e.op(opLong)
		e.out = append(e.out, s...)
		e.text("L")
		return nil
	}
	b := twosComplement(n)
	if len(b) < 256 {
		e.block(opLong1, 1, string(b))
		return nil
	}
	e.op(opLong4)
	e.out = binary.LittleEndian.AppendUint32(e.out, uint32(len(b)))
	e.out = append(e.out, b...)
	return nil
}

// maxTextDigits is sys.set_int_max_str_digits' default.
const maxTextDigits = 4300

// twosComplement returns n in little-endian order, as short as its sign
// allows.
func twosComplement(n *BigInt) []byte {
	negative := n.Sign() < 0
	m := &n.Int
	if negative {
		m = new(BigInt).Not(m)
	}
	b := m.Bytes()
	if len(b) == 0 || b[0]&0x80 != 0 {
		b = slices.Insert(b, 0, 0)
	}
	slices.Reverse(b)
	if negative {
		for i := range b {
			b[i] = ^b[i]
		}
	}
	return b
}

func (e *encoder) saveFloat(f float64) {
	if e.protocol == 0 {
		e.op(opFloat)
		e.out = appendRepr(e.out, f)
		e.out = append(e.out, '\n')
		return
	}
	e.op(opBinFloat)
	e.out = binary.BigEndian.AppendUint64(e.out, math.Float64bits(f))
}

// appendRepr appends repr(f): the shortest digits that read back as f, with
// an exponent below 1e-4 and from 1e16 on.
func appendRepr(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, "nan"...)
	case math.IsInf(f, 1):
		return append(b, "inf"...)
	case math.IsInf(f, -1):
		return append(b, "-inf"...)
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.AppendFloat(b, f, 'e', -1, 64)
	}
	start := len(b)
	b = strconv.AppendFloat(b, f, 'f', -1, 64)
	if !slices.Contains(b[start:], '.') {
		b = append(b, ".0"...)
	}
	return b
}

// saveStr spells out what most strings need.
func (e *encoder) saveStr(s string) error {
	if !e.usual || len(s) > 0xff {
		return e.saveUnusualStr(s)
	}
	key := stringIdentity(s, strIdentity)
	entry := e.memo.find(key)
	if entry.pointer != nil {
		e.get(int(entry.index))
		return nil
	}
	if !isASCII([]byte(s)) && !validText(s) {
		return e.notText()
	}
	e.memo.set(entry, key)
	e.memo.count++
	out := append(e.out, opShortBinUnicode, byte(len(s)))
	out = append(out, s...)
	e.out = append(out, opMemoize)
	return nil
}

func (e *encoder) saveUnusualStr(s string) error {
	key := stringIdentity(s, strIdentity)
	entry, done := e.recall(s, key)
	if done {
		return nil
	}
	if err := e.writeStr(s); err != nil {
		return err
	}
	e.memoize(entry, key)
	return nil
}

// freshStr saves a string that nothing else can refer to.
func (e *encoder) freshStr(s string) error {
	if err := e.writeStr(s); err != nil {
		return err
	}
	e.put()
	return nil
}

func (e *encoder) writeStr(s string) error {
	if !validText(s) {
		return e.notText()
	}
	switch {
	case e.protocol == 0:
		e.op(opUnicode)
		e.out = appendRawUnicode(e.out, s)
		e.out = append(e.out, '\n')
	case len(s) <= 0xff && e.protocol >= 4:
		e.block(opShortBinUnicode, 1, s)
	case uint64(len(s)) <= math.MaxUint32:
		e.block(opBinUnicode, 4, s)
	case e.protocol >= 4:
		e.block(opBinUnicode8, 8, s)
	default:
		return e.fail("a Str longer than 4 GiB")
	}
	return nil
}

// validText says whether s is UTF-8, but for lone surrogates.
func validText(s string) bool { return utf8.ValidString(s) || validSurrogates([]byte(s)) }

func (e *encoder) notText() error { return e.fail("a Str that is not UTF-8") }

// appendRawUnicode encodes raw-unicode-escape, and besides what would break
// the line or the escaping.
func appendRawUnicode(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	for len(s) > 0 {
		r, n := codePoint(s)
		s = s[n:]
		digits := 4
		switch {
		case r > 0xffff:
			digits = 8
			b = append(b, `\U`...)
		case r > 0xff || r == '\\' || r == 0 || r == '\n' || r == '\r' || r == 0x1a:
			b = append(b, `\u`...)
		default:
			b = append(b, byte(r))
			continue
		}
		for i := digits - 1; i >= 0; i-- {
			b = append(b, hex[r>>(4*i)&0xf])
		}
	}
	return b
}

func (e *encoder) saveBytes(s string) error {
	key := stringIdentity(s, bytesIdentity)
	if _, done := e.recall(s, key); done {
		return nil
	}
	if err := e.writeBytes(s); err != nil {
		return err
	}
	e.memoize(e.memo.find(key), key) // below protocol 3 other entries have been made
	return nil
}

// freshBytes saves bytes that nothing else can refer to.
func (e *encoder) freshBytes(s string) error {
	if err := e.writeBytes(s); err != nil {
		return err
	}
	e.put()
	return nil
}

func (e *encoder) writeBytes(s string) error {
	switch {
	case e.protocol < 3:
		return e.bytesByCall(s)
	case len(s) <= 0xff:
		e.block(opShortBinBytes, 1, s)
	case uint64(len(s)) <= math.MaxUint32:
		e.block(opBinBytes, 4, s)
	case e.protocol >= 4:
		e.block(opBinBytes8, 8, s)
	default:
		return e.fail("Bytes longer than 4 GiB")
	}
	return nil
}

func (e *encoder) saveByteArray(v *ByteArray) error {
	key := identity{pointer: unsafe.Pointer(v)}
	_, done, err := e.enter(key)
	if done {
		return err
	}
	if e.protocol >= 5 {
		e.block(opByteArray8, 8, string(v.Data))
	} else if err := e.byteArrayByCall(v); err != nil {
		return err
	}
	e.depth--
	e.memoize(e.memo.find(key), key)
	return nil
}

// saveByteStr writes a str of Python 2, which all protocols can.
func (e *encoder) saveByteStr(s string) error {
	key := stringIdentity(s, byteStrIdentity)
	entry, done := e.recall(s, key)
	if done {
		return nil
	}
	switch {
	case e.protocol == 0:
		e.op(opString)
		e.out = appendQuoted(e.out, s)
		e.out = append(e.out, '\n')
	case len(s) <= 0xff:
		e.block(opShortBinString, 1, s)
	case len(s) <= math.MaxInt32:
		e.block(opBinString, 4, s)
	default:
		return e.fail("a ByteStr longer than 2 GiB")
	}
	e.memoize(entry, key)
	return nil
}

// appendQuoted appends repr(s) as Python 2 has it.
func appendQuoted(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '\'')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\' || c == '\'':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < ' ' || c > '~':
			b = append(b, '\\', 'x', hex[c>>4], hex[c&0xf])
		default:
			b = append(b, c)
		}
	}
	return append(b, '\'')
}
