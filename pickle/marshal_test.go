package pickle

import (
	"errors"
	"github.com/google/go-cmp/cmp"
	"math/big"
	"pgregory.net/rapid"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones that the tests name
)

type cartLine struct {
	SKU string `pickle:"sku"`
	N   int    `pickle:"n"`
}

type point struct{ X, Y int }

type color struct{ Value any }

type everything struct {
	Bool    bool           `pickle:"bool"`
	Int     int            `pickle:"int"`
	Small   int8           `pickle:"small"`
	Big     *big.Int       `pickle:"big"`
	Float   float64        `pickle:"float"`
	Text    string         `pickle:"text"`
	Bytes   []byte         `pickle:"bytes"`
	Lines   []*cartLine    `pickle:"lines"`
	Counts  map[string]int `pickle:"counts"`
	When    time.Time      `pickle:"when"`
	Clock   time.Time      `pickle:"clock"`
	Day     Date           `pickle:"day"`
	Wait    time.Duration  `pickle:"wait"`
	Total   Decimal        `pickle:"total"`
	Token   UUID           `pickle:"token"`
	Share   *big.Rat       `pickle:"share"`
	Complex complex128     `pickle:"complex"`
	At      point          `pickle:"at"`
	Color   color          `pickle:"color"`
	Pair    [2]string      `pickle:"pair"`
	None    *cartLine      `pickle:"none"`
	Any     any            `pickle:"any"`
	Empty   string         `pickle:"empty,omitempty"`
	Hidden  int            `pickle:"-"`
}

func shopRegistry() *Registry {
	r := new(Registry)
	r.Register(Import{"shop", "Line"}, cartLine{}, Instance)
	r.Register(Import{"shop", "Everything"}, everything{}, Instance)
	r.Register(Import{"shop", "Point"}, point{}, NamedTuple)
	r.Register(Import{"shop", "Color"}, color{}, Call)
	return r
}

