package pickle

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// neverPass are packages of which the default policy must let nothing pass, in
// whatever role. They are written down by hand, apart from the policy's data.
var neverPass = set(`
	os posix nt posixpath ntpath subprocess sys importlib imp runpy pty socket ctypes _ctypes shutil pickle _pickle
	cPickle marshal code codeop compileall py_compile platform webbrowser commands popen2 asyncio multiprocessing
	threading _thread signal resource mmap fcntl tempfile glob fileinput linecache zipimport pkgutil site
	sitecustomize usercustomize antigravity this idlelib test turtledemo lib2to3 distutils ensurepip venv
	pydoc doctest unittest trace timeit profile cProfile pdb bdb inspect gc atexit weakref operator _operator
	_functools itertools types.FunctionType smtplib ftplib telnetlib imaplib poplib nntplib xmlrpc
	socketserver ssl select selectors logging shelve dbm sqlite3 urllib2 _posixsubprocess
	numpy pandas torch joblib cloudpickle dill pip setuptools pkg_resources django jinja2 yaml six
`)

// neverBuiltin are the builtins that must not pass under any policy's default.
var neverBuiltin = set(`
	eval exec execfile compile open file input raw_input __import__ globals locals vars dir setattr delattr hasattr
	breakpoint exit quit help map filter reduce apply memoryview property classmethod staticmethod super
	callable iter next sorted print reload id hash repr format
`)

// checkHarmless fails when a report that the default policy let pass names
// what must not.
func checkHarmless(t *testing.T, r Report) {
	t.Helper()
	if r.PersistentIDs > 0 {
		t.Fatal("a persistent id passes")
	}
	for _, g := range r.Globals {
		top, _, _ := strings.Cut(g.Module, ".")
		first, _, _ := strings.Cut(g.Name, ".")
		switch {
		case neverPass[top] || neverPass[g.Module] || neverPass[g.path()]:
			t.Fatalf("%s passes as %s", g.path(), g.Role)
		case g.Module == "builtins" && neverBuiltin[first]:
			t.Fatalf("%s passes as %s", g.path(), g.Role)
		case g.Role == RoleCallable && g.path() == "builtins.getattr" && g.Args.Kinds[0] != KindGlobal:
			t.Fatalf("getattr of a %s passes", g.Args.Kinds[0])
		case strings.Contains(g.Name, "__") && !specialPasses(&g):
			t.Fatalf("%s passes as %s", g.path(), g.Role)
		case strings.ContainsAny(g.path(), "\x00\r\n \t/\\"):
			t.Fatalf("%q passes", g.path())
		}
	}
}

// specialPasses says which names with two underscores may: copyreg's
// functions, a __new__ that is not called, and names that only look so.
func specialPasses(g *Global) bool {
	if g.Module == "copyreg" {
		return g.Name == "__newobj__" || g.Name == "__newobj_ex__"
	}
	parts := strings.Split(g.Name, ".")
	for i, part := range parts {
		if strings.HasPrefix(part, "__") &&
			!(part == "__new__" && i == len(parts)-1 && i > 0 && g.Derived && g.Role <= RoleLoaded) {
			return false
		}
	}
	return true
}

// FuzzPolicy: whatever the bytes, Verify and Check return, and nothing that is
// known to be dangerous passes the default policy in any role.
func FuzzPolicy(f *testing.F) {
	for i, s := range readSamples(f, "testdata/good.jsonl.gz") {
		if len(s.data) < 1000 && i%5 == 0 {
			f.Add(s.data)
		}
	}
	for _, s := range readSamples(f, "testdata/hostile.jsonl") {
		f.Add(s.data)
	}
	policy := defaultPolicy(f)
	options := sessionPolicy
	options.Strict = true
	strict, err := NewPolicy(options)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		r, err := Verify(data, Limits{})
		if !bytes.Equal(data, before) {
			t.Fatal("data was changed")
		}
		if err != nil {
			return
		}
		err = policy.Check(r)
		var refused *RefusedError
		if err != nil && (!errors.As(err, &refused) || refused.Reason == "") {
			t.Fatalf("error %#v", err)
		}
		if err == nil {
			checkHarmless(t, r)
		} else if strict.Check(r) == nil {
			t.Fatalf("the strict policy lets pass what the default refuses: %v", err)
		}
	})
}

// TestPolicyOverCorpora runs what FuzzPolicy asks over all samples, so that
// the hand-written lists and the policy are held against each other.
func TestPolicyOverCorpora(t *testing.T) {
	policy := defaultPolicy(t)
	passed := 0
	for _, path := range []string{"testdata/good.jsonl.gz", "testdata/roundtrip.jsonl.gz", "testdata/hostile.jsonl"} {
		for _, s := range readSamples(t, path) {
			if r, err := Verify(s.data, Limits{}); err == nil && policy.Check(r) == nil {
				passed++
				checkHarmless(t, r)
			}
		}
	}
	if passed < 600 {
		t.Errorf("only %d samples pass", passed)
	}
}
