package pickle

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// JSONOptions says how AppendJSON writes. Its zero value serves.
type JSONOptions struct {
	// Exact writes the form that ParseJSON reads, with nothing lost. Default:
	// false, a form for people.
	Exact bool

	// Indent is written once per level at the start of each line, up to 32
	// levels. Default: "", all on one line.
	Indent string
}

// A JSONError says why a value cannot be written as JSON, or why JSON does not
// stand for a value.
type JSONError struct {
	Offset int // in the JSON, in bytes; -1 when it was to be written
	Reason string
}

func (e *JSONError) Error() string {
	if e.Offset < 0 {
		return "pickle: cannot be written as JSON: " + e.Reason
	}
	return fmt.Sprintf("pickle: JSON: at byte %d: %s", e.Offset, e.Reason)
}

// AppendJSON appends v to dst as JSON (RFC 8259), which is valid UTF-8 and
// has no control or unprintable characters whatever v holds.
//
// None, bools, lists and texts are what JSON has for them, and so are most
// numbers, and dicts whose keys are texts that do not begin with "$". All else
// is an object with a key that does. In the exact form:
//
//	{"$int": "9007199254740993"}    beyond 53 bits; from 4,301 digits on in hexadecimal, "0x..."
//	{"$float": "1.0"}               without a fraction; "-0.0", "inf", "nan", or a NaN's bits, "0x7ff8000000000001"
//	{"$str": "a"}                   a str of its own, though equal to another
//	{"$escaped": "\\ud800"}         the same with lone surrogates, and backslashes doubled
//	{"$bytes": "AAE="}              base64; also "$bytearray", and "$bytestr" for a ByteStr
//	{"$list": [...]}                also "$tuple", "$set", "$frozenset"
//	{"$dict": [[key, value], ...]}  or {"$dict": {...}}
//	{"$import": ["module", "Name"]}
//	{"$int2": "5L"}                 a Python2Int; without an L an int of Python 2
//	{"$import2": "module Name"}     a Python2Import
//	{"$persistent": id}
//	{"$object": "newobj", "callable": ..., "args": [...], "kwargs": ..., "list": [...],
//	 "dict": ..., "setter": ..., "state": ..., "later": [{"list": ...}, ...]}
//
// where "$object" is newobj, newobj_ex, reduce, inst or obj, and what is empty
// is left out. An "outer" object there is the call in whose arguments CPython
// met the object again. What is met again has {"$id": 1, ...} added where it stands
// first, and is {"$ref": 1} elsewhere. Equal texts without a "$" are one str.
//
// The form for people shows tuples as lists, bytes as Python's repr, dates and
// the like as text, and instances by their class and attributes.
//
// The error is a *JSONError: a nil Value, nesting deeper than 10,000, or text
// that is not UTF-8 (but for lone surrogates). dst is then returned as it was.
func AppendJSON(dst []byte, v Value, options JSONOptions) ([]byte, error) {
	w := jsonWriter{
		out: dst, exact: options.Exact, indent: options.Indent,
		met: map[identity]*metValue{}, texts: map[string]*metText{}, imports: map[Import]*metValue{},
	}
	if err := w.survey(v); err != nil {
		return dst, err
	}
	if err := w.value(v); err != nil {
		return dst, err
	}
	return w.out, nil
}

// A jsonWriter writes values after it has looked at all of them.
type jsonWriter struct {
	out    []byte
	exact  bool
	indent string
	level  int
	first  bool // nothing stands in the array or object yet
	depth  int  // of values

	met     map[identity]*metValue
	texts   map[string]*metText
	imports map[Import]*metValue
	ids     int
}

func (w *jsonWriter) value(v Value) error {
	if m := w.shared(v); m != nil {
		if m.id > 0 {
			w.open('{')
			w.key("$ref")
			w.out = strconv.AppendInt(w.out, int64(m.id), 10)
			w.close('}')
			return nil
		}
		w.ids++
		m.id = w.ids
		return w.tagged(v, m.id)
	}
	switch v := v.(type) {
	case None:
		w.out = append(w.out, "null"...)
	case Bool:
		w.out = strconv.AppendBool(w.out, bool(v))
	case Int:
		if w.exact && (v > 1<<53 || v < -1<<53) {
			return w.tagged(v, 0)
		}
		w.out = strconv.AppendInt(w.out, int64(v), 10)
	case Python2Int:
		if w.exact {
			return w.tagged(v, 0)
		}
		w.out = strconv.AppendInt(w.out, v.N, 10)
	case Float:
		if w.exact && float64(v) == math.Trunc(float64(v)) || math.IsInf(float64(v), 0) || v != v {
			return w.tagged(v, 0)
		}
		w.out = appendRepr(w.out, float64(v))
	case Str:
		if !w.isPlain(v) {
			return w.tagged(v, 0)
		}
		w.out = appendJSONText(w.out, string(v))
	case *List:
		return w.array(v.Items)
	case *Tuple:
		if w.exact {
			return w.tagged(v, 0)
		}
		return w.array(v.Items)
	case *Dict:
		if !w.plainKeys(v.Items) {
			return w.tagged(v, 0)
		}
		return w.object(v.Items)
	default:
		return w.tagged(v, 0)
	}
	return nil
}

// tagged writes an object that says what it stands for by a key with "$".
func (w *jsonWriter) tagged(v Value, id int) error {
	w.open('{')
	if id > 0 {
		w.key("$id")
		w.out = strconv.AppendInt(w.out, int64(id), 10)
	}
	if err := w.content(v); err != nil {
		return err
	}
	w.close('}')
	return nil
}

