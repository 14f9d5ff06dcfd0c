package pickle

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"unicode/utf8"
)

// scalar returns the step that pushes a value of kind from size bytes.
func scalar(kind Kind, size uint64) func(*machine) error {
	return func(m *machine) error {
		_, err := m.take(size)
		m.push(newValue(kind, 1))
		return err
	}
}

// counted returns the step that pushes a value of kind from bytes after a
// length of size bytes.
func counted(kind Kind, size int, signed bool) func(*machine) error {
	return func(m *machine) error {
		b, err := m.block(size, signed)
		if err != nil {
			return err
		}
		v := newValue(kind, bytesWeight(len(b)))
		switch {
		case kind == KindByteArray:
			v = v.withFlags(flagUnhashable)
		case kind == KindInt && len(b) > maxShortInt:
			v = v.withFlags(flagLong)
		}
		m.push(v)
		return nil
	}
}

// maxShortInt is the most that an int of KindInt has, in bytes: what LONG1 can
// count.
const maxShortInt = 255

// maxShortDigits is the same in decimal digits.
const maxShortDigits = 614

// bytesWeight is the weight of n bytes or characters, which are copied faster
// than values are visited.
func bytesWeight(n int) uint32 { return 1 + uint32(n>>4) }

// pushText pushes text whose bytes in data end where m.pos is, less after.
func (m *machine) pushText(b []byte, after int, f flags) {
	end := m.pos - after
	m.push(newValue(KindText, bytesWeight(len(b))).withFlags(f).withRef(uint32(end-len(b)), uint32(end)))
}

// text returns the characters of a text value, in UTF-8; ok is false when
// they were written with escapes or in another encoding, or v is no text.
func (m *machine) text(v value) (b []byte, ok bool) {
	if v.kind() != KindText || v.flags()&flagOpaque != 0 {
		return nil, false
	}
	return m.data[v.a():v.b()], true
}

// countedText returns the step that pushes text after a length of size bytes.
func countedText(size int) func(*machine) error {
	return func(m *machine) error {
		b, err := m.block(size, false)
		if err != nil {
			return err
		}
		if !isASCII(b) && !utf8.Valid(b) && !validSurrogates(b) {
			return m.fail("not UTF-8")
		}
		m.pushText(b, 0, 0)
		return nil
	}
}

// validSurrogates is utf8.Valid but that it lets lone surrogates through, as
// Python's error handler "surrogatepass" does.
func validSurrogates(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			if len(b) < 3 || b[0] != 0xed || b[1]&0xe0 != 0xa0 || b[2]&0xc0 != 0x80 {
				return false
			}
			n = 3
		}
		b = b[n:]
	}
	return true
}

func (m *machine) shortBinString() error { return m.python2String(1, false) }
func (m *machine) binString() error      { return m.python2String(4, true) }

func (m *machine) python2String(size int, signed bool) error {
	b, err := m.block(size, signed)
	if err != nil {
		return err
	}
	if !isASCII(b) {
		return m.fail("a string of Python 2 beyond ASCII")
	}
	m.pushText(b, 0, 0)
	return nil
}

// textString reads STRING: repr() of a string in Python 2.
func (m *machine) textString() error {
	line, err := m.line()
	if err != nil {
		return err
	}
	n := len(line)
	if n < 2 || line[0] != line[n-1] || line[0] != '\'' && line[0] != '"' {
		return m.fail("the string is not quoted")
	}
	b := line[1 : n-1]
	var f flags
	if bytes.IndexByte(b, '\\') >= 0 {
		f = flagOpaque
	}
	if !isASCII(b) || !validEscapes(b) {
		return m.fail("a string of Python 2 beyond ASCII, or escaped as repr does not")
	}
	m.pushText(b, 2, f)
	return nil
}

// validEscapes allows the escapes that repr writes for ASCII strings: \\, \',
// \", \n, \r, \t, and \x for other control characters. Octal and the like
// would spell a name in a second way.
func validEscapes(b []byte) bool {
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' {
			continue
		}
		i++
		if i == len(b) {
			return false
		}
		switch b[i] {
		case '\\', '\'', '"', 'n', 'r', 't':
		case 'x':
			c, ok := hexNumber(b[i+1:], 2)
			if !ok || c >= 0x20 && c != 0x7f {
				return false
			}
			i += 2
		default:
			return false
		}
	}
	return true
}

