package main

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"alforja/pickle"
)

// A tally counts how inputs fared.
type tally struct {
	seed  uint64
	start time.Time
	kept  *json.Encoder // gets findings; nil for none

	mu       sync.Mutex
	inputs   int
	bytes    int
	byHow    map[string]int
	verdicts [2][2]int         // by Verify and CPython: 0 takes it, 1 refuses
	died     map[string]int    // CPython, over what Verify refuses
	policy   [2]int            // of what Verify takes: passes, refused
	reasons  map[string]*count // Verify's, of what CPython takes
	opinions map[string]*[2]int
	panics   map[string]*count
	findings map[string]*count
	restarts [2]int // of CPython and of gopickle
}

// A count keeps the shortest example.
type count struct {
	n       int
	example []byte
}

// A finding is an input over which we and CPython do not agree.
type finding struct {
	Kind   string `json:"kind"`
	Detail string `json:"detail"`
	Seed   uint64 `json:"seed"`
	Index  uint64 `json:"index"`
	How    string `json:"how"`
	Hex    string `json:"hex"`
}

// keptFindings is how many of a kind are written out.
const keptFindings = 25

func newTally(seed uint64) *tally {
	return &tally{
		seed: seed, start: time.Now(), byHow: map[string]int{}, died: map[string]int{}, reasons: map[string]*count{},
		opinions: map[string]*[2]int{}, panics: map[string]*count{}, findings: map[string]*count{},
	}
}

func note(counts map[string]*count, key string, data []byte) *count {
	c := counts[key]
	if c == nil {
		c = &count{example: data}
		counts[key] = c
	}
	c.n++
	if len(data) < len(c.example) {
		c.example = data
	}
	return c
}

func (t *tally) add(o *outcome, c loaded, opinion reply) error {
	t.inputs++
	t.bytes += len(o.data)
	t.byHow[o.how]++
	t.verdicts[index(o.err != nil)][index(c.failed)]++
	if t.inputs%102400 == 0 {
		fmt.Fprintf(os.Stderr, "%d inputs, %v, %d disagree\n", t.inputs, time.Since(t.start).Round(time.Second), len(t.findings))
	}
	switch {
	case o.err == nil:
		t.policy[index(o.policy != nil)]++
	case !c.failed:
		note(t.reasons, opcode(o.err)+reason(o.err), o.data)
	case c.died != "":
		t.died[c.died]++
	}
	t.addOpinion(o, c, opinion)
	if kind, detail := disagreement(o, c); kind != "" {
		if n := note(t.findings, kind, o.data).n; n <= keptFindings && t.kept != nil {
			return t.kept.Encode(finding{kind, detail, t.seed, o.index, o.how, hex.EncodeToString(o.data)})
		}
	}
	return nil
}

func (t *tally) addOpinion(o *outcome, c loaded, opinion reply) {
	var said string
	switch {
	case opinion.died != "":
		said = opinion.died
		note(t.panics, "the process "+said, o.data)
	case len(opinion.payload) == 0:
		return
	default:
		said = map[byte]string{'+': "loads", '-': "refuses", '!': "panics", '*': "out of memory"}[opinion.payload[0]]
		if said == "panics" {
			note(t.panics, string(opinion.payload[1:]), o.data)
		}
	}
	verdict := map[bool]string{false: "loads", true: "refuses"}
	key := verdict[o.err != nil] + "|" + verdict[c.failed]
	if t.opinions[key] == nil {
		t.opinions[key] = new([2]int)
	}
	key += "|" + said
	if t.opinions[key] == nil {
		t.opinions[key] = new([2]int)
	}
	t.opinions[key][0]++
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// opcode names the opcode at which Verify gave up.
func opcode(err error) string {
	if e, ok := err.(*pickle.SyntaxError); ok && e.Opcode != "" {
		return e.Opcode + ": "
	}
	return ""
}

func (t *tally) print(w io.Writer) {
	took := time.Since(t.start)
	fmt.Fprintf(w, "%d inputs of %d bytes on average in %v: %v\n\n", t.inputs, t.bytes/max(t.inputs, 1), took.Round(time.Second), sorted(t.byHow))
	fmt.Fprintf(w, "| | CPython loads | CPython refuses |\n|---|---|---|\n")
	fmt.Fprintf(w, "| Verify takes | %d | %d |\n| Verify refuses | %d | %d |\n\n", t.verdicts[0][0], t.verdicts[0][1], t.verdicts[1][0], t.verdicts[1][1])
	fmt.Fprintf(w, "Of what Verify takes the default policy lets %d pass and refuses %d.\n", t.policy[0], t.policy[1])
	fmt.Fprintf(w, "CPython over what Verify refuses: %v. Restarts: CPython %d, gopickle %d.\n\n", t.died, t.restarts[0], t.restarts[1])
	fmt.Fprintln(w, "What CPython loads and Verify refuses:")
	printCounts(w, t.reasons)
	fmt.Fprintln(w, "\n| Verify | CPython | gopickle | inputs |\n|---|---|---|---|")
	for _, key := range slices.Sorted(maps.Keys(t.opinions)) {
		if parts := strings.Split(key, "|"); len(parts) == 3 {
			fmt.Fprintf(w, "| %s | %s | %s | %d |\n", parts[0], parts[1], parts[2], t.opinions[key][0])
		}
	}
	fmt.Fprintln(w, "\nPanics of gopickle:")
	printCounts(w, t.panics)
	fmt.Fprintln(w, "\nDisagreements:")
	printCounts(w, t.findings)
}

func sorted(m map[string]int) []string {
	var s []string
	for _, key := range slices.Sorted(maps.Keys(m)) {
		s = append(s, fmt.Sprintf("%s %d", key, m[key]))
	}
	return s
}

func printCounts(w io.Writer, counts map[string]*count) {
	if len(counts) == 0 {
		fmt.Fprintln(w, "none")
		return
	}
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(counts[b].n-counts[a].n, strings.Compare(a, b))
	})
	fmt.Fprintln(w, "\n| inputs | what | shortest example |\n|---|---|---|")
	for _, key := range keys {
		c := counts[key]
		fmt.Fprintf(w, "| %d | %s | `%.120q` |\n", c.n, key, c.example)
	}
}
