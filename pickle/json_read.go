package pickle

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// ParseJSON reads the exact form that AppendJSON writes, so that
//
//	b, _ := AppendJSON(nil, v, JSONOptions{Exact: true})
//	w, _ := ParseJSON(b)
//
// makes w a copy of v: Append writes both as the same bytes. The order of the
// keys of objects with "$" does not matter, "$ref" may come before its "$id",
// and \ud800 and the like in a text are lone surrogates.
//
// The error is a *JSONError. Memory is a multiple of len(data).
func ParseJSON(data []byte) (Value, error) {
	p := jsonParser{data: data}
	root, err := p.whole()
	if err != nil {
		return nil, err
	}
	r := jsonReader{ids: map[string]*jsonIdentity{}, texts: map[string]Str{"builtins": "builtins", "bytearray": "bytearray"}} // see ownWords
	if err := r.collect(root); err != nil {
		return nil, err
	}
	return r.value(root)
}

// A jsonReader makes values of nodes.
type jsonReader struct {
	ids   map[string]*jsonIdentity // by "$id" as it is spelled
	texts map[string]Str           // the plain ones
	depth int
}

// A jsonIdentity is what a "$id" names.
type jsonIdentity struct {
	node  *jsonNode
	value Value // nil until it is made
	busy  bool  // being made
}

func (n *jsonNode) fail(format string, args ...any) error {
	return &JSONError{Offset: n.offset, Reason: fmt.Sprintf(format, args...)}
}

// field returns the value of a key, or nil.
func (n *jsonNode) field(key string) *jsonNode {
	for i, k := range n.keys {
		if k == key {
			return n.items[i]
		}
	}
	return nil
}

// tag returns the key that says what an object stands for, and "" when it is
// merely a dict.
func (n *jsonNode) tag() string {
	special := ""
	for _, key := range n.keys {
		if strings.HasPrefix(key, "$") && (special == "" || special == "$id") {
			special = key
		}
	}
	return special
}

// collect notes what each "$id" names.
func (r *jsonReader) collect(n *jsonNode) error {
	for _, item := range n.items {
		if err := r.collect(item); err != nil {
			return err
		}
	}
	id := n.field("$id")
	if n.kind != '{' || id == nil {
		return nil
	}
	if id.kind != '0' || r.ids[id.text] != nil {
		return id.fail("not a number that names this value alone")
	}
	r.ids[id.text] = &jsonIdentity{node: n}
	return nil
}

func (r *jsonReader) value(n *jsonNode) (Value, error) {
	if r.depth++; r.depth > maxNesting {
		return nil, n.fail("nested more than 10,000 levels deep")
	}
	defer func() { r.depth-- }()
	switch n.kind {
	case 'n':
		return None{}, nil
	case 't', 'f':
		return Bool(n.kind == 't'), nil
	case '0':
		return number(n)
	case '"':
		return r.plainText(n.text), nil
	case '[':
		l := new(List)
		return l, r.values(&l.Items, n)
	}
	tag := n.tag()
	switch tag {
	case "":
		d := new(Dict)
		return d, r.pairs(&d.Items, n)
	case "$ref":
		return r.reference(n)
	case "$id":
		return nil, n.fail("a $id that names nothing")
	}
	id := n.field("$id")
	if id == nil {
		return r.tagged(n, tag, nil)
	}
	return r.identified(id, r.ids[id.text])
}

func (r *jsonReader) reference(n *jsonNode) (Value, error) {
	ref := n.field("$ref")
	to := r.ids[ref.text]
	if ref.kind != '0' || to == nil || len(n.keys) != 1 {
		return nil, n.fail("a $ref to no $id")
	}
	return r.identified(n, to)
}

func (r *jsonReader) identified(n *jsonNode, to *jsonIdentity) (Value, error) {
	if to.value != nil {
		return to.value, nil
	}
	if to.busy {
		return nil, n.fail("a value that cannot hold itself does")
	}
	to.busy = true
	v, err := r.tagged(to.node, to.node.tag(), to)
	to.value = v
	return v, err
}

// plainText returns one string for all texts that are equal.
func (r *jsonReader) plainText(s string) Str {
	text, ok := r.texts[s]
	if !ok {
		text = Str(ownString(s))
		r.texts[s] = text
	}
	return text
}

// ownString returns a copy that shares memory with no other string. Go keeps
// one for each string of one byte: a copy must come from a longer one.
func ownString(s string) string {
	b := make([]byte, len(s)+1, len(s)+2)
	copy(b, s)
	return string(b)[:len(s)]
}

// tagged makes what an object with "$" stands for. What can hold itself is
// put into id before its parts are made.
func (r *jsonReader) tagged(n *jsonNode, tag string, id *jsonIdentity) (Value, error) {
	if tag != "$object" {
		for _, key := range n.keys {
			if key != tag && key != "$id" {
				return nil, n.fail("the key %q beside %q", key, tag)
			}
		}
	}
	inner := n.field(tag)
	made := func(v Value) Value {
		if id != nil {
			id.value = v
		}
		return v
	}
	switch tag {
	case "$list":
		v := new(List)
		return made(v), r.values(&v.Items, inner)
	case "$tuple":
		v := new(Tuple)
		return made(v), r.values(&v.Items, inner)
	case "$set":
		v := new(Set)
		return made(v), r.values(&v.Items, inner)
	case "$frozenset":
		v := new(FrozenSet)
		return made(v), r.values(&v.Items, inner)
	case "$dict":
		v := new(Dict)
		return made(v), r.pairs(&v.Items, inner)
	case "$object":
		v := new(Object)
		return made(v), r.object(v, n)
	case "$persistent":
		v, err := r.value(inner)
		return PersistentID{v}, err
	case "$import":
		return r.importNames(inner)
	}
	return leaf(tag, inner)
}

