package pickle

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// appendStrRepr appends Python's repr of a str as Str holds it. The result is
// ASCII and printable characters, so that it may go to a terminal.
func appendStrRepr(b []byte, s string) []byte {
	quote := quoteFor(s)
	b = append(b, quote)
	b = appendPrintable(b, s, quote)
	return append(b, quote)
}

// quoteFor follows repr: an apostrophe, unless there are such and no quotes.
func quoteFor(s string) byte {
	if strings.IndexByte(s, '\'') >= 0 && strings.IndexByte(s, '"') < 0 {
		return '"'
	}
	return '\''
}

// appendPrintable appends s with escapes for the quote, if it is not 0, and for what
// cannot be printed.
func appendPrintable(b []byte, s string, quote byte) []byte {
	for len(s) > 0 {
		if c := s[0]; c < utf8.RuneSelf {
			b = appendByteRepr(b, c, quote)
			s = s[1:]
			continue
		}
		r, n := codePoint(s)
		switch {
		case strconv.IsPrint(r) && (r != utf8.RuneError || n > 1):
			b = append(b, s[:n]...)
		case r <= 0xff:
			b = appendEscape(b, 'x', r, 2)
		case r <= 0xffff:
			b = appendEscape(b, 'u', r, 4)
		default:
			b = appendEscape(b, 'U', r, 8)
		}
		s = s[n:]
	}
	return b
}

func appendEscape(b []byte, letter byte, r rune, digits int) []byte {
	b = append(b, '\\', letter)
	for i := digits - 1; i >= 0; i-- {
		b = append(b, hexDigits[r>>(4*i)&0xf])
	}
	return b
}

// appendBytesRepr appends Python's repr of bytes.
func appendBytesRepr(b, s []byte) []byte {
	quote := quoteFor(string(s))
	b = append(b, 'b', quote)
	for _, c := range s {
		b = appendByteRepr(b, c, quote)
	}
	return append(b, quote)
}

func appendByteRepr(b []byte, c, quote byte) []byte {
	switch {
	case c == '\t':
		return append(b, `\t`...)
	case c == '\n':
		return append(b, `\n`...)
	case c == '\r':
		return append(b, `\r`...)
	case c < ' ' || c > '~':
		return appendEscape(b, 'x', rune(c), 2)
	case c == '\\' || c == quote:
		return append(b, '\\', c)
	}
	return append(b, c)
}
