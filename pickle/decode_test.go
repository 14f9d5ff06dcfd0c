package pickle

import (
	"errors"
	"io"
	"math/big"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestDecode(t *testing.T) {
	class := Import{"m", "C"}
	object := func(o Object) *Object {
		if o.Callable == nil {
			o.Callable = class
		}
		if o.Args == nil {
			o.Args = new(Tuple)
		}
		return &o
	}
	const c = "\x80\x04\x8c\x01m\x8c\x01C\x93"
	big65 := &BigInt{}
	big65.Lsh(big.NewInt(-1), 64)
	tests := []struct {
		name, data string
		python2    Python2Strings
		want       Value
	}{
		{"bool in text", "I01\n.", 0, Bool(true)},
		{"long in text", "L-18446744073709551616L\n.", 0, big65},
		{"long of no bytes", "\x80\x02\x8a\x00.", 0, Int(0)},
		{"long of eight bytes", "\x80\x02\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x80.", 0, Int(-1 << 63)},
		{"long of nine bytes", "\x80\x02\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\xff.", 0, big65},
		{"long with sign bytes", "\x80\x02\x8a\x0a\xfe\xff\xff\xff\xff\xff\xff\xff\xff\xff.", 0, Int(-2)},
		{"lone surrogate", "\x80\x04\x8c\x03\xed\xa0\x80.", 0, Str("\xed\xa0\x80")},
		{"lone surrogate, escaped", "V\\ud800\xe9\\x\\U0001f600\n.", 0, Str("\xed\xa0\x80é\\x😀")},
		{"str of Python 2", "S'\\xe9\\n\\'\\101\\q'\n.", 0, ByteStr("\xe9\n'A\\q")},
		{"as Latin-1", "U\x01\xe9.", Python2Latin1, Str("é")},
		{"as UTF-8", "U\x02\xc3\xa9.", Python2UTF8, Str("é")},
		{"as bytes", "T\x01\x00\x00\x00\xe9.", Python2Bytes, Bytes("\xe9")},
		{"as ASCII", "U\x01a.", Python2ASCII, Str("a")},
		{"bytes by a call", "\x80\x02c_codecs\nencode\nX\x02\x00\x00\x00\xc3\xa9X\x06\x00\x00\x00latin1\x86R.", 0, Bytes("\xe9")},
		{"no bytes, by a call", "\x80\x02c__builtin__\nbytes\n)R.", 0, Bytes("")},
		{"set by a call", "\x80\x03cbuiltins\nset\n]K\x01a\x85R.", 0, &Set{Items: []Value{Int(1)}}},
		{"bytearray", "\x80\x05\x96\x01\x00\x00\x00\x00\x00\x00\x00x.", 0, &ByteArray{Data: []byte("x")}},
		{"nested class by a call", "\x80\x03cbuiltins\ngetattr\ncm\nC\nX\x01\x00\x00\x00D\x86R.", 0, Import{"m", "C.D"}},
		{"persistent id in text", "Pid\n.", 0, PersistentID{Str("id")}},
		{"persistent id", "K\x05Q.", 0, PersistentID{Int(5)}},
		{"renamed", "c__builtin__\nxrange\n.", 0, Import{"builtins", "range"}},
		{"instance", c + ")\x81}b.", 0, object(Object{State: new(Dict)})},
		{"keywords", c + ")}\x92.", 0, object(Object{How: NewObjEx, Kwargs: new(Dict)})},
		{"INST", "(I1\nim\nC\n.", 0, object(Object{How: Inst, Args: &Tuple{Items: []Value{Int(1)}}})},
		{"OBJ", "(cm\nC\nK\x01o.", 0, object(Object{How: Obj, Args: &Tuple{Items: []Value{Int(1)}}})},
		{"items", c + ")R(K\x01eK\x02NsNb.", 0, object(Object{
			How: Reduce, ListItems: []Value{Int(1)}, DictItems: []Item{{Int(2), None{}}}, State: None{}})},
		{"out of the usual order", c + ")R}bK\x01aK\x02Ns(K\x03\x90Nb.", 0, object(Object{
			How: Reduce, State: new(Dict), Later: []Step{
				{ListItems: []Value{Int(1)}}, {DictItems: []Item{{Int(2), None{}}}},
				{SetItems: []Value{Int(3)}}, {State: None{}}}})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Decode([]byte(tt.data), DecodeOptions{Python2: tt.python2})
			if err != nil {
				t.Fatal(err)
			}
			if err := sameGraph(tt.want, got); err != nil {
				t.Fatal(err)
			}
			for protocol := range 6 {
				b, err := Append(nil, tt.want, protocol)
				if err != nil {
					if protocol == 0 && tt.name == "persistent id" {
						continue
					}
					t.Fatal(err)
				}
				again, err := Decode(b, DecodeOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if err := sameGraph(tt.want, again); err != nil {
					t.Errorf("protocol %d: %v", protocol, err)
				}
			}
		})
	}
}

// TestStateSetter: what save_reduce writes for the sixth item of a reduce
// value, of an object that is then met again.
func TestStateSetter(t *testing.T) {
	const data = "\x80\x04](\x8c\x01m\x8c\x01C\x93)R\x94\x8c\x01m\x8c\x01f\x93h\x00K\x05\x86R0h\x00e."
	v, err := Decode([]byte(data), DecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	items := v.(*List).Items
	o := items[0].(*Object)
	if o.State != Int(5) || o.StateSetter != (Import{"m", "f"}) || items[1] != items[0] {
		t.Errorf("%+v", o)
	}
}

func TestDecodeErrors(t *testing.T) {
	tests := []struct {
		name, data, opcode, reason string
		offset                     int
	}{
		{"empty", "", "", "empty", 0},
		{"cut", "\x80\x04]", "", "ends before STOP", 3},
		{"cut argument", "NJ\x00", "BININT", "ends before STOP", 1},
		{"length bomb", "\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", "BINBYTES8", "ends before STOP", 2},
		{"unknown", "\xff", "", "no such opcode", 0},
		{"beyond its frame", "\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00K\x05.", "BININT1", "beyond its frame", 11},
		{"extension code", "\x80\x02\x82\x01.", "EXT1", "extension codes", 2},
		{"out of band", "\x80\x05\x97.", "NEXT_BUFFER", "out-of-band", 2},
		{"underflow", "0.", "POP", "underflow", 0},
		{"below the mark", "N(\x85.", "TUPLE1", "underflow", 2},
		{"memo below the mark", "N(\x94.", "MEMOIZE", "underflow", 2},
		{"put below the mark", "N(q\x00.", "BINPUT", "underflow", 2},
		{"no mark", "t.", "TUPLE", "no MARK", 0},
		{"left over", "NN.", "STOP", "left on the stack", 2},
		{"memo", "h\x05.", "BINGET", "no such memo entry", 0},
		{"odd", "(Nd.", "DICT", "without a value", 2},
		{"computed name", "\x80\x04N\x8c\x01a\x93.", "STACK_GLOBAL", "not text", 6},
		{"built onto a class", "cm\nC\n}b.", "BUILD", "not an object made here", 6},
		{"appended to a tuple", ")Na.", "APPEND", "neither a list", 2},
		{"not UTF-8", "X\x01\x00\x00\x00\xff.", "BINUNICODE", "not UTF-8", 0},
		{"number", "I0x10\n.", "INT", "not an integer", 0},
		{"minus nothing", "I-0\n.", "INT", "not an integer", 0},
		{"leading nought", "L07L\n.", "LONG", "not an integer", 0},
		{"late PROTO", "N\x80\x02.", "PROTO", "first, and once", 1},
		{"arguments", "cm\nC\nNR.", "REDUCE", "not a tuple", 6},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Decode([]byte(tt.data), DecodeOptions{})
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("got %v", err)
			}
			if syntax.Offset != tt.offset || syntax.Opcode != tt.opcode || !strings.Contains(syntax.Reason, tt.reason) {
				t.Errorf("got %+v", syntax)
			}
			cut := strings.Contains(tt.reason, "ends before") || tt.name == "empty"
			if cut != errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("cut: %v", err)
			}
			if cut {
				return
			}
			// Far from the end, opcodes are read by different code.
			_, err = Decode(append([]byte(tt.data), make([]byte, 100)...), DecodeOptions{})
			var far *SyntaxError
			if !errors.As(err, &far) || *far != *syntax {
				t.Errorf("with more after it: %v", err)
			}
		})
	}
	for name, c := range map[string]struct {
		limits Limits
		data   string
	}{
		"MaxBytes":  {Limits{MaxBytes: 1}, "N."},
		"MaxDepth":  {Limits{MaxDepth: 2}, ")\x85\x85."},
		"MaxMemo":   {Limits{MaxMemo: 1}, "N\x94\x94."},
		"MaxDigits": {Limits{MaxDigits: 30}, "L" + strings.Repeat("7", 31) + "L\n."},
	} {
		_, err := Decode([]byte(c.data), DecodeOptions{Limits: c.limits})
		var limit *LimitError
		if !errors.As(err, &limit) || limit.Limit != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAppendErrors(t *testing.T) {
	var deep Value = None{}
	for range maxNesting + 1 {
		deep = &Tuple{Items: []Value{deep}}
	}
	digits := new(BigInt)
	digits.Lsh(big.NewInt(1), 20_000)
	tests := []struct {
		name     string
		v        Value
		protocol int
	}{
		{"protocol", None{}, 6},
		{"nil", &List{Items: []Value{nil}}, 4},
		{"nil pointer", (*List)(nil), 4},
		{"deep", deep, 4},
		{"not UTF-8", Str("\xff"), 4},
		{"digits", digits, 1},
		{"a line in a name", Import{"m\n", "C"}, 3},
		{"a name beyond ASCII", Import{"m", "ñ"}, 2},
		{"a name of Python 2", Import{"Queue", "Queue"}, 2},
		{"a persistent id", PersistentID{Int(5)}, 0},
		{"no callable", new(Object), 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := Append([]byte("x"), tt.v, tt.protocol)
			var refused *EncodeError
			if !errors.As(err, &refused) || string(out) != "x" {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
}

// TestDecodeBounded: what a megabyte can ask for stays a small multiple of it.
func TestDecodeBounded(t *testing.T) {
	const size = 1 << 20
	repeat := func(head, body string) []byte {
		return []byte(head + strings.Repeat(body, (size-len(head))/len(body)) + ".")
	}
	tests := map[string][]byte{
		"marks":            repeat("", "("),
		"memo, ever again": repeat("N", "\x94"),
		"memo, sparse":     repeat("N", "r\xff\xff\x01\x00r\xfe\xff\x01\x00"),
		"tuples":           repeat("", ")\x85"),
		"lists":            repeat("", "]"),
		"doubling":         repeat(")", "2\x86"),
		"small batches":    repeat("]", "(NNe"),
		"attributes":       repeat("c__builtin__\ngetattr\np1\n0ca\nB\np0\n", "0g1\n(g0\nVC\ntRp0\n"),
		"large sets":       repeat("]("+strings.Repeat("N", 300_000)+"ep1\n0c__builtin__\nset\np0\n", "0g0\n(g1\ntR"),
		"large bytes":      repeat("V"+strings.Repeat("\xe9", 300_000)+"\np1\n0Vlatin1\np2\n0c_codecs\nencode\np0\n", "0g0\n(g1\ng2\ntR"),
		"large bytearrays": repeat("V"+strings.Repeat("\xe9", 300_000)+"\np1\n0Vlatin1\np2\n0c__builtin__\nbytearray\np0\n", "0g0\n(g1\ng2\ntR"),
		"sets":             repeat("](NNNNNNNNep1\n0c__builtin__\nset\np0\n", "0g0\n(g1\ntR"),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			v, err := Decode(data, DecodeOptions{})
			if err == nil {
				_, err = Append(nil, v, 4)
			}
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if spent := after.TotalAlloc - before.TotalAlloc; spent > 400*size {
				t.Errorf("allocated %d bytes: %v", spent, err)
			}
			if took > 5*time.Second {
				t.Errorf("took %v: %v", took, err)
			}
		})
	}
}

// TestMadeAgain: a call that is thrown away since its object was made inside
// its own arguments is not taken for a state setter.
func TestMadeAgain(t *testing.T) {
	const other, f = "\x8c\x01m\x8c\x01C\x93)R\x94", "\x8c\x01m\x8c\x01f\x93"
	const data = "\x80\x04](" + other + f + "h\x00]\x94" + f + "h\x00h\x01\x86R\x94a\x86R0h\x02e."
	v, err := Decode([]byte(data), DecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if o := v.(*List).Items[0].(*Object); o.State != nil || o.StateSetter != nil {
		t.Errorf("%+v", o)
	}
}

// TestLongNames: Decode and Verify bound the names of imports alike.
func TestLongNames(t *testing.T) {
	for n, want := range map[int]bool{maxName - 1: true, maxName: false} {
		data := []byte("cm\n" + strings.Repeat("N", n) + "\n.")
		_, verified := Verify(data, Limits{})
		_, decoded := Decode(data, DecodeOptions{})
		if (verified == nil) != want || (decoded == nil) != want {
			t.Errorf("%d bytes: Verify: %v; Decode: %v", n+1, verified, decoded)
		}
	}
}

// TestAttributesTwice: two calls of getattr below protocol 4 may have got two
// objects, of which the class of an instance can be told all the same.
func TestAttributesTwice(t *testing.T) {
	const get = "cbuiltins\ngetattr\ncm\nC\nX\x01\x00\x00\x00D\x86R"
	v, err := Decode([]byte("\x80\x03("+get+get+")\x81t."), DecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	items := v.(*Tuple).Items
	if items[0] != (Import{"m", "C.D"}) {
		t.Errorf("the first is %v", items[0])
	}
	if class, ok := items[1].(*Object).Class(); !ok || class != (Import{"m", "C.D"}) {
		t.Errorf("the class of the second is %v, %v", class, ok)
	}
}
