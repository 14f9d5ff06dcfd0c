package pickle

import (
	"fmt"
	"math"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

// TestBoxed: a value in a box of the arena's is like one that the compiler
// has boxed, and outlives a collection.
func TestBoxed(t *testing.T) {
	var a arena
	a.start(1 << 10)
	var got, want []Value
	for i := range 3000 {
		n := int64(i*i*i - 1000)
		s := fmt.Sprint("s", i)
		got = append(got, a.int(n, i/4), a.str(s, i/4), a.float(float64(n), i/4))
		want = append(want, Int(n), Str(s), Float(n))
	}
	got, want = append(got, a.str("", 800)), append(want, Str(""))
	runtime.GC()
	seen := map[Value]bool{}
	for i := range want {
		if got[i] != want[i] || fmt.Sprintf("%T %v", got[i], got[i]) != fmt.Sprintf("%T %v", want[i], want[i]) {
			t.Fatalf("%d: got %#v, want %#v", i, got[i], want[i])
		}
		seen[got[i]] = true
	}
	for _, v := range want {
		if !seen[v] {
			t.Fatalf("%#v is another key", v)
		}
	}
}

// TestArenaApart: what an arena has handed out is nobody else's, of whatever
// size and when it grows.
func TestArenaApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a arena
		input := rapid.IntRange(1, 100_000).Draw(t, "input")
		a.start(input)
		next, pos := 0, 1
		var lists [][]Value
		var dicts [][]Item
		values := func(n int) []Value {
			items := make([]Value, n)
			for i := range items {
				items[i] = Int(next)
				next++
			}
			return items
		}
		t.Repeat(map[string]func(*rapid.T){
			"list": func(t *rapid.T) {
				lists = append(lists, a.values(nil, values(rapid.IntRange(0, 600).Draw(t, "n")), pos))
			},
			"dict": func(t *rapid.T) {
				dicts = append(dicts, a.pairs(nil, values(2*rapid.IntRange(0, 600).Draw(t, "n")), pos))
			},
			"longer list": func(t *rapid.T) {
				if len(lists) > 0 {
					i := rapid.IntRange(0, len(lists)-1).Draw(t, "i")
					lists = append(append(lists[:i:i], lists[i+1:]...), a.values(lists[i], values(3), pos))
				}
			},
			"longer dict": func(t *rapid.T) {
				if len(dicts) > 0 {
					i := rapid.IntRange(0, len(dicts)-1).Draw(t, "i")
					dicts = append(append(dicts[:i:i], dicts[i+1:]...), a.pairs(dicts[i], values(4), pos))
				}
			},
			"": func(t *rapid.T) {
				pos = min(pos+rapid.IntRange(0, 500).Draw(t, "pos"), input)
			},
		})
		seen := map[Value]bool{}
		for _, l := range lists {
			for _, v := range l {
				seen[v] = true
			}
		}
		for _, d := range dicts {
			for _, item := range d {
				seen[item.Key], seen[item.Value] = true, true
			}
		}
		if len(seen) != next {
			t.Errorf("%d of %d values are there", len(seen), next)
		}
	})
}

// TestDecodeWithMore: opcodes at the end of the input and before more bytes
// are read by different code.
func TestDecodeWithMore(t *testing.T) {
	more := make([]byte, 300)
	for _, s := range readSamples(t, "testdata/roundtrip.jsonl.gz") {
		if len(s.data) > 1000 {
			continue
		}
		v, err := Decode(s.data, DecodeOptions{})
		w, err2 := Decode(append(s.data[:len(s.data):len(s.data)], more...), DecodeOptions{})
		if err != nil || err2 != nil {
			t.Errorf("%s: %v, %v", s.Name, err, err2)
			continue
		}
		if err := sameGraph(v, w); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
	for name, v := range map[string]Value{
		"ints":   &List{Items: []Value{Int(-1), Int(0), Int(255), Int(256), Int(65535), Int(65536), Int(math.MinInt32), Int(math.MaxInt32)}},
		"floats": &List{Items: []Value{Float(0), Float(math.Copysign(0, -1)), Float(math.Inf(1)), Float(1.5)}},
	} {
		data, err := Append(nil, v, 4)
		if err != nil {
			t.Fatal(err)
		}
		for _, data := range [][]byte{data, append(data, more...)} {
			if got, err := Decode(data, DecodeOptions{}); err != nil || sameGraph(v, got) != nil {
				t.Errorf("%s: %v, %v", name, err, sameGraph(v, got))
			}
		}
	}
}
