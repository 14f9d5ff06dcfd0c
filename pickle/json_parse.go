package pickle

import (
	"bytes"
	"unicode/utf8"
)

// A jsonNode is a JSON value as it stands in the text.
type jsonNode struct {
	kind   byte // one of n t f 0 " [ {
	offset int
	text   string   // of a string; of a number, as it is spelled
	keys   []string // of an object
	items  []*jsonNode
}

// mostJSONNesting is deeper than what AppendJSON writes: an object of a
// pickle is up to four levels of JSON.
const mostJSONNesting = 4*maxNesting + 4

// A jsonParser reads JSON (RFC 8259) and keeps what encoding/json does not:
// the order of keys, equal keys, and lone surrogates, which become what Str
// holds. It refuses text that is not UTF-8.
type jsonParser struct {
	data []byte
	pos  int
	deep int
}

func (p *jsonParser) fail(reason string) error {
	return &JSONError{Offset: min(p.pos, len(p.data)), Reason: reason}
}

// whole reads one value and the blanks around it.
func (p *jsonParser) whole() (*jsonNode, error) {
	n, err := p.value()
	if err != nil {
		return nil, err
	}
	if p.peek() != 0 || p.pos < len(p.data) {
		return nil, p.fail("something follows the value")
	}
	return n, nil
}

// peek skips blanks and returns the next byte, or 0 at the end.
func (p *jsonParser) peek() byte {
	for p.pos < len(p.data) {
		switch c := p.data[p.pos]; c {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return c
		}
	}
	return 0
}

func (p *jsonParser) value() (*jsonNode, error) {
	c := p.peek()
	n := &jsonNode{kind: c, offset: p.pos}
	switch {
	case c == '{' || c == '[':
		if p.deep++; p.deep > mostJSONNesting {
			return nil, p.fail("nested too deeply")
		}
		err := p.members(n)
		p.deep--
		return n, err
	case c == '"':
		var err error
		n.text, err = p.string()
		return n, err
	case c == '-' || '0' <= c && c <= '9':
		n.kind = '0'
		return n, p.number(n)
	}
	for _, word := range []string{"null", "true", "false"} {
		if bytes.HasPrefix(p.data[p.pos:], []byte(word)) {
			p.pos += len(word)
			return n, nil
		}
	}
	if p.pos == len(p.data) {
		return nil, p.fail("the text ends too early")
	}
	return nil, p.fail("not a value")
}

// members reads the rest of an array or object.
func (p *jsonParser) members(n *jsonNode) error {
	p.pos++
	end := n.kind + 2 // ']' and '}' come two after '[' and '{' in ASCII
	if p.peek() == end {
		p.pos++
		return nil
	}
	for {
		if n.kind == '{' {
			if err := p.memberKey(n); err != nil {
				return err
			}
		}
		item, err := p.value()
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
		switch p.peek() {
		case ',':
			p.pos++
		case end:
			p.pos++
			return nil
		default:
			return p.fail("want a comma or " + string(end))
		}
	}
}

func (p *jsonParser) memberKey(n *jsonNode) error {
	if p.peek() != '"' {
		return p.fail("want a key in quotes")
	}
	key, err := p.string()
	if err != nil {
		return err
	}
	if p.peek() != ':' {
		return p.fail("want a colon")
	}
	p.pos++
	n.keys = append(n.keys, key)
	return nil
}

// number reads a number as RFC 8259 section 6 has it.
func (p *jsonParser) number(n *jsonNode) error {
	start := p.pos
	p.skip('-')
	if !p.skip('0') && p.digits() == 0 {
		return p.fail("not a number")
	}
	if p.skip('.') && p.digits() == 0 {
		return p.fail("not a number")
	}
	if p.skip('e') || p.skip('E') {
		if !p.skip('+') {
			p.skip('-')
		}
		if p.digits() == 0 {
			return p.fail("not a number")
		}
	}
	n.text = string(p.data[start:p.pos])
	return nil
}

func (p *jsonParser) skip(c byte) bool {
	if p.pos < len(p.data) && p.data[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

func (p *jsonParser) digits() (n int) {
	for p.pos < len(p.data) && '0' <= p.data[p.pos] && p.data[p.pos] <= '9' {
		p.pos++
		n++
	}
	return n
}

// string reads a string, as Str holds it.
func (p *jsonParser) string() (string, error) {
	p.pos++
	var b []byte
	for {
		n := bytes.IndexAny(p.data[p.pos:], "\"\\")
		if n < 0 {
			p.pos = len(p.data)
			return "", p.fail("the text ends inside a string")
		}
		part := p.data[p.pos : p.pos+n]
		if i := bytes.IndexFunc(part, func(r rune) bool { return r < ' ' }); i >= 0 {
			p.pos += i
			return "", p.fail("a control character in a string: escape it")
		}
		if !utf8.Valid(part) {
			return "", p.fail("a string that is not UTF-8")
		}
		b = append(b, part...)
		p.pos += n + 1
		if p.data[p.pos-1] == '"' {
			return string(b), nil
		}
		var err error
		if b, err = p.escape(b); err != nil {
			return "", err
		}
	}
}

// escape reads what follows a backslash and appends it.
func (p *jsonParser) escape(b []byte) ([]byte, error) {
	if p.pos == len(p.data) {
		return nil, p.fail("the text ends inside a string")
	}
	c := p.data[p.pos]
	if i := bytes.IndexByte([]byte(`"\/bfnrt`), c); i >= 0 {
		p.pos++
		return append(b, "\"\\/\b\f\n\r\t"[i]), nil
	}
	r, ok := p.codeUnit()
	if !ok {
		return nil, p.fail("not an escape of JSON")
	}
	if r&^0x3ff == 0xd800 && p.pos < len(p.data) && p.data[p.pos] == '\\' {
		after := p.pos
		p.pos++
		if low, ok := p.codeUnit(); ok && low&^0x3ff == 0xdc00 {
			return utf8.AppendRune(b, 0x10000+(r-0xd800)<<10+(low-0xdc00)), nil
		}
		p.pos = after
	}
	return appendCodePoint(b, r), nil
}

// codeUnit reads uXXXX, if it is that.
func (p *jsonParser) codeUnit() (rune, bool) {
	if p.pos == len(p.data) || p.data[p.pos] != 'u' {
		return 0, false
	}
	r, ok := hexNumber(p.data[p.pos+1:], 4)
	if ok {
		p.pos += 5
	}
	return rune(r), ok
}
