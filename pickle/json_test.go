package pickle

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestExactJSON: every pickle of the corpora comes back from its exact JSON as
// the same graph, and Append writes the same bytes of it, in its own protocol
// and in the default one.
func TestExactJSON(t *testing.T) {
	compared := 0
	for _, s := range roundTrips(t) {
		v, err := Decode(s.data, DecodeOptions{})
		if err != nil {
			if !notValue(err) {
				t.Errorf("%s: %v", s.Name, err)
			}
			continue
		}
		text, err := AppendJSON(nil, v, JSONOptions{Exact: true})
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		again, err := ParseJSON(text)
		if err == nil {
			err = sameGraph(v, again)
		}
		if err != nil {
			t.Errorf("%s: %v\n%.300s", s.Name, err, text)
			continue
		}
		for _, protocol := range []int{s.Protocol, DefaultProtocol} {
			want, err1 := Append(nil, v, protocol)
			got, err2 := Append(nil, again, protocol)
			if !bytes.Equal(got, want) || (err1 == nil) != (err2 == nil) {
				t.Errorf("%s: protocol %d: got %.80q, %v, want %.80q, %v\n%.300s", s.Name, protocol, got, err2, want, err1, text)
			}
			compared++
		}
	}
	t.Logf("%d compared", compared)
	if compared < 30_000 {
		t.Errorf("only %d compared", compared)
	}
}

// TestJSONIsValid: both forms of every pickle, hostile ones too, are what
// encoding/json takes for JSON, in UTF-8 and without control characters.
func TestJSONIsValid(t *testing.T) {
	samples := readSamples(t, "testdata/hostile.jsonl")
	for i, s := range roundTrips(t) {
		if i%5 == 0 {
			samples = append(samples, s)
		}
	}
	for _, s := range samples {
		v, err := Decode(s.data, DecodeOptions{})
		if err != nil {
			continue
		}
		for _, options := range []JSONOptions{{}, {Exact: true}, {Indent: "\t"}} {
			text, err := AppendJSON(nil, v, options)
			if err != nil {
				if s.Name != "depth-bomb" {
					t.Errorf("%s: %v", s.Name, err)
				}
				continue
			}
			controls := bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' && (r != '\n' && r != '\t' || options.Indent == "") })
			if !json.Valid(text) || !utf8.Valid(text) || controls {
				t.Errorf("%s: %+v: not valid: %.200q", s.Name, options, text)
			}
		}
	}
}

func huge(digits int) *BigInt {
	n := new(BigInt)
	n.Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
	n.Neg(&n.Int)
	return n
}

