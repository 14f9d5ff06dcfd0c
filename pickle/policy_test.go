package pickle

import (
	"errors"
	"strings"
	"testing"
)

func TestPolicy(t *testing.T) {
	const (
		system  = "cos\nsystem\n(Vid\ntR."
		session = "csession3.Session\nSession\n)\x81}b."
		shop    = "cmyapp.sessions\nShopSession\n)\x81}b."
		nested  = "\x80\x04\x8c\x0emyapp.sessions\x8c\x09cart.Line\x93)\x81."
		numpy   = "cnumpy\ndtype\n(Vi8\ntR."
		eval    = "cmyapp.sessions\neval\n(V1\ntR."
		builtin = "c__builtin__\nbytearray\n(K\x05tR."
	)
	tests := []struct {
		name    string
		options PolicyOptions
		data    string
		reason  string // empty: it passes
	}{
		{"standard library", PolicyOptions{}, system, "not among the harmless types"},
		{"standard library, allowed by name", PolicyOptions{Allow: []string{"os.system"}}, system, ""},
		{"a name does not allow its module", PolicyOptions{Allow: []string{"os.system2", "os.sys"}}, system, "harmless"},
		{"session3", PolicyOptions{}, session, ""},
		{"session3, strict", PolicyOptions{Strict: true}, session, "strict"},
		{"instances", PolicyOptions{Strict: true, Instances: []string{"session3.Session.Session"}}, session, ""},
		{"instances, called", PolicyOptions{Instances: []string{"session3.Session.Session"}}, "csession3.Session\nSession\n(tR.", "in this role"},
		{"closed", PolicyOptions{Closed: []string{"session3"}}, session, "harmless types of session3"},
		{"closed, instances", PolicyOptions{Closed: []string{"session3"}, Instances: []string{"session3.Session.Session"}}, session, ""},
		{"application", PolicyOptions{}, shop, ""},
		{"application, strict", PolicyOptions{Strict: true}, shop, "strict"},
		{"application, strict, allowed", PolicyOptions{Strict: true, Allow: []string{"myapp.sessions.ShopSession"}}, shop, ""},
		{"application, strict, package allowed", PolicyOptions{Strict: true, Allow: []string{"myapp.*"}}, shop, ""},
		{"application, strict, module allowed", PolicyOptions{Strict: true, Allow: []string{"myapp.sessions.*"}}, shop, ""},
		{"a package is not a prefix", PolicyOptions{Strict: true, Allow: []string{"my.*", "myap.*"}}, shop, "strict"},
		{"nested in lower case", PolicyOptions{}, nested, "no class"},
		{"nested in lower case, package allowed", PolicyOptions{Allow: []string{"myapp.*"}}, nested, "no class"},
		{"nested in lower case, allowed", PolicyOptions{Allow: []string{"myapp.sessions.cart.Line"}}, nested, ""},
		{"known gadgets", PolicyOptions{}, numpy, "numpy"},
		{"known gadgets, package allowed", PolicyOptions{Allow: []string{"numpy.*"}}, numpy, ""},
		{"borrowed name, package allowed", PolicyOptions{Allow: []string{"myapp.*"}}, eval, "runs code"},
		{"harmless name, other arguments", PolicyOptions{}, builtin, "arguments"},
		{"harmless name, other arguments, allowed", PolicyOptions{Allow: []string{"builtins.bytearray"}}, builtin, ""},
		{"a member of an Enum by name", PolicyOptions{}, "c__builtin__\ngetattr\n(chttp\nHTTPStatus\nVNOT_FOUND\ntR.", ""},
		{"an attribute of an Enum that is no member", PolicyOptions{}, "c__builtin__\ngetattr\n(chttp\nHTTPStatus\nVmro\ntR.", "harmless types"},
		{"a member that is called", PolicyOptions{}, "c__builtin__\ngetattr\n(chttp\nHTTPStatus\nVOK\ntR)R.", "in this role"},
		{"persistent id", PolicyOptions{}, "P1\n.", "persistent"},
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
			if tt.reason == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var refused *RefusedError
			if !errors.As(err, &refused) || !strings.Contains(refused.Reason, tt.reason) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// TestRefusalNamesTheLine: adding what the refusal says lets the pickle pass.
func TestRefusalNamesTheLine(t *testing.T) {
	for _, s := range readSamples(t, "testdata/hostile.jsonl") {
		r, err := Verify(s.data, Limits{})
		if err != nil || r.PersistentIDs > 0 {
			continue
		}
		var options PolicyOptions
		for range len(r.Globals) + 1 {
			p, err := NewPolicy(options)
			if err != nil {
				t.Fatalf("%s: %v", s.Name, err)
			}
			err = p.Check(r)
			if err == nil {
				break
			}
			var refused *RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), `allow = ["`+refused.Allow+`"]`) {
				t.Fatalf("%s: %v", s.Name, err)
			}
			options.Allow = append(options.Allow, refused.Allow)
		}
		if p, _ := NewPolicy(options); p.Check(r) != nil {
			t.Errorf("%s: refused in spite of %q", s.Name, options.Allow)
		}
	}
}

func TestNewPolicyErrors(t *testing.T) {
	for _, entry := range []string{"", "*", ".*", "os.*", "os.path.*", "builtins.*", "name", "a..b", "a.b\x00", "a b.c", "*.c", "a.*.c"} {
		if _, err := NewPolicy(PolicyOptions{Allow: []string{entry}}); err == nil {
			t.Errorf("%q is taken", entry)
		}
	}
	for _, name := range []string{"", "a.b", "a b", "a.*"} {
		if _, err := NewPolicy(PolicyOptions{Closed: []string{name}}); err == nil {
			t.Errorf("closed: %q is taken", name)
		}
	}
	for _, class := range []string{"", "Name", "a.*", "a..B", "a b.C"} {
		if _, err := NewPolicy(PolicyOptions{Instances: []string{class}}); err == nil {
			t.Errorf("instances: %q is taken", class)
		}
	}
}

// TestRules: every entry of the policy's data has a reason, and stands for
// something in a package that is otherwise closed.
func TestRules(t *testing.T) {
	for _, r := range harmlessRules {
		top, _, _ := strings.Cut(r.module, ".")
		if r.why == "" || !standardModules[top] {
			t.Errorf("%s: %s", r.module, r.names)
		}
	}
	for name := range deniedPackages {
		if standardModules[name] {
			t.Errorf("%s is of the standard library", name)
		}
	}
}