// textUnicode reads UNICODE: Python's codec raw-unicode-escape.
func (m *machine) textUnicode() error {
	b, err := m.line()
	if err != nil {
		return err
	}
	var f flags
	if bytes.IndexByte(b, '\\') >= 0 || !isASCII(b) {
		f = flagOpaque
		if !validRawUnicode(b) {
			return m.fail("not in raw-unicode-escape as Python writes it")
		}
	}
	m.pushText(b, 1, f)
	return nil
}

// validRawUnicode checks \u and \U. Python escapes of ASCII only what would
// break the line or the escaping; other escapes would spell a name in a
// second way. A backslash before anything else stands for itself, and so
// does the character after it.
func validRawUnicode(b []byte) bool {
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 == len(b) {
			continue
		}
		i++
		digits := 0
		switch b[i] {
		case 'u':
			digits = 4
		case 'U':
			digits = 8
		default:
			continue
		}
		c, ok := hexNumber(b[i+1:], digits)
		if !ok || c > utf8.MaxRune || c >= 0x20 && c < 0x7f && c != '\\' {
			return false
		}
		i += digits
	}
	return true
}

func hexNumber(b []byte, digits int) (uint64, bool) {
	if len(b) < digits {
		return 0, false
	}
	for _, c := range b[:digits] {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(string(b[:digits]), 16, 64)
	return n, err == nil
}

// textInt reads INT: a decimal number, or a bool as 00 or 01.
func (m *machine) textInt() error {
	b, err := m.line()
	if err != nil {
		return err
	}
	if s := string(b); s == "00" || s == "01" {
		m.push(newValue(KindBool, 1))
		return nil
	}
	return m.pushInt(b)
}

// textLong reads LONG: a decimal number, and the L that Python writes after it.
func (m *machine) textLong() error {
	b, err := m.line()
	if err != nil {
		return err
	}
	return m.pushInt(bytes.TrimSuffix(b, []byte("L")))
}

func (m *machine) pushInt(b []byte) error {
	digits := bytes.TrimPrefix(b, []byte("-"))
	if len(digits) > m.limits.MaxDigits {
		return m.beyond("MaxDigits", m.limits.MaxDigits)
	}
	if !isDecimal(digits) || len(b) > len(digits) && digits[0] == '0' {
		return m.fail("not an integer as Python writes it")
	}
	v := newValue(KindInt, bytesWeight(len(b)))
	if len(digits) > maxShortDigits {
		v = v.withFlags(flagLong)
	}
	m.push(v)
	return nil
}

// maxFloat is more characters than repr() of any float has.
const maxFloat = 32

// textFloat reads FLOAT: repr() of a float.
func (m *machine) textFloat() error {
	b, err := m.line()
	if err != nil {
		return err
	}
	if !isFloat(b) {
		return m.fail("not a float as Python writes it")
	}
	m.push(newValue(KindFloat, 1))
	return nil
}

func isFloat(b []byte) bool {
	switch string(b) {
	case "nan", "inf", "-inf":
		return true
	}
	digits := bytes.TrimPrefix(b, []byte("-"))
	if len(b) > maxFloat || len(digits) == 0 || digits[0] < '0' || digits[0] > '9' {
		return false
	}
	for _, c := range digits {
		if !('0' <= c && c <= '9' || c == '.' || c == 'e' || c == '+' || c == '-') {
			return false
		}
	}
	_, err := strconv.ParseFloat(string(b), 64)
	return err == nil
}

// isDecimal says whether b is a number without sign or leading zeros.
func isDecimal(b []byte) bool {
	if len(b) == 0 || len(b) > 1 && b[0] == '0' {
		return false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func isASCII(b []byte) bool {
	for ; len(b) >= 8; b = b[8:] {
		if binary.LittleEndian.Uint64(b)&0x8080808080808080 != 0 {
			return false
		}
	}
	var bits byte
	for _, c := range b {
		bits |= c
	}
	return bits < utf8.RuneSelf
}