func TestJSONForms(t *testing.T) {
	shared := &List{Items: []Value{Int(1)}}
	loop := new(List)
	loop.Items = []Value{loop}
	own := Str(ownString("own"))
	for _, c := range []struct {
		name            string
		v               Value
		exact, readable string
	}{
		{"none", None{}, `null`, `null`},
		{"true", Bool(true), `true`, `true`},
		{"int", Int(-7), `-7`, `-7`},
		{"beyond 53 bits", Int(1<<53 + 1), `{"$int":"9007199254740993"}`, `9007199254740993`},
		{"float", Float(1.5), `1.5`, `1.5`},
		{"whole float", Float(2), `{"$float":"2.0"}`, `2.0`},
		{"minus zero", Float(math.Copysign(0, -1)), `{"$float":"-0.0"}`, `-0.0`},
		{"infinite", Float(math.Inf(-1)), `{"$float":"-inf"}`, `{"$float":"-inf"}`},
		{"nan", Float(math.Float64frombits(quietNaN)), `{"$float":"nan"}`, `{"$float":"nan"}`},
		{"other nan", Float(math.Float64frombits(0xfff0000000000001)), `{"$float":"0xfff0000000000001"}`, `{"$float":"0xfff0000000000001"}`},
		{"text", Str("a\"\\\n\x00\u202e\U000e0001é"), `"a\"\\\n\u0000\u202e\udb40\udc01é"`, `"a\"\\\n\u0000\u202e\udb40\udc01é"`},
		{"surrogates", Str("\\\xed\xa0\xbd\xed\xb8\x80"), `{"$escaped":"\\\\\\ud83d\\ude00"}`, `"\\\ud83d\ude00"`},
		{"bytes", Bytes("\x00'"), `{"$bytes":"ACc="}`, `{"$bytes":"b\"\\x00'\""}`},
		{"bytearray", &ByteArray{[]byte("a")}, `{"$bytearray":"YQ=="}`, `{"$bytearray":"b'a'"}`},
		{"bytestr", ByteStr("\xff"), `{"$bytestr":"/w=="}`, `{"$bytestr":"b'\\xff'"}`},
		{"tuple", &Tuple{[]Value{Int(1)}}, `{"$tuple":[1]}`, `[1]`},
		{"sets", &List{[]Value{&Set{}, &FrozenSet{[]Value{Int(1)}}}}, `[{"$set":[]},{"$frozenset":[1]}]`, `[{"$set":[]},{"$frozenset":[1]}]`},
		{"dict", &Dict{[]Item{{Str("a"), Int(1)}}}, `{"a":1}`, `{"a":1}`},
		{"other keys", &Dict{[]Item{{Int(1), None{}}}}, `{"$dict":[[1,null]]}`, `{"$dict":[[1,null]]}`},
		{"special key", &Dict{[]Item{{Str("$id"), None{}}}}, `{"$dict":[["$id",null]]}`, `{"$dict":[["$id",null]]}`},
		{"a key twice", &Dict{[]Item{{Str("a"), Int(1)}, {Str("a"), Int(2)}}}, `{"$dict":[["a",1],["a",2]]}`, `{"$dict":[["a",1],["a",2]]}`},
		{"import", Import{"m", "N"}, `{"$import":["m","N"]}`, `{"$import":"m.N"}`},
		{"persistent", PersistentID{Str("7")}, `{"$persistent":"7"}`, `{"$persistent":"7"}`},
		{"shared", &List{[]Value{shared, shared}}, `[{"$id":1,"$list":[1]},{"$ref":1}]`, `[{"$id":1,"$list":[1]},{"$ref":1}]`},
		{"loop", loop, `{"$id":1,"$list":[{"$ref":1}]}`, `{"$id":1,"$list":[{"$ref":1}]}`},
		{"one text", &List{[]Value{own, own}}, `["own","own"]`, `["own","own"]`},
		{"equal texts", &List{[]Value{own, own, Str(ownString("own"))}}, `[{"$id":1,"$str":"own"},{"$ref":1},{"$str":"own"}]`, `["own","own","own"]`},
		{
			"instance", &Object{Callable: Import{"m", "C"}, Args: new(Tuple), State: &Dict{[]Item{{Str("x"), Int(1)}}}},
			`{"$object":"newobj","callable":{"$import":["m","C"]},"state":{"x":1}}`, `{"$class":"m.C","x":1}`,
		},
		{
			"call", &Object{How: Reduce, Callable: Import{"m", "f"}, Args: &Tuple{[]Value{Int(1)}}},
			`{"$object":"reduce","callable":{"$import":["m","f"]},"args":[1]}`, `{"$call":"m.f","$args":[1]}`,
		},
		{
			"date", &Object{How: Reduce, Callable: Import{"datetime", "date"}, Args: &Tuple{[]Value{Bytes("\x07\xe8\x05\x01")}}},
			`{"$object":"reduce","callable":{"$import":["datetime","date"]},"args":[{"$bytes":"B+gFAQ=="}]}`,
			`{"$class":"datetime.date","$text":"2024-05-01"}`,
		},
		{
			"later", &Object{
				How: NewObjEx, Callable: Import{"m", "C"}, Args: &Tuple{[]Value{None{}}}, Kwargs: &Dict{[]Item{{Str("k"), Int(1)}}},
				ListItems: []Value{Int(2)}, DictItems: []Item{{Int(3), Int(4)}}, State: Int(5), StateSetter: Import{"m", "s"},
				Later: []Step{{SetItems: []Value{Int(6)}}},
			},
			`{"$object":"newobj_ex","callable":{"$import":["m","C"]},"args":[null],"kwargs":{"k":1},"list":[2],"dict":[[3,4]],"setter":{"$import":["m","s"]},"state":5,"later":[{"set":[6]}]}`,
			`{"$class":"m.C","$args":[null],"$kwargs":{"k":1},"$list":[2],"$dict":[[3,4]],"$setter":{"$import":"m.s"},"$state":5,"$later":[{"set":[6]}]}`,
		},
	} {
		exact, err := AppendJSON(nil, c.v, JSONOptions{Exact: true})
		if err != nil || string(exact) != c.exact {
			t.Errorf("%s: exact %s, %v, want %s", c.name, exact, err, c.exact)
		}
		if again, err := ParseJSON(exact); err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if err := sameGraph(c.v, again); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		readable, err := AppendJSON(nil, c.v, JSONOptions{})
		if err != nil || string(readable) != c.readable {
			t.Errorf("%s: readable %s, %v, want %s", c.name, readable, err, c.readable)
		}
	}
}