// leaf makes what holds no other values.
func leaf(tag string, n *jsonNode) (Value, error) {
	if n.kind != '"' {
		return nil, n.fail("%q wants a string", tag)
	}
	switch tag {
	case "$int":
		return integer(n)
	case "$int2":
		v, ok := parsePython2Int(n.text)
		if !ok {
			return nil, n.fail("not a long within 32 bits, with an L, or an int beyond")
		}
		return v, nil
	case "$import2":
		module, name, ok := strings.Cut(n.text, " ")
		if !ok {
			return nil, n.fail("want a module and a name")
		}
		return Python2Import{module, name}, nil
	case "$float":
		return float(n)
	case "$str":
		return Str(ownString(n.text)), nil
	case "$escaped":
		s, ok := unescapeSurrogates(n.text)
		if !ok {
			return nil, n.fail(`only \\ and \ud800 to \udfff are escapes here`)
		}
		return Str(ownString(s)), nil
	case "$bytes", "$bytearray", "$bytestr":
		b, err := base64.StdEncoding.Strict().DecodeString(n.text)
		switch {
		case err != nil:
			return nil, n.fail("not base64")
		case tag == "$bytes":
			return Bytes(ownString(string(b))), nil
		case tag == "$bytestr":
			return ByteStr(ownString(string(b))), nil
		}
		return &ByteArray{Data: b}, nil
	}
	return nil, n.fail("%q is not of the exact form", tag)
}

func (r *jsonReader) values(to *[]Value, n *jsonNode) error {
	if n.kind != '[' {
		return n.fail("want an array")
	}
	if len(n.items) > 0 {
		*to = make([]Value, len(n.items))
	}
	for i, item := range n.items {
		v, err := r.value(item)
		if err != nil {
			return err
		}
		(*to)[i] = v
	}
	return nil
}

// pairs reads an object, or an array of arrays of two.
func (r *jsonReader) pairs(to *[]Item, n *jsonNode) error {
	if n.kind != '{' && n.kind != '[' {
		return n.fail("want an object, or an array of pairs")
	}
	if len(n.items) > 0 {
		*to = make([]Item, len(n.items))
	}
	for i, item := range n.items {
		pair := &(*to)[i]
		var err error
		switch {
		case n.kind == '{' && strings.HasPrefix(n.keys[i], "$"):
			return n.fail("a key that begins with $: write the dict in pairs")
		case n.kind == '{':
			pair.Key = r.plainText(n.keys[i])
			pair.Value, err = r.value(item)
		case item.kind != '[' || len(item.items) != 2:
			return item.fail("want a pair of key and value")
		default:
			if pair.Key, err = r.value(item.items[0]); err == nil {
				pair.Value, err = r.value(item.items[1])
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *jsonReader) importNames(n *jsonNode) (Value, error) {
	var names []Value
	if err := r.values(&names, n); err != nil {
		return nil, err
	}
	if len(names) == 2 {
		module, ok1 := names[0].(Str)
		name, ok2 := names[1].(Str)
		if ok1 && ok2 {
			return Import{string(module), string(name)}, nil
		}
	}
	return nil, n.fail("want a module's name and a name in it")
}

func number(n *jsonNode) (Value, error) {
	if strings.ContainsAny(n.text, ".eE") {
		f, err := strconv.ParseFloat(n.text, 64)
		if err != nil {
			return nil, n.fail("not a float of 64 bits")
		}
		return Float(f), nil
	}
	return integer(n)
}

// integer reads decimal, or 0x and hexadecimal.
func integer(n *jsonNode) (Value, error) {
	digits := strings.TrimPrefix(n.text, "-")
	i, base := new(BigInt), 10
	if hexadecimal, ok := strings.CutPrefix(digits, "0x"); ok {
		digits, base = hexadecimal, 16
	} else if len(digits) > maxTextDigits+1 {
		return nil, n.fail("an int of more than %d digits: write it in hexadecimal", maxTextDigits)
	}
	if digits == "" || digits[0] == '-' || digits[0] == '+' {
		return nil, n.fail("not an integer")
	}
	if _, ok := i.SetString(digits, base); !ok {
		return nil, n.fail("not an integer")
	}
	if n.text[0] == '-' {
		i.Neg(&i.Int)
	}
	return NewInt((*big.Int)(&i.Int)), nil
}

// float reads what Python's repr writes, or the bits of a NaN.
func float(n *jsonNode) (Value, error) {
	if bits, ok := strings.CutPrefix(n.text, "0x"); ok {
		u, err := strconv.ParseUint(bits, 16, 64)
		if f := math.Float64frombits(u); err == nil && f != f {
			return Float(f), nil
		}
		return nil, n.fail("not the bits of a NaN")
	}
	if n.text == "nan" {
		return Float(math.Float64frombits(quietNaN)), nil
	}
	f, err := strconv.ParseFloat(n.text, 64)
	if err != nil || !isFloat([]byte(n.text)) {
		return nil, n.fail("not a float as Python writes it")
	}
	return Float(f), nil
}
