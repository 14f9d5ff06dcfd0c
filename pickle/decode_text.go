package pickle

import (
	"strings"
	"unicode/utf8"
)

// line reads up to a newline and returns what comes before it.
func (d *decoder) line() (string, error) {
	n := strings.IndexByte(d.in[d.pos:d.end], '\n')
	if n < 0 {
		return "", d.need(uint64(d.end-d.pos) + 1)
	}
	s := d.in[d.pos : d.pos+n]
	d.pos += n + 1
	return s, nil
}

func (d *decoder) unicode(size int) error {
	s, err := d.block(size)
	if err != nil {
		return err
	}
	if !validText(s) {
		return d.fail("not UTF-8")
	}
	d.push(d.arena.str(s, d.pos))
	return nil
}

func (d *decoder) bytes(size int) error {
	s, err := d.block(size)
	if err != nil {
		return err
	}
	d.push(Bytes(s))
	return nil
}

func (d *decoder) byteArray() error {
	s, err := d.block(8)
	if err != nil {
		return err
	}
	d.arena.spent += len(s)
	d.push(&ByteArray{Data: []byte(s)})
	return nil
}

func (d *decoder) shortBinString() error { return d.blockString(1) }
func (d *decoder) binString() error      { return d.blockString(4) }

func (d *decoder) blockString(size int) error {
	s, err := d.block(size)
	if err != nil {
		return err
	}
	if size == 4 && len(s) > 1<<31-1 {
		return d.fail("negative length")
	}
	return d.python2String(s)
}

// textString reads STRING: repr() of a string in Python 2.
func (d *decoder) textString() error {
	s, err := d.line()
	if err != nil {
		return err
	}
	n := len(s)
	if n < 2 || s[0] != s[n-1] || s[0] != '\'' && s[0] != '"' {
		return d.fail("the string is not quoted")
	}
	s, ok := unescape(s[1 : n-1])
	if !ok {
		return d.fail("a broken escape")
	}
	return d.python2String(s)
}

func (d *decoder) python2String(s string) error {
	switch d.python2 {
	case Python2Bytes:
		d.push(Bytes(s))
	case Python2ASCII:
		if !isASCII([]byte(s)) {
			return d.fail("a string of Python 2 beyond ASCII")
		}
		d.push(Str(s))
	case Python2UTF8:
		if !utf8.ValidString(s) {
			return d.fail("a string of Python 2 that is not UTF-8")
		}
		d.push(Str(s))
	case Python2Latin1:
		d.push(Str(fromLatin1(s)))
	default:
		d.push(ByteStr(s))
	}
	return nil
}

// unescape undoes the escapes of a string literal, as Python's
// codecs.escape_decode does.
func unescape(s string) (string, bool) {
	if strings.IndexByte(s, '\\') < 0 {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		i++
		if i == len(s) {
			return "", false
		}
		if at := strings.IndexByte(`\'"abfnrtv`, s[i]); at >= 0 {
			b = append(b, "\\'\"\a\b\f\n\r\t\v"[at])
			continue
		}
		switch c := s[i]; {
		case c == 'x':
			n, ok := hexNumber([]byte(s[i+1:min(i+3, len(s))]), 2)
			if !ok {
				return "", false
			}
			b = append(b, byte(n))
			i += 2
		case '0' <= c && c <= '7':
			n, digits := 0, 0
			for ; digits < 3 && i+digits < len(s) && '0' <= s[i+digits] && s[i+digits] <= '7'; digits++ {
				n = n*8 + int(s[i+digits]-'0')
			}
			b = append(b, byte(n))
			i += digits - 1
		default:
			b = append(b, '\\', c)
		}
	}
	return string(b), true
}

// textUnicode reads UNICODE: Python's codec raw-unicode-escape.
func (d *decoder) textUnicode() error {
	s, err := d.line()
	if err != nil {
		return err
	}
	if strings.IndexByte(s, '\\') >= 0 || !isASCII([]byte(s)) {
		var ok bool
		if s, ok = rawUnescape(s); !ok {
			return d.fail("not in raw-unicode-escape")
		}
	}
	d.push(Str(s))
	return nil
}

// rawUnescape decodes raw-unicode-escape: Latin-1 with \uXXXX and \UXXXXXXXX.
// A backslash before anything else stands for itself, and so does the
// character after it.
func rawUnescape(s string) (string, bool) {
	b := make([]byte, 0, len(s)+8)
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = utf8.AppendRune(b, rune(s[i]))
			continue
		}
		i++
		digits := 0
		switch s[i] {
		case 'u':
			digits = 4
		case 'U':
			digits = 8
		default:
			b = append(b, '\\')
			b = utf8.AppendRune(b, rune(s[i]))
			continue
		}
		c, ok := hexNumber([]byte(s[i+1:min(i+1+digits, len(s))]), digits)
		if !ok || c > utf8.MaxRune {
			return "", false
		}
		b = appendCodePoint(b, rune(c))
		i += digits
	}
	return string(b), true
}

// appendCodePoint is utf8.AppendRune but that it writes lone surrogates, as
// Str holds them.
func appendCodePoint(b []byte, r rune) []byte {
	if r&^0x7ff == 0xd800 {
		return append(b, 0xed, 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f)
	}
	return utf8.AppendRune(b, r)
}

// codePoint is utf8.DecodeRuneInString but that it reads lone surrogates, as
// Str holds them. n is 0 at the end, and 1 with RuneError for what is not
// UTF-8.
func codePoint(s string) (r rune, n int) {
	r, n = utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && n == 1 && len(s) >= 3 && s[0] == 0xed && s[1]&0xe0 == 0xa0 && s[2]&0xc0 == 0x80 {
		return 0xd000 | rune(s[1]&0x3f)<<6 | rune(s[2]&0x3f), 3
	}
	return r, n
}

func fromLatin1(s string) string {
	if isASCII([]byte(s)) {
		return s
	}
	b := make([]byte, 0, len(s)+8)
	for i := range len(s) {
		b = utf8.AppendRune(b, rune(s[i]))
	}
	return string(b)
}

// toLatin1 returns the bytes of s in Latin-1; ok is false when it has other
// characters.
func toLatin1(s string) (b string, ok bool) {
	if isASCII([]byte(s)) {
		return s, true
	}
	out := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			return "", false
		}
		out = append(out, byte(r))
	}
	return string(out), true
}