func TestParseJSONTolerates(t *testing.T) {
	for text, want := range map[string]string{
		" [ 1 , 2.0, 1e2 ,-0]\r\n": `[1,{"$float":"2.0"},{"$float":"100.0"},0]`,
		`"\u00e9\/\b\f\r\t"`:       `"é/\u0008\u000c\u000d\t"`,
		`"\ud800x"`:                `{"$escaped":"\\ud800x"}`,
		`"\ud83d\ude00\ud83d"`:     `{"$escaped":"😀\\ud83d"}`,
		`[{"$ref":2},{"$list":[{"$ref":1}],"$id":2},{"$dict":{},"$id":1}]`: `[{"$id":1,"$list":[{"$id":2,"$dict":{}}]},{"$ref":1},{"$ref":2}]`,
		`{"a":1,"a":2}`:         `{"$dict":[["a",1],["a",2]]}`,
		`{"$int":"-0xff"}`:      `-255`,
		`123456789012345678901`: `{"$int":"123456789012345678901"}`,
	} {
		v, err := ParseJSON([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := AppendJSON(nil, v, JSONOptions{Exact: true}); err != nil || string(got) != want {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
}

func TestParseJSONRefuses(t *testing.T) {
	for text, says := range map[string]string{
		``: "ends too early", ` `: "ends too early", `nul`: "not a value", `1 2`: "follows",
		`"`: "ends inside", `"\`: "ends inside", `"\x"`: "escape", `"\u12"`: "escape", "\"\n\"": "control", "\"\xff\"": "UTF-8",
		`[1`: "comma", `[1,]`: "not a value", `{"a"}`: "colon", `{a:1}`: "quotes", `{"a":1`: "comma", `01`: "follows", `1.`: "number", `-`: "number", `1e`: "number",
		`1e999`: "64 bits", `{"$int":"x"}`: "integer", `{"$int":1}`: "wants a string", `{"$int":"--1"}`: "integer", `{"$int":"1_0"}`: "integer",
		`{"$float":"0x0"}`: "NaN", `{"$float":"1e"}`: "float", `{"$bytes":"A"}`: "base64", `{"$escaped":"\\n"}`: "escapes",
		`{"$set":1}`: "array", `{"$dict":1}`: "pairs", `{"$dict":[[1]]}`: "pair", `{"$dict":{"$a":1}}`: "pairs", `{"$import":["a"]}`: "module",
		`{"$class":"a.B"}`: "exact form", `{"$list":[],"x":1}`: "beside", `{"$ref":1}`: "no $id", `{"$id":1,"$persistent":{"$ref":1}}`: "hold itself",
		`[{"$id":1,"$list":[]},{"$id":1,"$list":[]}]`: "alone", `{"$id":1}`: "names nothing",
		`{"$object":"made"}`: "one of", `{"$object":"newobj"}`: "callable", `{"$object":"newobj","callable":1,"args":{}}`: "args",
		`{"$object":"newobj","callable":1,"kwargs":1}`: "kwargs", `{"$object":"newobj","callable":1,"later":1}`: "array",
		`{"$object":"newobj","callable":1,"later":[1]}`: "object", `{"$object":"newobj","callable":1,"later":[{"x":1}]}`: "beside",
		`{"$object":"newobj","callable":1,"callable":2}`:          "twice",
		strings.Repeat("[", 20_000):                               "ends too early",
		strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000): "levels deep",
		strings.Repeat("[", 100_000):                              "nested",
		`{"$int":"` + strings.Repeat("1", 5000) + `"}`:            "hexadecimal",
	} {
		_, err := ParseJSON([]byte(text))
		var syntax *JSONError
		if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(text) || !strings.Contains(err.Error(), says) {
			t.Errorf("%.60s: %v, want %q", text, err, says)
		}
	}
}

func TestAppendJSONRefuses(t *testing.T) {
	deep := &List{}
	for range 100_000 {
		deep = &List{Items: []Value{deep}}
	}
	for says, v := range map[string]Value{
		"nil Value": nil, "nil pointer": (*List)(nil), "UTF-8": Str("\xff"), "levels deep": deep,
		"a nil Value": &Object{}, "no known way": &Object{How: 9, Callable: None{}},
	} {
		got, err := AppendJSON([]byte("x"), v, JSONOptions{})
		var refused *JSONError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), says) || string(got) != "x" {
			t.Errorf("%s: %q, %v", says, got, err)
		}
	}
}

// TestJSONGrowth: what two bytes fetch from the memo again and again does not
// come out at its full length each time.
func TestJSONGrowth(t *testing.T) {
	for name, v := range map[string]Value{
		"text": Str(strings.Repeat("x", 10_000)), "bytes": Bytes(strings.Repeat("x", 10_000)), "int": huge(10_000),
		"import":  Import{"m", strings.Repeat("x", 1000)},
		"decimal": newCall("decimal", "Decimal", Str(strings.Repeat("9", 10_000))),
		"class":   &Object{Callable: Import{"m", strings.Repeat("x", 1000)}},
	} {
		items := make([]Value, 10_000)
		for i := range items {
			items[i] = v
			if o, ok := v.(*Object); ok {
				again := *o // another object, of the same parts
				items[i] = &again
			}
		}
		for _, exact := range []bool{false, true} {
			text, err := AppendJSON(nil, &List{Items: items}, JSONOptions{Exact: exact})
			if err != nil || len(text) > 2_000_000 {
				t.Errorf("%s: %d bytes, %v", name, len(text), err)
			}
		}
	}
	// Thirty lists, each twice in the next.
	twice := &List{}
	for range 30 {
		twice = &List{Items: []Value{twice, twice}}
	}
	if text, err := AppendJSON(nil, twice, JSONOptions{}); err != nil || len(text) > 2000 {
		t.Errorf("doubled: %d bytes, %v", len(text), err)
	}
}

// FuzzParseJSON: whatever the text, there is a value that can be written and
// read again, or a JSONError.
func FuzzParseJSON(f *testing.F) {
	for _, seed := range []string{
		`[1,2.5,null,true,"a",{"a":1}]`, `{"$id":1,"$list":[{"$ref":1}]}`, `{"$escaped":"\\ud800"}`, `"\ud800"`,
		`{"$object":"newobj","callable":{"$import":["m","C"]},"args":[1],"state":{"x":{"$bytes":"AA=="}}}`,
		`{"$dict":[[{"$tuple":[]},{"$set":[{"$int":"0x1"}]}]]}`, `{"$float":"nan"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := ParseJSON(text)
		if err != nil {
			var syntax *JSONError
			if !errors.As(err, &syntax) || syntax.Offset < 0 || syntax.Offset > len(text) {
				t.Fatalf("error %#v", err)
			}
			return
		}
		exact, err := AppendJSON(nil, v, JSONOptions{Exact: true})
		if err != nil {
			if strings.Contains(err.Error(), "levels deep") {
				return // Args are a level there
			}
			t.Fatal(err)
		}
		again, err := ParseJSON(exact)
		if err == nil {
			err = sameGraph(v, again)
		}
		if err != nil {
			t.Fatalf("%s: %v", exact, err)
		}
	})
}
