package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestCut: every proper prefix of a pickle ends too early, and says so.
func TestCut(t *testing.T) {
	for _, s := range readSamples(t, "testdata/good.jsonl.gz") {
		if len(s.data) > 1000 {
			continue
		}
		for n := range s.data {
			if _, err := Verify(s.data[:n], Limits{}); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%s cut at %d of %d: %v", s.Name, n, len(s.data), err)
			}
		}
	}
}

// TestGarbage: what is no pickle is told from what is cut.
func TestGarbage(t *testing.T) {
	for _, data := range []string{
		"\x00", "\xff", "hello", "\x80\x06", "<html>", "\x80\x04\x00", "{}", "I1x\n.",
		"V\\u0041\n.", "S'\\x41'\n.", "S'\\101'\n.",
		"\x95\x02\x00\x00\x00\x00\x00\x00\x00J\x01\x00\x00\x00.", "\x95\x02\x00\x00\x00\x00\x00\x00\x00V1\n.",
	} {
		_, err := Verify([]byte(data), Limits{})
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", data, err)
		}
	}
}

// TestTrailing: bytes after STOP are counted and change nothing else.
func TestTrailing(t *testing.T) {
	samples := readSamples(t, "testdata/good.jsonl.gz")
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom(samples).Draw(t, "sample")
		tail := rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "tail")
		want, err := Verify(s.data, Limits{})
		if err != nil {
			return
		}
		want.Trailing = len(tail)
		got, err := Verify(append(bytes.Clone(s.data), tail...), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestReport(t *testing.T) {
	tests := []struct {
		name, data string
		want       Report
	}{
		{"nothing imported", "]N\x94a.", Report{Memo: 1, Depth: 1}},
		{"popped", "ca\nB\n0N.", Report{Globals: []Global{{Module: "a", Name: "B", Role: RolePopped}}}},
		{"loaded", "(ca\nB\nl.", Report{Depth: 1, Globals: []Global{{Module: "a", Name: "B", Role: RoleLoaded, Offset: 1}}}},
		{"the result", "ca\nB\n.", Report{Globals: []Global{{Module: "a", Name: "B", Role: RoleLoaded}}}},
		{"class and state", "ca\nB\n)\x81}b.", Report{Depth: 2, Globals: []Global{
			{Module: "a", Name: "B", Role: RoleClass, State: true}}}},
		{"called with items", "ca\nB\n(K\x01Vx\ntRNa.", Report{Depth: 2, Globals: []Global{
			{Module: "a", Name: "B", Role: RoleCallable, Items: true, Args: Args{Count: 2, Kinds: [4]Kind{KindInt, KindText}}}}}},
		{"two roles", "ca\nB\np0\n)\x81g0\n\x86.", Report{Depth: 3, Memo: 1, Globals: []Global{
			{Module: "a", Name: "B", Role: RoleClass},
			{Module: "a", Name: "B", Role: RoleLoaded}}}},
		{"many arguments", "ca\nB\n(NNNNK\x01K\x02K\x03tR.", Report{Depth: 2, Globals: []Global{
			{Module: "a", Name: "B", Role: RoleCallable, Args: Args{Count: 7, Kinds: [4]Kind{KindNone, KindNone, KindNone, KindNone}, Rest: KindInt}}}}},
		{"instance of protocol 0", "(ia\nB\n.", Report{Depth: 1, Globals: []Global{{Module: "a", Name: "B", Role: RoleClass, Offset: 1}}}},
		{"keywords", "\x80\x04\x8c\x01a\x8c\x01B\x93)}\x92.", Report{Protocol: 4, Depth: 2, Globals: []Global{
			{Module: "a", Name: "B", Role: RoleClass, Offset: 8, Args: Args{Keywords: true}}}}},
		{"renamed module", "cUserDict\nX\n.", Report{Globals: []Global{{Module: "collections", Name: "X", Role: RoleLoaded}}}},
		{"renamed name", "c__builtin__\nxrange\n.", Report{Globals: []Global{{Module: "builtins", Name: "range", Role: RoleLoaded}}}},
		{"not renamed in protocol 3", "\x80\x03c__builtin__\nxrange\n.", Report{Protocol: 3, Globals: []Global{
			{Module: "__builtin__", Name: "xrange", Role: RoleLoaded, Offset: 2}}}},
		{"nested class below protocol 4", "c__builtin__\ngetattr\n(ca\nB\nVC\ntR)\x81.", Report{Depth: 2, Globals: []Global{
			{Module: "builtins", Name: "getattr", Role: RoleCallable, Args: Args{Count: 2, Kinds: [4]Kind{KindGlobal, KindText}}},
			{Module: "a", Name: "B", Role: RoleLoaded, Offset: 22},
			{Module: "a", Name: "B.C", Role: RoleClass, Offset: 31, Derived: true}}}},
		{"class of a reconstructor", "ccopy_reg\n_reconstructor\n(ca\nB\nc__builtin__\nobject\nNtR.", Report{Depth: 2, Globals: []Global{
			{Module: "copyreg", Name: "_reconstructor", Role: RoleCallable, Args: Args{Count: 3, Kinds: [4]Kind{KindGlobal, KindGlobal, KindNone}}},
			{Module: "a", Name: "B", Role: RoleLoaded, Offset: 26},
			{Module: "builtins", Name: "object", Role: RoleLoaded, Offset: 31},
			{Module: "a", Name: "B", Role: RoleClass, Offset: 26}}}},
		{"persistent", "P1\n.", Report{PersistentIDs: 1}},
		{"memoize counts entries", "Np5\n\x94g1\n\x86.", Report{Memo: 2, Depth: 1}},
		{"POP takes a mark", "N(0.", Report{}},
		{"two frames", "\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00]\x95\x02\x00\x00\x00\x00\x00\x00\x00\x94.", Report{Protocol: 4, Memo: 1, Depth: 1}},
		{"memo index of a long line", "((lp100000\ng100000\nt.", Report{Memo: 1, Depth: 2}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want.Used = len(tt.data)
			got, err := Verify([]byte(tt.data), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	key := "})" + strings.Repeat("2\x86", 6) + "Ns." // 127 values to hash
	tests := []struct {
		name   string
		data   string
		passes Limits
		fails  Limits
	}{
		{"MaxBytes", "NNN000N.", Limits{MaxBytes: 8}, Limits{MaxBytes: 7}},
		{"MaxDepth", "]]]aa.", Limits{MaxDepth: 3}, Limits{MaxDepth: 2}},
		{"MaxMemo", "N\x94\x94.", Limits{MaxMemo: 2}, Limits{MaxMemo: 1}},
		{"MaxDigits", "L-123L\n.", Limits{MaxDigits: 3}, Limits{MaxDigits: 2}},
		{"MaxHashed", key, Limits{MaxHashed: 127}, Limits{MaxHashed: 126}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Verify([]byte(tt.data), tt.passes); err != nil {
				t.Error(err)
			}
			_, err := Verify([]byte(tt.data), tt.fails)
			var limit *LimitError
			if !errors.As(err, &limit) || limit.Limit != tt.name {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestBounded: what a megabyte can ask for, in time and memory, stays a small
// multiple of a megabyte.
func TestBounded(t *testing.T) {
	const size = 1 << 20
	repeat := func(head, body string) []byte {
		return []byte(head + strings.Repeat(body, (size-len(head))/len(body)) + ".")
	}
	long := "X" + string(binary.LittleEndian.AppendUint32(nil, 30000)) + strings.Repeat("a", 30000)
	tests := map[string][]byte{
		"marks":              repeat("", "("),
		"memo, ever higher":  repeat("N", "\x94"),
		"memo, sparse":       repeat("N", "r\xff\xff\x01\x00r\xfe\xff\x01\x00"),
		"tuples":             repeat("", ")\x85"),
		"one name, again":    repeat("\x80\x04"+long+"\x940"+"\x8c\x01B\x940", "h\x00h\x01\x930"),
		"one attribute":      repeat("c__builtin__\ngetattr\np0\n0(ca\nB\nVC\ntp1\n0", "g0\ng1\nR0"),
		"attributes, longer": repeat("c__builtin__\ngetattr\np0\n0ca\nB\np1\n", "p1\n0g0\n(g1\nVC\ntR"),
		"long arguments":     repeat("ca\nB\np0\n0("+strings.Repeat("N", 200_000)+"tp1\n0", "g0\ng1\nR0"),
		"shapes of one call": repeat("ca\nB\np0\n0", "g0\n(NNNtRg0\n(NK\x01tR00"),
		"many shapes":        manyShapes(size),
		"lists of lists":     repeat("", "]"),
		"one key, again":     repeat("}p0\n0((((NtttNtp1\n0g0\n", "g1\nNs"),
		"cut text":           []byte(strings.Repeat("V", size)),
	}
	for name, data := range tests {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := Verify(data, Limits{})
			took := time.Since(start)
			runtime.ReadMemStats(&after)
			if spent := after.TotalAlloc - before.TotalAlloc; spent > 256*size {
				t.Errorf("allocated %d bytes: %v", spent, err)
			}
			if took > 5*time.Second {
				t.Errorf("took %v: %v", took, err)
			}
		})
	}
}

// manyShapes calls one import with arguments of ever other kinds.
func manyShapes(size int) []byte {
	kinds := []string{"N", "\x88", "K\x01", "F1\n", "Vx\n", "Vlatin1\n", "V7\n", "C\x01a", "]", ")", "}", "(\x91"}
	var b bytes.Buffer
	for i, kind := range kinds {
		b.WriteString(kind + "q" + string(rune(i)) + "0")
	}
	b.WriteString("ca\nB\nq\x7f")
	for n := 0; b.Len() < size-20; n++ {
		b.WriteString("h\x7f(")
		for digits, i := n, 0; i < 5; digits, i = digits/len(kinds), i+1 {
			b.WriteString("h" + string(rune(digits%len(kinds))))
		}
		b.WriteString("tR0")
	}
	b.WriteByte('.')
	return b.Bytes()
}