func (w *jsonWriter) content(v Value) error {
	switch v := v.(type) {
	case Int:
		w.text("$int", strconv.FormatInt(int64(v), 10))
	case Python2Int:
		w.text("$int2", v.String())
	case Python2Import:
		w.text("$import2", v.Module+" "+v.Name)
	case *BigInt:
		w.text("$int", integerText(v))
	case Float:
		w.text("$float", floatText(float64(v)))
	case Str:
		if hasSurrogates(string(v)) && w.exact {
			w.text("$escaped", escapeSurrogates(string(v)))
		} else {
			w.text("$str", string(v))
		}
	case Bytes:
		w.bytes("$bytes", []byte(v))
	case ByteStr:
		w.bytes("$bytestr", []byte(v))
	case *ByteArray:
		w.bytes("$bytearray", v.Data)
	case *List:
		return w.items("$list", v.Items)
	case *Tuple:
		return w.items("$tuple", v.Items)
	case *Set:
		return w.items("$set", v.Items)
	case *FrozenSet:
		return w.items("$frozenset", v.Items)
	case *Dict:
		return w.dict("$dict", v.Items)
	case Import:
		w.importNames(v)
	case PersistentID:
		return w.field("$persistent", v.ID)
	case *Object:
		if !w.exact {
			return w.readableObject(v)
		}
		return w.exactObject(v)
	}
	return nil
}

// exactObject writes the fields in the order in which Append writes them: of
// equal imports the first one's strings count.
func (w *jsonWriter) exactObject(o *Object) error {
	w.text("$object", howNames[o.How])
	if o.outer != nil {
		if err := w.field("outer", o.outer); err != nil {
			return err
		}
	}
	if err := w.field("callable", o.Callable); err != nil {
		return err
	}
	switch {
	case o.ArgsObject != nil:
		if err := w.field("args", o.ArgsObject); err != nil {
			return err
		}
	case o.Args == nil || len(o.Args.Items) == 0:
	case w.shared(o.Args) == nil:
		if err := w.items("args", o.Args.Items); err != nil {
			return err
		}
	default:
		if err := w.field("args", o.Args); err != nil {
			return err
		}
	}
	if o.Kwargs != nil {
		if err := w.field("kwargs", o.Kwargs); err != nil {
			return err
		}
	}
	if err := w.step(Step{o.State, o.StateSetter, o.ListItems, o.DictItems, nil}); err != nil {
		return err
	}
	return w.later("later", o.Later)
}

func (w *jsonWriter) later(key string, steps []Step) error {
	if len(steps) == 0 {
		return nil
	}
	w.key(key)
	w.open('[')
	for _, s := range steps {
		w.next()
		w.open('{')
		if err := w.step(s); err != nil {
			return err
		}
		w.close('}')
	}
	w.close(']')
	return nil
}

func (w *jsonWriter) step(s Step) error {
	if len(s.ListItems) > 0 {
		if err := w.items("list", s.ListItems); err != nil {
			return err
		}
	}
	if len(s.DictItems) > 0 {
		if err := w.dict("dict", s.DictItems); err != nil {
			return err
		}
	}
	if len(s.SetItems) > 0 {
		if err := w.items("set", s.SetItems); err != nil {
			return err
		}
	}
	if s.State == nil {
		return nil
	}
	if s.StateSetter != nil {
		if err := w.field("setter", s.StateSetter); err != nil {
			return err
		}
	}
	return w.field("state", s.State)
}

var howNames = [...]string{NewObj: "newobj", NewObjEx: "newobj_ex", Reduce: "reduce", Inst: "inst", Obj: "obj"}

// importNames writes the strings of an import as values where it is first
// met, as they may be shared with others; later ones merely name it.
func (w *jsonWriter) importNames(i Import) {
	w.key("$import")
	if !w.exact {
		w.out = appendJSONText(w.out, i.Module+"."+i.Name)
		return
	}
	m := w.imports[i]
	w.open('[')
	for _, name := range []string{i.Module, i.Name} {
		w.next()
		if m.written {
			w.out = appendJSONText(w.out, name)
		} else {
			w.value(Str(name)) // cannot fail: survey has seen it
		}
	}
	w.close(']')
	m.written = true
}

func (w *jsonWriter) field(name string, v Value) error {
	w.key(name)
	return w.value(v)
}

func (w *jsonWriter) items(name string, items []Value) error {
	w.key(name)
	return w.array(items)
}

func (w *jsonWriter) array(items []Value) error {
	w.open('[')
	for _, v := range items {
		w.next()
		if err := w.value(v); err != nil {
			return err
		}
	}
	w.close(']')
	return nil
}

// dict writes items as an object where that loses nothing, or else in pairs.
func (w *jsonWriter) dict(name string, items []Item) error {
	w.key(name)
	if w.plainKeys(items) {
		return w.object(items)
	}
	w.open('[')
	for _, item := range items {
		w.next()
		if err := w.array([]Value{item.Key, item.Value}); err != nil {
			return err
		}
	}
	w.close(']')
	return nil
}

func (w *jsonWriter) object(items []Item) error {
	w.open('{')
	for _, item := range items {
		if err := w.field(string(item.Key.(Str)), item.Value); err != nil {
			return err
		}
	}
	w.close('}')
	return nil
}

// plainKeys says whether all keys are texts that can be an object's keys.
func (w *jsonWriter) plainKeys(items []Item) bool {
	var met map[Str]bool
	if len(items) > 1 {
		met = make(map[Str]bool, len(items))
	}
	for _, item := range items {
		key, ok := item.Key.(Str)
		if !ok || strings.HasPrefix(string(key), "$") || met[key] || w.shared(key) != nil || !w.isPlain(key) {
			return false
		}
		if met != nil {
			met[key] = true
		}
	}
	return true
}
