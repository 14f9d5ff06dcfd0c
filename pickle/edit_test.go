package pickle

import (
	"bytes"
	"errors"
	"testing"
)

// TestEdit compares edits of bytes with the same edits of decoded values, for
// every attribute of every instance in the corpora.
func TestEdit(t *testing.T) {
	replacements := []Value{None{}, Str("x"), Float(2.5), &List{Items: []Value{Str("x"), Str("x"), new(Tuple), Int(5)}}}
	edited, refused := 0, 0
	for i, s := range roundTrips(t) {
		v, err := Decode(s.data, DecodeOptions{})
		if err != nil {
			continue
		}
		o, ok := v.(*Object)
		if !ok || o.Later != nil || o.StateSetter != nil {
			continue
		}
		d, ok := o.State.(*Dict)
		if !ok {
			continue
		}
		for k, item := range d.Items {
			name, ok := item.Key.(Str)
			if !ok || len(d.Items) > 100 && k%97 > 0 { // of many, some
				continue
			}
			if got, err := FindAttribute(s.data, string(name)); err == nil {
				if err := sameGraph(item.Value, got); err != nil {
					t.Errorf("%s: %s: %v", s.Name, name, err)
				}
			} else if !errors.Is(err, ErrNotEditable) {
				t.Errorf("%s: %s: %v", s.Name, name, err)
			}
			replacement := replacements[i%len(replacements)]
			out, err := ReplaceAttribute(nil, s.data, string(name), replacement)
			if errors.Is(err, ErrNotEditable) {
				refused++
				continue
			}
			if err != nil {
				t.Errorf("%s: %s: %v", s.Name, name, err)
				continue
			}
			edited++
			if _, err := Verify(out, Limits{}); err != nil {
				if _, before := Verify(s.data, Limits{}); before == nil {
					t.Errorf("%s: %s: %v", s.Name, name, err)
				}
			}
			got, err := Decode(out, DecodeOptions{})
			if err != nil {
				t.Errorf("%s: %s: %v", s.Name, name, err)
				continue
			}
			old := item.Value
			d.Set(name, replacement)
			if err := sameGraph(o, got); err != nil {
				t.Errorf("%s: %s: %v", s.Name, name, err)
			}
			d.Set(name, old)
		}
	}
	t.Logf("%d edited, %d refused", edited, refused)
	if edited < 500 || refused > edited {
		t.Errorf("%d edited, %d refused", edited, refused)
	}
}

func TestEditRefused(t *testing.T) {
	const object = "\x80\x04\x8c\x01m\x8c\x01C\x93)\x81"
	tests := []struct {
		name, data string
		want       error
	}{
		{"no such attribute", object + "}\x8c\x01bNsb.", ErrNoAttribute},
		{"no state", object + ".", ErrNotEditable},
		{"no instance", "\x80\x04}\x8c\x01aNs.", ErrNotEditable},
		{"state of slots", object + "N}\x8c\x01aNs\x86b.", ErrNotEditable},
		{"two states", object + "}\x8c\x01aNsb}\x8c\x01aNsb.", ErrNotEditable},
		{"referred to", object + "}(\x8c\x01a]\x94\x8c\x01bh\x00ub.", ErrNotEditable},
		{"changed afterwards", object + "}(\x8c\x01a]\x94\x8c\x01bNuh\x00NaNb0b.", nil},
		{"an escaped key", "(cm\nC\no(dVa\nNsV\\u0061\nNsb.", ErrNotEditable},
		{"built from itself", object + "2(\x8c\x01aNub.", ErrNotEditable},
		{"popped in between", object + "}\x8c\x01aK\x010Nsb.", ErrNotEditable},
		{"index written twice", object + "}q\x00\x8c\x01aNsq\x00b.", ErrNotEditable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReplaceAttribute(nil, []byte(tt.data), "a", None{})
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	shared := new(List)
	for name, v := range map[string]Value{
		"shared": &List{Items: []Value{shared, shared}}, "cut": nil,
	} {
		if _, err := ReplaceAttribute(nil, []byte(object+"}\x8c\x01aNsb."), "a", v); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestSetFloatAttribute: the bytes are those that Append writes.
func TestSetFloatAttribute(t *testing.T) {
	s := find(t, readSamples(t, "testdata/good.jsonl.gz"), "3.6/p4/c/shop")
	data := bytes.Clone(s.data)
	if err := SetFloatAttribute(data, "_access_time", 1800000000.75); err != nil {
		t.Fatal(err)
	}
	v, err := Decode(s.data, DecodeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	v.(*Object).Attributes().Set(Str("_access_time"), Float(1800000000.75))
	want, err := Append(nil, v, 4)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, want) {
		t.Errorf("got %q, want %q", data, want)
	}
	if err := SetFloatAttribute(data, "user", 1); !errors.Is(err, ErrNotEditable) {
		t.Errorf("a str: %v", err)
	}
}

// FuzzEdit: whatever the bytes, an edit that goes through does to the value
// what the same edit of the decoded value does.
func FuzzEdit(f *testing.F) {
	f.Add([]byte("\x80\x04\x8c\x01m\x8c\x01C\x93)\x81}(\x8c\x01a]\x94\x8c\x01bNub."))
	f.Add([]byte("\x80\x02cm\nC\nq\x00)\x81q\x01}q\x02(X\x01\x00\x00\x00aq\x03]q\x04(K\x01K\x02eX\x01\x00\x00\x00bq\x05Nub."))
	f.Add([]byte("ccopy_reg\n_reconstructor\np0\n(cm\nC\np1\nc__builtin__\nobject\np2\nNtp3\nRp4\n(dp5\nVa\np6\nF1.5\nsVb\np7\nNsb."))
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := ReplaceAttribute(nil, data, "a", Int(5))
		FindAttribute(data, "a")
		if err != nil {
			return
		}
		v, err := Decode(data, DecodeOptions{})
		if err != nil {
			return
		}
		got, err := Decode(out, DecodeOptions{})
		if err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		d := v.(*Object).Attributes()
		if _, ok := d.Get(Str("a")); !ok {
			return // a str of Python 2
		}
		d.Set(Str("a"), Int(5))
		if err := sameGraph(v, got); err != nil {
			t.Fatalf("%q and %q: %v", data, out, err)
		}
	})
}

func BenchmarkEdit(b *testing.B) {
	for _, c := range benchStates(b) {
		b.Run(c.size, func(b *testing.B) {
			b.SetBytes(int64(len(c.data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := SetFloatAttribute(c.data, "_access_time", 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
