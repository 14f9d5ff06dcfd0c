package pickle

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// roundTrips returns the pickles of all three of them.
func roundTrips(t testing.TB) []sample {
	t.Helper()
	samples := readSamples(t, "testdata/roundtrip.jsonl.gz")
	samples = append(samples, readSamples(t, "testdata/adversary.jsonl.gz")...)
	if len(samples) < 30_000 {
		t.Fatalf("only %d samples", len(samples))
	}
	for _, s := range readSamples(t, "testdata/good.jsonl.gz") {
		s.Python, _, _ = strings.Cut(s.Name, "/")
		fmt.Sscanf(strings.Split(s.Name, "/")[1], "p%d", &s.Protocol)
		samples = append(samples, s)
	}
	return samples
}

// pickler returns how a sample was written: "c" by the pickler in C, "py" by
// that in Python, "hand" by nobody.
func (s sample) pickler() string { return strings.SplitN(s.Name, "/", 4)[2] }

// notValue says whether err is why Decode refuses samples: extension codes,
// which CPython's tests write, and -0.
func notValue(err error) bool {
	return isAmong(err, []string{"extension codes", "not an integer as Python writes it"})
}

// notEncoded holds the reasons for which a protocol cannot hold a sample.
var notEncoded = []string{
	"digits",            // an int in text, which Python does not read either
	"persistent id",     // other than text, in protocol 0
	"nested too deeply", // a set in its own member's arguments, for ever so below protocol 4
}

func isAmong(err error, reasons []string) bool {
	return slices.ContainsFunc(reasons, func(reason string) bool { return strings.Contains(err.Error(), reason) })
}

// otherBytes lists, by the beginnings of groups, what the C pickler of 3.11
// writes in other bytes: where Python shares a str that different objects have
// in common by chance (a name that getattr is called with, a text of one
// character), or writes two names of one class.
func otherBytes(group string) bool {
	return slices.ContainsFunc([]string{
		"net", "exceptions/os", "names/exceptions", "reduces/bytes-made", "reduces/classmethod", "reduces/codec",
		"sharing/method", "standard/more-iterators", "texts/bytes1", "texts/like-module", "texts/ascii-bytes", "tests/",
	}, func(g string) bool { return strings.HasPrefix(group, g) })
}

// TestRoundTrip: what the C pickler of 3.11 wrote is written again to the
// byte. CPython loads from all that was decoded and encoded, in the same
// protocol and in another, what it loads from the original.
func TestRoundTrip(t *testing.T) {
	same, all := map[string]int{}, map[string]int{}
	var c comparison
	for i, s := range roundTrips(t) {
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
		all[s.pickler()]++
		switch {
		case bytes.Equal(got, s.data):
			same[s.pickler()]++
		case s.pickler() == "c" && s.Python == "3.11" && !otherBytes(s.group()):
			at := 0
			for at < len(got) && at < len(s.data) && got[at] == s.data[at] {
				at++
			}
			t.Errorf("%s: byte %d: got %.60q, want %.60q", s.Name, at, got[max(0, at-20):], s.data[max(0, at-20):])
		default:
			c.add(s, s.Protocol, v, got)
		}
		other := i % 6
		if other == 0 && strings.Contains(s.Name, "float") {
			other = 1 // the text of a NaN has no sign
		}
		switch s.pickler() {
		case "opt", "py", "c-fast": // "c" is the same value
			continue
		}
		if other == s.Protocol {
			continue
		}
		if got, err = Append(nil, v, other); err == nil {
			c.add(s, other, v, got)
		} else if !isAmong(err, notEncoded) {
			t.Errorf("%s to %d: %v", s.Name, other, err)
		}
	}
	for pickler, n := range all {
		t.Logf("%s: %d of %d are the same bytes", pickler, same[pickler], n)
	}
	c.run(t)
}

// A comparison is a list of pairs for testdata/check.py.
type comparison struct {
	pairs   []pair
	options DecodeOptions // by which the pairs' values were decoded
}

type pair struct {
	Name    string `json:"name"`
	A       string `json:"a"`
	B       string `json:"b"`
	decoded Value  // from A
	encoded []byte // B
}

func (c *comparison) add(s sample, protocol int, v Value, encoded []byte) {
	name := fmt.Sprintf("%s to %d", s.Name, protocol)
	c.pairs = append(c.pairs, pair{name, s.Hex, hex.EncodeToString(encoded), v, encoded})
}

// run has the python3 in PATH compare.
func (c *comparison) run(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal("this test compares with CPython: python3 is not in PATH")
	}
	c.runWith(t, python)
}

func (c *comparison) runWith(t *testing.T, python string) {
	t.Helper()
	parts := runtime.NumCPU()
	results := make([][]checked, parts)
	var wg sync.WaitGroup
	for i := range parts {
		part := c.pairs[len(c.pairs)*i/parts : len(c.pairs)*(i+1)/parts]
		wg.Go(func() { results[i] = runCheck(t, python, part) })
	}
	wg.Wait()
	checked := slices.Concat(results...)
	if len(checked) != len(c.pairs) {
		t.Fatalf("%d of %d pairs were compared", len(checked), len(c.pairs))
	}
	unloadable := map[string]int{}
	for i, r := range checked {
		p := c.pairs[i]
		switch {
		case r.Name != p.Name:
			t.Fatalf("got the result of %s for that of %s", r.Name, p.Name)
		case r.Error != "":
			t.Errorf("%s: %s", r.Name, r.Error)
		case r.Unloadable != "":
			unloadable[r.Unloadable]++
			again, err := Decode(p.encoded, c.options)
			if err == nil {
				err = sameGraph(p.decoded, again)
			}
			if err != nil {
				t.Errorf("%s: %v", r.Name, err)
			}
		}
	}
	t.Logf("%d pairs; this Python cannot load %v", len(c.pairs), unloadable)
}

type checked struct{ Name, Error, Unloadable string }

// runCheck has testdata/check.py compare pairs.
func runCheck(t *testing.T, python string, pairs []pair) []checked {
	var in, stderr bytes.Buffer
	lines := json.NewEncoder(&in)
	for _, p := range pairs {
		if err := lines.Encode(p); err != nil {
			t.Error(err)
		}
	}
	cmd := exec.Command(python, "-W", "ignore", "check.py")
	cmd.Dir, cmd.Stdin, cmd.Stderr = "testdata", &in, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("check.py: %v\n%s", err, stderr.Bytes())
	}
	var results []checked
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var r checked
		if err := decoder.Decode(&r); err == io.EOF {
			return results
		} else if err != nil {
			t.Errorf("check.py: %v", err)
			return results
		}
		results = append(results, r)
	}
}
