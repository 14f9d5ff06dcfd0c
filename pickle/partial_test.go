package pickle

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// How protocols 2 and 3 write an instance whose class has __getnewargs_ex__.
const (
	partialHead  = "\x80\x02cfunctools\npartial\n"
	partialNew   = "c__builtin__\ngetattr\nca\nB\nU\x07__new__\x86R"
	partialState = "(" + partialNew + "ca\nB\nK\x01\x86}U\x01kNsNt"
)

func TestPartial(t *testing.T) {
	data := partialHead + partialNew + "\x85R" + partialState + "b)R}b."
	r, err := Verify([]byte(data), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]Role{}
	for _, g := range r.Globals {
		got[g.path()] = append(got[g.path()], g.Role)
		if g.path() == "functools.partial" && (g.State || g.Args.Kinds[0] != KindNew) {
			t.Errorf("partial is used otherwise: %+v", g)
		}
		if g.path() == "a.B" && g.Role == RoleClass {
			if want := (Args{Count: 1, Kinds: [4]Kind{KindInt}, Keywords: true}); g.Args != want || !g.State {
				t.Errorf("the class is %+v", g)
			}
		}
	}
	want := map[string][]Role{
		"functools.partial": {RoleCallable},
		"builtins.getattr":  {RoleCallable, RoleCallable},
		"a.B":               {RoleLoaded, RoleLoaded, RoleLoaded, RoleClass},
		"a.B.__new__":       {RoleLoaded, RoleLoaded},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestPartialPolicy: the exact form passes as far as its class does, and
// nothing else that can be made of a partial.
func TestPartialPolicy(t *testing.T) {
	exact := partialHead + partialNew + "\x85R" + partialState + "b)R."
	tests := []struct {
		name, data string
		options    PolicyOptions
		reason     string // empty: it passes
	}{
		{"exact", exact, PolicyOptions{}, ""},
		{"by a base class", strings.Replace(exact, "ca\nB\nU", "c__builtin__\nobject\nU", 2), PolicyOptions{}, ""},
		{"called twice", strings.Replace(exact, "b)R.", "bq\x00)R0h\x00)R.", 1), PolicyOptions{}, ""},
		{"strict", exact, PolicyOptions{Strict: true}, "strict"},
		{"strict, the class allowed", exact, PolicyOptions{Strict: true, Allow: []string{"a.B"}}, ""},
		{"strict, the package allowed", exact, PolicyOptions{Strict: true, Allow: []string{"a.*"}}, ""},
		{"a class of the standard library", strings.ReplaceAll(exact, "ca\nB\n", "cuuid\nUUID\n"), PolicyOptions{}, "these arguments"},
		{"a class with an effect", strings.Replace(exact, "ca\nB\nK", "csubprocess\nPopen\nK", 1), PolicyOptions{}, "not among"},
		{"kept, and never built", partialHead + partialNew + "\x85R.", PolicyOptions{}, ""},
		{"kept, another function", partialHead + partialNew + "\x85R" + strings.Replace(partialState, partialNew, "ca\nf\n", 1) + "b.", PolicyOptions{}, "in this role"},
		{"kept, attributes", partialHead + partialNew + "\x85R" + strings.Replace(partialState, "NsNt", "Ns}t", 1) + "b.", PolicyOptions{}, "in this role"},
		{"of another function", partialHead + "ca\nf\n\x85R.", PolicyOptions{}, "these arguments"},
		{"__new__ called", "\x80\x02" + partialNew + "ca\nB\n\x85R.", PolicyOptions{}, "special name"},
		{"by name, below protocol 2", "ccopy_reg\n__newobj_ex__\n(ca\nB\n(t}tR.", PolicyOptions{}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := NewPolicy(tt.options)
			if err != nil {
				t.Fatal(err)
			}
			r, err := Verify([]byte(tt.data), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			err = p.Check(r)
			if (err == nil) != (tt.reason == "") || err != nil && !strings.Contains(err.Error(), tt.reason) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// TestPartialRefused: what Verify itself refuses, since CPython would call
// what the pickle does not name, or would not call it.
func TestPartialRefused(t *testing.T) {
	exact := partialHead + partialNew + "\x85R" + partialState + "b)R."
	for name, data := range map[string]string{
		"not built":            partialHead + partialNew + "\x85R)R.",
		"with arguments":       strings.Replace(exact, "b)R.", "bN\x85R.", 1),
		"built twice":          strings.Replace(exact, "b)R.", "b"+partialState+"b)R.", 1),
		"another attribute":    strings.Replace(exact, "("+partialNew, "("+strings.Replace(partialNew, "U\x07__new__", "U\x04save", 1), 1),
		"no class":             strings.Replace(exact, "ca\nB\nK\x01\x86", ")", 1),
		"keyword is no text":   strings.Replace(exact, "U\x01kNs", "K\x01Ns", 1),
		"keywords are no dict": strings.Replace(exact, "}U\x01kNs", "N", 1),
	} {
		if data == exact {
			t.Fatalf("%s: nothing replaced", name)
		}
		if _, err := Verify([]byte(data), Limits{}); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// TestKeywords: CPython raises TypeError for keywords that are not str.
func TestKeywords(t *testing.T) {
	for data, passes := range map[string]bool{
		"\x80\x04\x8c\x01a\x8c\x01B\x93)}\x8c\x01kNs\x92.":         true,
		"\x80\x04\x8c\x01a\x8c\x01B\x93)}K\x01Ns\x92.":             false,
		"\x80\x04\x8c\x01a\x8c\x01B\x93)}(\x8c\x01kNNNu\x92.":      false,
		"\x80\x04\x8c\x01a\x8c\x01B\x93)}(\x8c\x01kNC\x01kNu\x92.": false,
	} {
		if _, err := Verify([]byte(data), Limits{}); (err == nil) != passes {
			t.Errorf("%q: %v", data, err)
		}
	}
}
