package pickle

import (
	"bytes"
	"strings"
	"testing"
)

// TestSpread: an instance of an application's class passes as the arguments of
// a call, of the application's own callables alone.
func TestSpread(t *testing.T) {
	const pair = "capp\nPair\n(I1\nI2\nt\x81"
	policy := defaultPolicy(t)
	for _, c := range []struct{ name, pickle, verify, policy string }{
		{"REDUCE", "\x80\x02capp\nf\n" + pair + "R.", "", ""},
		{"REDUCE by REDUCE", "capp\nf\nccopy_reg\n_reconstructor\n(capp\nPair\nc__builtin__\ntuple\n(I1\nI2\nttRR.", "", ""},
		{"NEWOBJ", "\x80\x02capp\nC\n" + pair + "\x81.", "", ""},
		{"NEWOBJ_EX", "\x80\x04capp\nC\n" + pair + "}\x92.", "", ""},
		{"standard", "\x80\x02cdecimal\nDecimal\n" + pair + "R.", "", "decimal.Decimal"},
		{"no arguments known", "\x80\x02ccollections\nOrderedDict\n" + pair + "R.", "", "collections.OrderedDict"},
		{"getattr", "\x80\x02c__builtin__\ngetattr\n" + pair + "R.", "", "builtins.getattr"},
		{"reconstructor", "\x80\x02ccopy_reg\n_reconstructor\n" + pair + "R.", "", "copyreg._reconstructor"},
		{"a harmful element", "\x80\x02capp\nf\ncapp\nPair\ncos\nsystem\nI2\n\x86\x81R.", "", "os.system"},
		{"what a call returns", "\x80\x02capp\nf\ncapp\ng\n)RR.", "not a tuple", ""},
		{"an instance of a standard class", "\x80\x02capp\nf\ncdatetime\ntimedelta\n)\x81R.", "not a tuple", ""},
		{"a persistent id", "\x80\x02capp\nf\nP1\nR.", "not a tuple", ""},
		{"a list", "\x80\x02capp\nf\n]R.", "not a tuple", ""},
		{"no callable", "\x80\x02I1\n" + pair + "R.", "no import", ""},
	} {
		r, err := Verify([]byte(c.pickle), Limits{})
		if (err == nil) != (c.verify == "") || err != nil && !strings.Contains(err.Error(), c.verify) {
			t.Errorf("%s: Verify: %v", c.name, err)
		}
		if err != nil {
			continue
		}
		if err := policy.Check(r); (err == nil) != (c.policy == "") || err != nil && !strings.Contains(err.Error(), c.policy) {
			t.Errorf("%s: policy: %v", c.name, err)
		}
		v, err := Decode([]byte(c.pickle), DecodeOptions{})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		o := v.(*Object)
		if o.ArgsObject == nil || o.ArgsObject.Callable == nil || len(o.Args.Items) > 0 {
			t.Errorf("%s: %+v", c.name, o)
		}
		var back any
		if err := FromValue(v, &back, nil); err != nil || back != v {
			t.Errorf("%s: read as %v, %v", c.name, back, err)
		}
		for protocol := range 6 {
			b, err := Append(nil, v, protocol)
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			again, err := Decode(b, DecodeOptions{})
			if err == nil && (o.How == Reduce || protocol >= 4) {
				err = sameGraph(v, again)
			}
			if err != nil {
				t.Errorf("%s in protocol %d: %v", c.name, protocol, err)
			}
		}
		text, err := AppendJSON(nil, v, JSONOptions{Exact: true})
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseJSON(text)
		if err == nil {
			err = sameGraph(v, again)
		}
		if err != nil {
			t.Errorf("%s: %s: %v", c.name, text, err)
		}
		if text, err = AppendJSON(nil, v, JSONOptions{}); err != nil || !bytes.Contains(text, []byte(`"$args":{"$class":"app.Pair"`)) {
			t.Errorf("%s: %s, %v", c.name, text, err)
		}
	}
}

// TestSpreadOfNestedClass: a class that getattr yields twice is left a call the
// second time, and is the import of what is nested in it all the same.
func TestSpreadOfNestedClass(t *testing.T) {
	const nested = "h\x00capp\nA\nX\x01\x00\x00\x00B\x86R"
	data := []byte("\x80\x02c__builtin__\ngetattr\nq\x000" + nested + "0" +
		"capp\nK\nh\x00" + nested + "X\x01\x00\x00\x00C\x86R)\x81\x81.")
	if _, err := Verify(data, Limits{}); err != nil {
		t.Fatal(err)
	}
	v, err := Decode(data, DecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if class, ok := v.(*Object).ArgsObject.Class(); !ok || class != (Import{"app", "A.B.C"}) {
		t.Errorf("an instance of %v, %v", class, ok)
	}
}
