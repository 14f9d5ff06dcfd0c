package pickle

import "testing"

// TestHostile: each is refused, by Verify or by the default policy.
func TestHostile(t *testing.T) {
	policy := defaultPolicy(t)
	samples := readSamples(t, "testdata/hostile.jsonl")
	if len(samples) < 300 {
		t.Fatalf("only %d samples", len(samples))
	}
	for _, s := range samples {
		r, err := Verify(s.data, Limits{})
		if err == nil {
			err = policy.Check(r)
		}
		if err == nil {
			t.Errorf("%s passes", s.Name)
		}
	}
}
