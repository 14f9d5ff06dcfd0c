package pickle

import (
	"fmt"
	"testing"
)

func BenchmarkDecode(b *testing.B) {
	for _, c := range benchStates(b) {
		b.Run(c.size, func(b *testing.B) {
			b.SetBytes(int64(len(c.data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Decode(c.data, DecodeOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, c := range benchStates(b) {
		v, err := Decode(c.data, DecodeOptions{})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.size, func(b *testing.B) {
			b.SetBytes(int64(len(c.data)))
			b.ReportAllocs()
			var out []byte
			for b.Loop() {
				if out, err = Append(out[:0], v, 4); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

type benchState struct {
	size string
	data []byte
}

// benchStates returns sessions of some 300 bytes, 5 KB and 200 KB.
func benchStates(b *testing.B) []benchState {
	samples := readSamples(b, "testdata/good.jsonl.gz")
	states := []benchState{
		{"300B", find(b, samples, "3.6/p4/c/dictsession").data},
		{"5KB", find(b, samples, "3.6/p4/c/shopdict").data},
	}
	v, err := Decode(states[1].data, DecodeOptions{})
	if err != nil {
		b.Fatal(err)
	}
	data, _ := v.(*Object).Attributes().Get(Str("data"))
	d := data.(*Dict)
	for i := 200; len(d.Items) < 6500; i++ {
		pair := &Tuple{Items: []Value{Int(i), Int(i)}}
		d.Set(Str(fmt.Sprintf("k%d", i)), &List{Items: []Value{Str("v"), Int(i), pair}})
	}
	big, err := Append(nil, v, 4)
	if err != nil {
		b.Fatal(err)
	}
	return append(states, benchState{"200KB", big})
}
