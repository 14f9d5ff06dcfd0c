package pickle

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// roundTrips returns the pickles of both corpora.
func roundTrips(t testing.TB) []sample {
	t.Helper()
	samples := readSamples(t, "testdata/roundtrip.jsonl.gz")
	if len(samples) < 10_000 {
		t.Fatalf("only %d samples", len(samples))
	}
	for _, s := range readSamples(t, "testdata/good.jsonl.gz") {
		s.Python, _, _ = strings.Cut(s.Name, "/")
		fmt.Sscanf(strings.Split(s.Name, "/")[1], "p%d", &s.Protocol)
		samples = append(samples, s)
	}
	return samples
}

// notValues holds the samples that Decode refuses: extension codes, which
// CPython's tests write, and buffers out of band.
func notValue(err error) bool {
	return strings.Contains(err.Error(), "extension codes") || strings.Contains(err.Error(), "out-of-band")
}

// TestSameBytes: what the C pickler of 3.11 wrote is written again to the
// byte. What is not is listed: in freshArguments each of two calls has a tuple
// or function of its own, of which the pickle does not tell. In
// sharedCharacter bytes of length one are written as text, below protocol 3,
// and CPython shares that text with a str.
func TestSameBytes(t *testing.T) {
	type count struct{ same, all int }
	counts := map[string]*count{}
	for _, s := range roundTrips(t) {
		v, err := Decode(s.data, DecodeOptions{})
		if err != nil {
			if !notValue(err) {
				t.Errorf("%s: %v", s.Name, err)
			}
			continue
		}
		got, err := Append(nil, v, s.Protocol)
		if err != nil {
			t.Errorf("%s: %v", s.Name, err)
			continue
		}
		parts := strings.Split(s.Name, "/")
		pickler := parts[2]
		key := fmt.Sprintf("%s p%d", pickler, s.Protocol)
		if s.Python == "3.11" {
			key = "3.11 " + key
		}
		if counts[key] == nil {
			counts[key] = new(count)
		}
		counts[key].all++
		if bytes.Equal(got, s.data) {
			counts[key].same++
		} else if pickler == "c" && s.Python == "3.11" && !freshArguments[parts[3]] && (s.Protocol >= 3 || !sharedCharacter[parts[3]]) {
			i := 0
			for i < len(got) && i < len(s.data) && got[i] == s.data[i] {
				i++
			}
			t.Errorf("%s: byte %d: got %.60q, want %.60q", s.Name, i, got[max(0, i-20):], s.data[max(0, i-20):])
		}
	}
	for key, c := range counts {
		t.Logf("%s: %d of %d are the same bytes", key, c.same, c.all)
	}
}

var freshArguments = map[string]bool{"newargs-loop": true, "zoneinfo": true}

var sharedCharacter = map[string]bool{"net": true}

// TestSameValues: CPython loads from what was decoded and encoded, in the
// same protocol and in another, what it loads from the original.
func TestSameValues(t *testing.T) {
	type pair struct {
		Name string `json:"name"`
		A    string `json:"a"`
		B    string `json:"b"`
	}
	var pairs bytes.Buffer
	lines := json.NewEncoder(&pairs)
	want := map[string]Value{}
	again := map[string][]byte{}
	for i, s := range roundTrips(t) {
		v, err := Decode(s.data, DecodeOptions{})
		if err != nil {
			continue // TestSameBytes says so
		}
		other := i % 6
		if other == 0 && strings.Contains(s.Name, "float") {
			other = 1 // the text of a NaN has no sign
		}
		for n, protocol := range []int{s.Protocol, other} {
			if n == 1 && protocol == s.Protocol {
				continue
			}
			b, err := Append(nil, v, protocol)
			if err != nil {
				if !strings.Contains(err.Error(), "digits") {
					t.Errorf("%s to %d: %v", s.Name, protocol, err)
				}
				continue
			}
			name := fmt.Sprintf("%d: %s to %d", i, s.Name, protocol)
			want[name], again[name] = v, b
			lines.Encode(pair{name, s.Hex, hex.EncodeToString(b)})
		}
	}
	unloadable, reasons := 0, map[string]int{}
	for _, r := range runCheck(t, &pairs) {
		switch {
		case r.Unloadable != "":
			unloadable++
			reasons[r.Unloadable]++
			got, err := Decode(again[r.Name], DecodeOptions{})
			if err == nil {
				err = sameGraph(want[r.Name], got)
			}
			if err != nil {
				t.Errorf("%s: %v", r.Name, err)
			}
		case r.Error != "":
			t.Errorf("%s: %s", r.Name, r.Error)
		}
		delete(want, r.Name)
	}
	for name := range want {
		t.Errorf("%s: not compared", name)
	}
	t.Logf("%d pairs, of which this Python cannot load %d: %v", len(again), unloadable, reasons)
}

type checked struct{ Name, Error, Unloadable string }

// runCheck has testdata/check.py compare pairs.
func runCheck(t *testing.T, pairs *bytes.Buffer) []checked {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("this test compares with CPython: python3 is not in PATH")
	}
	cmd := exec.Command(python, "-W", "ignore", "check.py")
	cmd.Dir = "testdata"
	cmd.Stdin = pairs
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("check.py: %v\n%s", err, stderr.Bytes())
	}
	var results []checked
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r checked
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		results = append(results, r)
	}
	return results
}
