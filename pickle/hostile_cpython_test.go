package pickle

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// TestHostileRecord: it is on record what CPython does with every pickle of
// the hostile set as it is now, and none of those that have an effect, or
// need memory or time without bound, passes.
func TestHostileRecord(t *testing.T) {
	type record struct{ Name, SHA256, Outcome string }
	f, err := os.Open("testdata/hostile_cpython.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records := map[string]record{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		records[r.Name] = r
	}
	policy := defaultPolicy(t)
	harmful := 0
	for _, s := range readSamples(t, "testdata/hostile.jsonl") {
		r, ok := records[s.Name]
		delete(records, s.Name)
		if sum := sha256.Sum256(s.data); !ok || r.SHA256 != hex.EncodeToString(sum[:8]) {
			t.Errorf("%s is not on record: run testdata/hostile_cpython.py", s.Name)
			continue
		}
		switch r.Outcome {
		case "loads", "raises":
			continue
		case "effect", "memory", "hangs", "crashes":
			harmful++
		default:
			t.Errorf("%s: outcome %q", s.Name, r.Outcome)
		}
		report, err := Verify(s.data, Limits{})
		if err == nil {
			err = policy.Check(report)
		}
		if err == nil {
			t.Errorf("%s passes; CPython: %s", s.Name, r.Outcome)
		}
	}
	for name := range records {
		t.Errorf("%s is on record, but not in the set", name)
	}
	if harmful < 110 {
		t.Errorf("only %d of the set do harm", harmful)
	}
}