func TestMarshalRoundTrip(t *testing.T) {
	line := &cartLine{"a", 2}
	in := &everything{
		Bool: true, Int: -5, Small: -128, Big: new(big.Int).Lsh(big.NewInt(-1), 99), Float: 1.5,
		Text: "señor", Bytes: []byte{0, 255}, Lines: []*cartLine{line, line, nil},
		Counts: map[string]int{"b": 2, "a": 1},
		When:   time.Date(2024, 2, 29, 23, 59, 58, 123456000, time.UTC),
		Clock:  time.Date(1, 1, 1, 0, 0, 0, 0, Naive),
		Day:    Date{2024, 2, 29}, Wait: -36*time.Hour + time.Microsecond, Total: "9.90",
		Token: UUID{1, 2, 15: 255}, Share: big.NewRat(-1, 3), Complex: complex(1, -2),
		At: point{3, 4}, Color: color{"red"}, Pair: [2]string{"x", "y"},
		Any: map[string]any{"n": int64(5), "l": []any{"x", nil, 2.5}},
	}
	r := shopRegistry()
	data, err := Marshal(in, r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(data, Limits{}); err != nil {
		t.Error(err)
	}
	out := &everything{Hidden: 7, Empty: "kept"}
	if err := Unmarshal(data, &out, UnmarshalOptions{Registry: r}); err != nil {
		t.Fatal(err)
	}
	want := *in
	compare := []cmp.Option{
		cmp.Comparer(func(a, b *big.Int) bool { return a.Cmp(b) == 0 }),
		cmp.Comparer(func(a, b *big.Rat) bool { return a.Cmp(b) == 0 }),
	}
	if diff := cmp.Diff(&want, out, compare...); diff != "" {
		t.Error(diff)
	}
	if out.Lines[0] != out.Lines[1] {
		t.Error("one object has become two")
	}
	if out.Clock.Location() != Naive || out.When.Location() != time.UTC {
		t.Errorf("locations %v and %v", out.Clock.Location(), out.When.Location())
	}
}

// TestUnmarshalPython reads what CPython wrote of the same types.
func TestUnmarshalPython(t *testing.T) {
	type session struct {
		User    *string         `pickle:"user"`
		Access  float64         `pickle:"_access_time"`
		Tokens  []string        `pickle:"_form_tokens"`
		Total   Decimal         `pickle:"total"`
		Token   UUID            `pickle:"token"`
		Last    time.Time       `pickle:"last"`
		Seen    []int           `pickle:"seen"`
		At      [2]int          `pickle:"at"`
		Color   int             `pickle:"color"`
		Cart    []*cartLine     `pickle:"cart"`
		Missing map[string]bool `pickle:"missing"`
	}
	r := new(Registry)
	r.Register(Import{"myapp.sessions", "Cart.Line"}, cartLine{}, Instance)
	for _, s := range readSamples(t, "testdata/good.jsonl.gz") {
		if !strings.HasSuffix(s.Name, "/shop") || !strings.HasPrefix(s.Name, "3.6") && !strings.HasPrefix(s.Name, "3.12") {
			continue
		}
		var got session
		if err := Unmarshal(s.data, &got, UnmarshalOptions{Registry: r}); err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		want := session{
			Access: 1700000100.5, Tokens: []string{}, Total: "9.99", Token: UUID{15: 7},
			Last: time.Date(2024, 1, 1, 0, 0, 0, 0, Naive), Seen: []int{1, 2}, At: [2]int{1, 2}, Color: 1,
			Cart: []*cartLine{{"a", 1}, {"b", 2}},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", s.Name, diff)
		}
	}
}

func TestUnmarshalErrors(t *testing.T) {
	var (
		number int8
		text   string
		line   cartLine
		lines  []cartLine
		pair   [2]int
		m      map[any]any
	)
	registered := shopRegistry()
	tests := []struct {
		name   string
		data   string
		target any
		r      *Registry
		want   string
	}{
		{"not a pointer", "N.", number, nil, "not a pointer"},
		{"overflow", "I128\n.", &number, nil, "does not fit into a int8"},
		{"text into a number", "Va\n.", &number, nil, "a str does not go into a int8"},
		{"None into text", "N.", &text, nil, "a none does not go"},
		{"path", "((dVn\nVx\nsl.", &lines, nil, "[0].n: a str"},
		{"another class", "\x80\x02cshop\nPoint\n)\x81.", &line, registered, "a shop.Point does not go"},
		{"too few", "(I1\nt.", &pair, nil, "1 elements for a [2]int"},
		{"unhashable", "((I1\ntI1\nd.", &m, nil, "cannot be the key"},
		{"cut", "(", &m, nil, "ends before STOP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Unmarshal([]byte(tt.data), tt.target, UnmarshalOptions{Registry: tt.r})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// TestShared: lists that each hold the one before twice are read in time
// linear in their number, and lists that hold themselves at all.
func TestShared(t *testing.T) {
	var v Value = new(List)
	for range 200 {
		v = &List{Items: []Value{v, v}}
	}
	var lists any
	if err := FromValue(v, &lists, nil); err != nil {
		t.Fatal(err)
	}
	loop := new(List)
	loop.Items = []Value{loop}
	if err := FromValue(loop, &lists, nil); err != nil {
		t.Fatal(err)
	}
	if inner := lists.([]any)[0].([]any); &inner[0] != &lists.([]any)[0] {
		t.Error("the loop is not closed")
	}
	type node struct{ Next *node }
	n := new(node)
	n.Next = n
	data, err := Marshal(n, nil)
	if err != nil {
		t.Fatal(err)
	}
	var back *node
	if err := Unmarshal(data, &back, UnmarshalOptions{}); err != nil || back.Next != back {
		t.Errorf("%v, %v", back, err)
	}
	deep := []any{nil}
	deep[0] = deep
	var convert *ConvertError
	if _, err := Marshal(deep, nil); !errors.As(err, &convert) {
		t.Errorf("got %v", err)
	}
}

// TestCollections: what the constructors make is read back as Go maps and slices.
func TestCollections(t *testing.T) {
	a := Item{Str("a"), Int(1)}
	for name, v := range map[string]Value{
		"OrderedDict": NewOrderedDict(a), "defaultdict": NewDefaultDict(Import{"builtins", "int"}, a),
		"Counter": NewCounter(a), "namespace": NewNamespace(a), "dict": &Dict{Items: []Item{a}},
	} {
		var m map[string]int
		if err := FromValue(v, &m, nil); err != nil || m["a"] != 1 || len(m) != 1 {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	for name, v := range map[string]Value{
		"deque": NewDeque(Int(1), Int(2)), "range": NewRange(1, 3, 1), "set": &Set{Items: []Value{Int(1), Int(2)}},
	} {
		var s []int
		if err := FromValue(v, &s, nil); err != nil || len(s) != 2 || s[0] != 1 || s[1] != 2 {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	var s []int
	if err := FromValue(NewRange(0, 1<<40, 1), &s, nil); err == nil {
		t.Error("a range of 2^40 was expanded")
	}
	var e string
	if err := FromValue(NewEnum(Import{"shop", "Color"}, Str("red")), &e, nil); err != nil || e != "red" {
		t.Errorf("%q, %v", e, err)
	}
}

// TestFold: the bit that marks the second of two equal clock readings is not
// part of the month, and says which of two instants is meant.
func TestFold(t *testing.T) {
	madrid := newCall("zoneinfo", "ZoneInfo._unpickle", Str("Europe/Madrid"), Int(1))
	tests := []struct {
		name  string
		bytes Bytes
		zone  []Value
		want  string // with the offset, of which naive ones have none
	}{
		{"naive", "\x07\xe8\x0a\x1b\x02\x1e\x00\x00\x00\x00", nil, "2024-10-27T02:30:00 naive"},
		{"naive, fold", "\x07\xe8\x8a\x1b\x02\x1e\x00\x00\x00\x00", nil, "2024-10-27T02:30:00 naive, fold=1"},
		{"first", "\x07\xe8\x0a\x1b\x02\x1e\x00\x00\x00\x00", []Value{madrid}, "2024-10-27T02:30:00 CEST"},
		{"second", "\x07\xe8\x8a\x1b\x02\x1e\x00\x00\x00\x00", []Value{madrid}, "2024-10-27T02:30:00 CET"},
		{"no second", "\x07\xe8\x8a\x1b\x04\x1e\x00\x00\x00\x00", []Value{madrid}, "2024-10-27T04:30:00 CET"},
		{"summer", "\x07\xe8\x87\x1b\x04\x1e\x00\x00\x00\x00", []Value{madrid}, "2024-07-27T04:30:00 CEST"},
	}
	for _, tt := range tests {
		var got time.Time
		err := FromValue(newCall("datetime", "datetime", append([]Value{tt.bytes}, tt.zone...)...), &got, nil)
		if s := got.Format("2006-01-02T15:04:05 MST"); err != nil || s != tt.want {
			t.Errorf("%s: got %s, %v", tt.name, s, err)
		}
	}
	for name, b := range map[string]Bytes{"month 13": "\x07\xe8\x0d\x1b\x02\x1e\x00\x00\x00\x00", "hour 24": "\x07\xe8\x0a\x1b\x18\x1e\x00\x00\x00\x00"} {
		var got time.Time
		if err := FromValue(newCall("datetime", "datetime", b), &got, nil); err == nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

// TestPython2: text or bytes, as the option says, and the forms in which
// Python 2 writes what Python 3 writes otherwise.
func TestPython2(t *testing.T) {
	const data = "(dp0\nS'name'\np1\nS'se\\xc3\\xb1or'\np2\ns."
	for option, want := range map[Python2Strings]any{
		Python2Keep: "señor", Python2UTF8: "señor", Python2Latin1: "se\u00c3\u00b1or", Python2Bytes: []byte("señor"),
	} {
		var got map[any]any
		if err := Unmarshal([]byte(data), &got, UnmarshalOptions{DecodeOptions: DecodeOptions{Python2: option}}); option == Python2Bytes {
			if err == nil {
				t.Error("a map with keys of bytes was made")
			}
			continue
		} else if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(map[any]any{"name": want}, got); diff != "" {
			t.Errorf("%v: %s", option, diff)
		}
	}
	var fields struct {
		Name []byte `pickle:"name"`
	}
	if err := Unmarshal([]byte(data), &fields, UnmarshalOptions{}); err != nil || string(fields.Name) != "señor" {
		t.Errorf("%q, %v", fields.Name, err)
	}
	tests := []struct {
		group string
		want  any
	}{
		{"standard/ordered", []any{map[string]any{}, map[string]any{"a": []any{int64(2)}, "b": int64(1)}}},
		{"standard/deque", []any{
			&Deque{Items: []any{int64(1), int64(2)}}, &Deque{Items: []any{int64(1)}, MaxLen: 5}, &Deque{Items: []any{}},
		}},
		{"standard/counter", []any{map[string]any{"h": int64(1), "e": int64(1), "l": int64(2), "o": int64(1)}, map[string]any{}}},
	}
	met := 0
	for _, s := range readSamples(t, "testdata/adversary.jsonl.gz") {
		for _, tt := range tests {
			if s.Python != "2.7" || s.group() != tt.group {
				continue
			}
			met++
			var got any
			if err := Unmarshal(s.data, &got, UnmarshalOptions{}); err != nil {
				t.Errorf("%s: %v", s.Name, err)
			} else if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: %s", s.Name, diff)
			}
		}
	}
	if met < len(tests) {
		t.Errorf("only %d samples", met)
	}
}

// TestDeque: one deque stays one, and may hold itself.
func TestDeque(t *testing.T) {
	d := &Deque{MaxLen: 3}
	d.Items = []any{d, int64(1)}
	data, err := Marshal([]any{d, d}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []any
	if err := Unmarshal(data, &got, UnmarshalOptions{}); err != nil {
		t.Fatal(err)
	}
	back, ok := got[0].(*Deque)
	if !ok || got[1] != any(back) || back.MaxLen != 3 || len(back.Items) != 2 || back.Items[0] != any(back) {
		t.Errorf("%v", got)
	}
	for _, d := range []Deque{{MaxLen: -1}, {Items: []any{make(chan int)}}} {
		var convert *ConvertError
		if _, err := Marshal(d, nil); !errors.As(err, &convert) {
			t.Errorf("%v", err)
		}
	}
	var kept any
	if err := FromValue(NewBoundedDeque(1, Int(1), Int(2)), &kept, nil); err != nil || kept.(*Deque).Items[0] != int64(2) {
		t.Errorf("%v, %v", kept, err)
	}
}

func TestTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom([]*time.Location{time.UTC, Naive, time.FixedZone("", -3600), time.FixedZone("EET", 7200)}).Draw(t, "zone")
		in := time.UnixMicro(rapid.Int64Range(-62_000_000_000_000_000, 250_000_000_000_000_000).Draw(t, "us")).In(zone)
		wait := time.Duration(rapid.Int64Range(-1<<52, 1<<52).Draw(t, "wait")) * time.Microsecond
		data, err := Marshal([]any{in, wait}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var out []any
		if err := Unmarshal(data, &out, UnmarshalOptions{}); err != nil {
			t.Fatal(err)
		}
		got, ok := out[0].(time.Time)
		if !ok || !got.Equal(in) || got.Format(time.RFC3339Nano) != in.Format(time.RFC3339Nano) {
			t.Fatalf("%v from %v", out[0], in)
		}
		if out[1] != wait {
			t.Fatalf("%v from %v", out[1], wait)
		}
	})
}

// TestMemberByName: Python 3.11.0 to 3.11.3 write an Enum's member as
// getattr(class, "NAME"), from protocol 4 on as a call that is kept, below as
// an import.
func TestMemberByName(t *testing.T) {
	r := new(Registry)
	r.Register(Import{"shop", "Color"}, color{}, Call)
	r.RegisterMember(Import{"shop", "Color.RED"}, color{"red"})
	for _, data := range []string{
		"c__builtin__\ngetattr\n(cshop\nColor\nVRED\ntR.",
		"\x80\x04\x8c\x08builtins\x8c\x07getattr\x93\x8c\x04shop\x8c\x05Color\x93\x8c\x03RED\x86R.",
		"\x80\x04\x8c\x04shop\x8c\x05Color\x93\x8c\x03red\x85R.",
	} {
		var typed color
		var pointer *color
		var plain any
		for _, target := range []any{&typed, &pointer, &plain} {
			if err := Unmarshal([]byte(data), target, UnmarshalOptions{Registry: r}); err != nil {
				t.Fatalf("%q: %v", data, err)
			}
		}
		if any, ok := plain.(*color); typed.Value != "red" || pointer.Value != "red" || !ok || any.Value != "red" {
			t.Errorf("%q: %v, %v, %v", data, typed, pointer, plain)
		}
	}
	var typed color
	if err := Unmarshal([]byte("c__builtin__\ngetattr\n(cshop\nColor\nVBLUE\ntR."), &typed, UnmarshalOptions{Registry: r}); err == nil {
		t.Errorf("an unknown member is %v", typed)
	}
}
