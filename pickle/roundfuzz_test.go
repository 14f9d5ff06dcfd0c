package pickle

import (
	"bytes"
	"errors"
	"testing"
)

func addPickles(f *testing.F) {
	for i, s := range readSamples(f, "testdata/good.jsonl.gz") {
		if len(s.data) < 2000 && i%7 == 0 {
			f.Add(s.data)
		}
	}
	for i, s := range readSamples(f, "testdata/roundtrip.jsonl.gz") {
		if len(s.data) < 300 && i%41 == 0 {
			f.Add(s.data)
		}
	}
	for _, s := range readSamples(f, "testdata/hostile.jsonl") {
		f.Add(s.data)
	}
}

// FuzzDecode: whatever the bytes, Decode returns a value or an error of its
// types, leaves the bytes alone, and reads what Verify lets through.
func FuzzDecode(f *testing.F) {
	addPickles(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		v, err := Decode(data, DecodeOptions{})
		if !bytes.Equal(data, before) {
			t.Fatal("data was changed")
		}
		if err == nil && v == nil {
			t.Fatal("neither value nor error")
		}
		if err == nil {
			return
		}
		var syntax *SyntaxError
		var limit *LimitError
		if !errors.As(err, &syntax) && !errors.As(err, &limit) {
			t.Fatalf("error %#v", err)
		}
		if _, verified := Verify(data, Limits{}); verified == nil && !beyondVerify(err) {
			t.Fatalf("Verify lets it through: %v", err)
		}
	})
}

// beyondVerify: errors about which Verify may be of another mind, as it does
// not tell lists from what calls return, copies nothing, and does not see what
// is put into a list that others hold already.
func beyondVerify(err error) bool {
	var limit *LimitError
	if errors.As(err, &limit) {
		return limit.Limit == "MaxHashed" || limit.Limit == "MaxDepth"
	}
	var syntax *SyntaxError
	if !errors.As(err, &syntax) {
		return false
	}
	switch syntax.Opcode {
	case "BUILD", "APPEND", "APPENDS", "SETITEM", "SETITEMS", "ADDITEMS":
		return true
	}
	return false
}

// FuzzEncode: what was decoded can be written in each protocol, and is read
// again as it was.
func FuzzEncode(f *testing.F) {
	addPickles(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Decode(data, DecodeOptions{})
		if err != nil {
			return
		}
		for protocol := range 6 {
			b, err := Append(nil, v, protocol)
			var refused *EncodeError
			if errors.As(err, &refused) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			again, err := Decode(b, DecodeOptions{})
			if err != nil {
				t.Fatalf("protocol %d: %q: %v", protocol, b, err)
			}
			if protocol >= 4 && len(b) < 2000 {
				c, err := Append(nil, again, protocol)
				if err != nil || !bytes.Equal(b, c) {
					t.Fatalf("protocol %d: %q and then %q, %v", protocol, b, c, err)
				}
			}
		}
	})
}
