package pickle

import (
	"errors"
	"strings"
	"testing"
)

// group returns what a sample shows, without who wrote it and how: that of
// "3.11/p2/c/cycles/list" is "cycles/list".
func (s sample) group() string {
	parts := strings.SplitN(s.Name, "/", 4)
	return parts[len(parts)-1]
}

// unverified lists what Verify refuses although CPython loads it, by the
// reason and the beginnings of groups.
var unverified = map[string][]string{
	"a string of Python 2 beyond ASCII": {
		"texts/byte", "texts/all-bytes", "texts/utf8", "texts/keys", "texts/escapes", "oldstyle/attributes", "graphs/",
		"standard/dates", "standard/years", "sessions/DictSession-used", "sessions/Session-used", "tests/load_python2_str",
	},
	"what is called or made is no import: object":   {"reduces/call-of", "standard/partials"},
	"not an integer as Python writes it":            {"by-hand/ints"},
	"escaped as repr does not":                      {"by-hand/strings"},
	"not in raw-unicode-escape as Python writes it": {"by-hand/unicode"},
}

// refused lists what the default policy refuses of what Verify lets through.
// It is what sessions do not hold: functions, iterators, and calls that no
// pickler writes by itself.
var refused = map[string][]string{
	"it is not among the harmless types of the standard library": {
		"containers/keys", "cycles/iterator", "exceptions/modules", "names/builtin", "names/moved", "names/unbound",
		"newstyle/globals", "records/stat", "sizes/frame-global", "standard/alias", "standard/context", "standard/iterators",
		"standard/itertools", "standard/message", "standard/more-iterators", "standard/patterns", "standard/template", "standard/union",
	},
	"functools.partial": {"containers/defaultdict-partial", "cycles/partial"},
	"not harmless in this role or with these arguments": {
		"by-hand/", "containers/defaultdict-partial", "names/singletons", "newstyle/ComplexSub", "numbers/complex", "reduces/builtin-made",
		"reduces/bytes-made", "reduces/codec", "reduces/items-of-builtin", "reduces/none-made", "reduces/set-of-set",
		"sharing/builtin-methods", "standard/ranges", "subclasses/ComplexSub",
	},
	"persistent ids": {"persistent"},
}

// TestAdversary: pickles meant to be hard are let through, but for those
// listed, and Unmarshal makes something of them or says why not.
func TestAdversary(t *testing.T) {
	policy := defaultPolicy(t)
	met := map[string]bool{}
	listed := func(s sample, err error, lists map[string][]string) bool {
		for reason, groups := range lists {
			for _, g := range groups {
				if strings.HasPrefix(s.group(), g) && strings.Contains(err.Error(), reason) {
					met[reason+g] = true
					return true
				}
			}
		}
		return false
	}
	for _, s := range readSamples(t, "testdata/adversary.jsonl.gz") {
		r, err := Verify(s.data, Limits{})
		if err != nil && !listed(s, err, unverified) {
			t.Errorf("%s: %v", s.Name, err)
		}
		// The classes of CPython's own tests are in its package test.
		if err == nil && !strings.HasPrefix(s.group(), "tests/") {
			if err := policy.Check(r); err != nil && !listed(s, err, refused) {
				t.Errorf("%s: %v", s.Name, err)
			}
		}
		var v any
		var convert *ConvertError
		var syntax *SyntaxError
		if err := Unmarshal(s.data, &v, UnmarshalOptions{}); err != nil && !errors.As(err, &convert) && !errors.As(err, &syntax) {
			t.Errorf("%s: %T: %v", s.Name, err, err)
		}
	}
	for _, lists := range []map[string][]string{unverified, refused} {
		for reason, groups := range lists {
			for _, g := range groups {
				if !met[reason+g] {
					t.Errorf("%q: no sample of the group %q", reason, g)
				}
			}
		}
	}
}
