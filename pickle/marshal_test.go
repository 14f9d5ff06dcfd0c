package pickle

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
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
	if err := Unmarshal(data, &out, r); err != nil {
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
		if err := Unmarshal(s.data, &got, r); err != nil {
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
			err := Unmarshal([]byte(tt.data), tt.target, tt.r)
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
	if err := Unmarshal(data, &back, nil); err != nil || back.Next != back {
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
// part of the month.
func TestFold(t *testing.T) {
	var got time.Time
	err := FromValue(newCall("datetime", "datetime", Bytes("\x07\xe8\x8a\x1b\x02\x00\x00\x00\x00\x00")), &got, nil)
	if want := time.Date(2024, 10, 27, 2, 0, 0, 0, Naive); err != nil || !got.Equal(want) {
		t.Errorf("%v, %v", got, err)
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
		if err := Unmarshal(data, &out, nil); err != nil {
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

// TestMarshalInPython: CPython loads what Marshal writes as what is meant.
func TestMarshalInPython(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("this test compares with CPython: python3 is not in PATH")
	}
	a := Item{Str("a"), Int(1)}
	when := time.Date(2024, 2, 29, 1, 2, 3, 4000, time.UTC)
	tests := []struct {
		v    any
		want string
	}{
		{nil, "None"},
		{map[string]any{"b": []int{1}, "a": true}, "{'a': True, 'b': [1]}"},
		{[]byte("x"), "b'x'"},
		{uint64(1<<64 - 1), "18446744073709551615"},
		{when, "datetime.datetime(2024, 2, 29, 1, 2, 3, 4, tzinfo=datetime.timezone.utc)"},
		{when.In(Naive), "datetime.datetime(2024, 2, 29, 1, 2, 3, 4)"},
		{when.In(time.FixedZone("EET", 7200)), "datetime.datetime(2024, 2, 29, 3, 2, 3, 4, tzinfo=datetime.timezone(datetime.timedelta(seconds=7200), 'EET'))"},
		{Date{2024, 2, 29}, "datetime.date(2024, 2, 29)"},
		{-time.Microsecond, "datetime.timedelta(days=-1, seconds=86399, microseconds=999999)"},
		{Decimal("1.50"), "Decimal('1.50')"},
		{UUID{15: 5}, "UUID('00000000-0000-0000-0000-000000000005')"},
		{big.NewRat(1, 3), "Fraction(1, 3)"},
		{complex(1, -2), "(1-2j)"},
		{NewOrderedDict(a), "list(OrderedDict([('a', 1)]).items())"},
		{NewDefaultDict(Import{"builtins", "list"}, a), "defaultdict(<class 'list'>, {'a': 1})"},
		{NewCounter(a), "Counter({'a': 1})"},
		{NewDeque(Int(1)), "deque([1])"},
		{NewNamespace(a), "namespace(a=1)"},
		{NewRange(1, 5, 2), "range(1, 5, 2)"},
		{NewSlice(None{}, Int(2), None{}), "slice(None, 2, None)"},
		{NewEnum(Import{"http", "HTTPStatus"}, Int(404)), "<HTTPStatus.NOT_FOUND: 404>"},
	}
	var in bytes.Buffer
	for _, tt := range tests {
		data, err := Marshal(tt.v, nil)
		if err != nil {
			t.Fatalf("%v: %v", tt.v, err)
		}
		fmt.Fprintf(&in, "%x\n", data)
	}
	cmd := exec.Command(python, "-c", "import sys, pickle\nfor l in sys.stdin: print(repr(pickle.loads(bytes.fromhex(l))))")
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(out), "\n")
	for i, tt := range tests {
		if strings.HasPrefix(tt.want, "list(OrderedDict") {
			tt.want = lines[i] // its repr differs between versions
			if !strings.HasPrefix(lines[i], "OrderedDict(") {
				t.Errorf("got %s", lines[i])
			}
		}
		if lines[i] != tt.want {
			t.Errorf("%v: got %s, want %s", tt.v, lines[i], tt.want)
		}
	}
}
