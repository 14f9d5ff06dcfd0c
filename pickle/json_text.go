package pickle

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

func (w *jsonWriter) open(bracket byte) {
	w.out = append(w.out, bracket)
	w.level++
	w.first = true
}

func (w *jsonWriter) close(bracket byte) {
	w.level--
	if !w.first {
		w.newline()
	}
	w.out = append(w.out, bracket)
	w.first = false
}

// next comes before each element of an array and each key of an object.
func (w *jsonWriter) next() {
	if !w.first {
		w.out = append(w.out, ',')
	}
	w.first = false
	w.newline()
}

// mostIndent bounds, in levels, what a line of deeply nested values costs.
const mostIndent = 32

func (w *jsonWriter) newline() {
	if w.indent == "" {
		return
	}
	w.out = append(w.out, '\n')
	for range min(w.level, mostIndent) {
		w.out = append(w.out, w.indent...)
	}
}

func (w *jsonWriter) key(name string) {
	w.next()
	w.out = appendJSONText(w.out, name)
	w.out = append(w.out, ':')
	if w.indent != "" {
		w.out = append(w.out, ' ')
	}
}

func (w *jsonWriter) text(name, text string) {
	w.key(name)
	w.out = appendJSONText(w.out, text)
}

func (w *jsonWriter) bytes(name string, b []byte) {
	if w.exact {
		w.text(name, base64.StdEncoding.EncodeToString(b))
	} else {
		w.text(name, string(appendBytesRepr(nil, b)))
	}
}

// appendJSONText appends a text as a JSON string. What cannot be printed is
// escaped, and so are lone surrogates, which JSON's escapes can name.
func appendJSONText(b []byte, s string) []byte {
	b = append(b, '"')
	for len(s) > 0 {
		r, n := codePoint(s)
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == utf8.RuneError && n == 1:
			b = append(b, "\ufffd"...) // not of a Str: of a key or an error of someone else's
		case strconv.IsPrint(r):
			b = append(b, s[:n]...)
		case r > 0xffff:
			b = appendEscape(b, 'u', 0xd800+(r-0x10000)>>10, 4)
			b = appendEscape(b, 'u', 0xdc00+(r-0x10000)&0x3ff, 4)
		default:
			b = appendEscape(b, 'u', r, 4)
		}
		s = s[n:]
	}
	return append(b, '"')
}

// integerText is decimal as far as Python reads decimal, whose conversion
// takes more than linear time, and else hexadecimal.
func integerText(n *BigInt) string {
	const bitsPerDigit = 3.3219
	if float64(n.BitLen()) <= maxTextDigits*bitsPerDigit {
		return n.String()
	}
	return strings.Replace("0x"+n.Text(16), "0x-", "-0x", 1)
}

// quietNaN is the NaN that Python's float("nan") is.
const quietNaN = 0x7ff8 << 48

func floatText(f float64) string {
	if bits := math.Float64bits(f); f != f && bits != quietNaN {
		return fmt.Sprintf("0x%016x", bits)
	}
	return string(appendRepr(nil, f))
}

func hasSurrogates(s string) bool { return !utf8.ValidString(s) }

// escapeSurrogates writes lone surrogates as \udXXX, and backslashes twice.
func escapeSurrogates(s string) string {
	var b []byte
	for len(s) > 0 {
		r, n := codePoint(s)
		switch {
		case r == '\\':
			b = append(b, `\\`...)
		case r&^0x7ff == 0xd800:
			b = appendEscape(b, 'u', r, 4)
		default:
			b = append(b, s[:n]...)
		}
		s = s[n:]
	}
	return string(b)
}

// unescapeSurrogates is the inverse of escapeSurrogates.
func unescapeSurrogates(s string) (string, bool) {
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		rest := s[i+1:]
		if strings.HasPrefix(rest, `\`) {
			b = append(b, '\\')
			i++
			continue
		}
		if !strings.HasPrefix(rest, "u") {
			return "", false
		}
		r, ok := hexNumber([]byte(rest[1:]), 4)
		if !ok || r&^0x7ff != 0xd800 {
			return "", false
		}
		b = appendCodePoint(b, rune(r))
		i += 5
	}
	return string(b), true
}
