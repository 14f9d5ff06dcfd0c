package pickle

import (
	"bytes"
	"errors"
	"testing"
)

// FuzzVerify: whatever the bytes, Verify and Check return, the report is about
// these bytes, and what was cut at STOP is judged as the whole was.
func FuzzVerify(f *testing.F) {
	for i, s := range readSamples(f, "testdata/good.jsonl.gz") {
		if len(s.data) < 2000 && i%7 == 0 {
			f.Add(s.data)
		}
	}
	for _, s := range readSamples(f, "testdata/hostile.jsonl") {
		f.Add(s.data)
	}
	policy := defaultPolicy(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		r, err := Verify(data, Limits{})
		if !bytes.Equal(data, before) {
			t.Fatal("data was changed")
		}
		checkSkim(t, data)
		if err != nil {
			var syntax *SyntaxError
			var limit *LimitError
			switch {
			case errors.As(err, &syntax) && syntax.Offset >= 0 && syntax.Offset <= len(data):
			case errors.As(err, &limit) && limit.Max > 0:
			default:
				t.Fatalf("error %#v", err)
			}
			return
		}
		if r.Used < 1 || r.Used+r.Trailing != len(data) || data[r.Used-1] != opStop {
			t.Fatalf("used %d, trailing %d of %d", r.Used, r.Trailing, len(data))
		}
		for _, g := range r.Globals {
			if g.Module == "" || g.Name == "" || g.Offset < 0 || g.Offset >= r.Used {
				t.Fatalf("global %+v", g)
			}
		}
		whole := policy.Check(r)
		cut, err := Verify(data[:r.Used], Limits{})
		if err != nil {
			t.Fatalf("cut at STOP: %v", err)
		}
		if again := policy.Check(cut); (whole == nil) != (again == nil) || len(cut.Globals) != len(r.Globals) {
			t.Fatalf("cut at STOP: %v, was %v", again, whole)
		}
	})
}
