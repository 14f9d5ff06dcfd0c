package pickle

import (
	"bufio"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
)

// A sample is one line of the corpora in testdata.
type sample struct {
	Name     string
	Python   string
	Hex      string
	Protocol int
	Used     int
	Globals  [][2]string
	data     []byte
}

func readSamples(t testing.TB, path string) []sample {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	var samples []sample
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var s sample
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			t.Fatalf("%s: line %d: %v", path, len(samples)+1, err)
		}
		if s.data, err = hex.DecodeString(s.Hex); err != nil {
			t.Fatalf("%s: %s: %v", path, s.Name, err)
		}
		samples = append(samples, s)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return samples
}

// sessionPolicy is the default policy but for packages that its user knows.
var sessionPolicy = PolicyOptions{
	Instances: []string{"session3.Session.Session", "session3.DictSession.DictSession", "quixote.session.Session"},
	Closed:    []string{"quixote", "session3"},
}

func defaultPolicy(t testing.TB) *Policy {
	t.Helper()
	p, err := NewPolicy(sessionPolicy)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestGood: what Python wrote passes, and the report says what Python's own
// tools say.
func TestGood(t *testing.T) {
	policy := defaultPolicy(t)
	samples := readSamples(t, "testdata/good.jsonl.gz")
	if len(samples) < 600 {
		t.Fatalf("only %d samples", len(samples))
	}
	for _, s := range samples {
		r, err := Verify(s.data, Limits{})
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		if err := policy.Check(r); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		if r.Used != s.Used || r.Protocol != s.Protocol || r.Trailing != 0 {
			t.Errorf("%s: used %d, protocol %d, trailing %d; want %d, %d, 0", s.Name, r.Used, r.Protocol, r.Trailing, s.Used, s.Protocol)
		}
		want := map[[2]string]bool{}
		for _, g := range s.Globals {
			want[g] = true
		}
		got := map[[2]string]bool{}
		for _, g := range r.Globals {
			if name := [2]string{g.Module, g.Name}; !g.Derived {
				got[name] = true
				if !want[name] {
					t.Errorf("%s: reports %v, which Python does not import", s.Name, name)
				}
			}
		}
		for name := range want {
			if !got[name] {
				t.Errorf("%s: does not report %v", s.Name, name)
			}
		}
	}
}
