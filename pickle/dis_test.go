package pickle

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDisassembleGolden: the texts in testdata/dis are what CPython 3.11's
// pickletools printed of the pickles beside them. Remarks add to its lines.
func TestDisassembleGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/dis/*.pickle")
	if err != nil || len(paths) < 7 {
		t.Fatalf("%d files, %v", len(paths), err)
	}
	for _, path := range paths {
		data := readFile(t, path)
		want := string(readFile(t, strings.TrimSuffix(path, "pickle")+"txt"))
		var plain, remarked strings.Builder
		if err := Disassemble(&plain, data, DisassembleOptions{Plain: true}); err != nil || plain.String() != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", path, err, plain.String(), want)
		}
		if err := Disassemble(&remarked, data, DisassembleOptions{}); err != nil || withoutRemarks(remarked.String()) != want {
			t.Errorf("%s: %v\n%s\nwant with remarks\n%s", path, err, remarked.String(), want)
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func withoutRemarks(text string) string {
	var plain strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(strings.TrimSuffix(line, "\n"), "  # ")
		if !strings.HasPrefix(line, "# ") {
			plain.WriteString(line + "\n")
		}
	}
	return plain.String()
}

// TestDisassembleFaults: what comes before a fault is printed, and the error
// says where it is.
func TestDisassembleFaults(t *testing.T) {
	for _, c := range []struct {
		data    string
		printed int // lines
		offset  int
		opcode  string
		says    string
	}{
		{"", 0, 0, "", "empty"},
		{"N", 1, 1, "", "ends before STOP"},
		{"N\xff", 1, 1, "", "no such opcode"},
		{"K", 0, 0, "BININT1", "ends before STOP"},
		{"X\xff\xff\xff\xffa", 0, 0, "BINUNICODE", "ends before STOP"},
		{"\x8b\xff\xff\xff\xff", 0, 0, "LONG4", "negative"},
		{"\x8c\x01\xff.", 0, 0, "SHORT_BINUNICODE", "UTF-8"},
		{"Vx", 0, 0, "UNICODE", "ends before STOP"},
		{"V\\u12\n.", 0, 0, "UNICODE", "raw-unicode-escape"},
		{"Sx\n.", 0, 0, "STRING", "quoted"},
		{"S'\\x'\n.", 0, 0, "STRING", "escape"},
		{"cos\nsyst\xc3\xa9m\n.", 0, 0, "GLOBAL", "ASCII"},
		{"I1_\n.", 0, 0, "INT", "integer"},
		{"F0x1p3\n.", 0, 0, "FLOAT", "float"},
		{"NN.", 4, 2, "STOP", "1 items are left"},
		{".", 1, 0, "STOP", "1 items from a stack of 0"},
		{"t.", 1, 0, "TUPLE", "no MARK"},
		{"(R(t.", 2, 1, "REDUCE", "from a stack of 1"},
		{"N(R0t.", 4, 4, "TUPLE", "popped before"},
		{"h\x00.", 1, 0, "BINGET", "nothing was stored"},
		{"q\x00.", 1, 0, "BINPUT", "stack is empty"},
		{"(q\x00.", 2, 1, "BINPUT", "mark"},
		{"Nq\x00q\x00.", 3, 3, "BINPUT", "already"},
		{"I" + strings.Repeat("1", 4301) + "\n.", 0, 0, "INT", "MaxDigits"},
		{"\x8b\x00\x00\x01\x00" + strings.Repeat("\x7f", 1<<16) + ".", 0, 0, "LONG4", "MaxDigits"},
	} {
		var text strings.Builder
		err := Disassemble(&text, []byte(c.data), DisassembleOptions{Plain: true})
		offset, opcode := -1, ""
		var syntax *SyntaxError
		var limit *LimitError
		if errors.As(err, &syntax) {
			offset, opcode = syntax.Offset, syntax.Opcode
		} else if errors.As(err, &limit) {
			offset, opcode = limit.Offset, limit.Opcode
		}
		if err == nil || offset != c.offset || opcode != c.opcode || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.40q: %v, want byte %d (%s): %s", c.data, err, c.offset, c.opcode, c.says)
		}
		if n := strings.Count(text.String(), "\n"); n != c.printed {
			t.Errorf("%.40q: %d lines, want %d:\n%s", c.data, n, c.printed, text.String())
		}
	}
}

// TestDisassembleRemarks: imports are named where Verify follows them and
// where it no longer does, with nothing that a terminal would obey.
func TestDisassembleRemarks(t *testing.T) {
	for data, want := range map[string]string{
		"cos\nsystem\n(S'id'\ntR.":                    "GLOBAL     'os system'  # imports os.system, called\n",
		"c__builtin__\nset\n(]tR.":                    "# imports builtins.set, called\n",
		"cm\nC\n.":                                    "# imports m.C, loaded\n",
		"cm\nC\n0N.":                                  "# imports m.C\n",
		"(im\nC\n.":                                   "INST       'm C' (MARK at 0)  # imports m.C, class\n",
		"\x80\x02cm\nC\n)\x81cm\nC\n\x86.":            "# imports m.C, class\n",
		"\x80\x02cm\nC\nq\x00)\x81h\x00\x86.":         "# imports m.C, class, loaded\n",
		"\x80\x02\x82\x01.":                           "EXT1       1  # imports what copyreg has for this code\n",
		"\x80\x02\x82\x010cm\nC\n.":                   "# imports m.C, not followed\n",
		"\x80\x04\x82\x010\x8c\x01m\x8c\x01C\x93.":    "STACK_GLOBAL  # imports a name that was not followed\n",
		"\x80\x03c__builtin__\ngetattr\n0N.":          "# imports __builtin__.getattr\n",
		"\x80\x02cm\nC\n(cm\nD\nVx\ntR.":              "# imports m.C, called\n",
		"\x80\x04\x8c\x01m\x8c\x04C\xe2\x80\xae\x93.": "# imports m.C\\u202e, loaded\n",
		"\x80\x02c__builtin__\ngetattr\n(cm\nC\nX\x01\x00\x00\x00DtR)\x81.": "REDUCE  # imports m.C.D, class\n",
		"cm\nC\n(q\x00.": "# imports m.C\n",
	} {
		var got strings.Builder
		err := Disassemble(&got, []byte(data), DisassembleOptions{})
		if !strings.Contains(got.String(), want) {
			t.Errorf("%q: %v\n%swant %s", data, err, got.String(), want)
		}
		stopped := strings.Contains(got.String(), "# imports were not followed further: pickle: at byte ")
		if _, verified := Verify([]byte(data), Limits{}); err == nil && stopped != (verified != nil) {
			t.Errorf("%q: Verify says %v\n%s", data, verified, got.String())
		}
	}
}

// TestDisassembleDepth: the indentation of 100,000 marks would come to 40 GB.
func TestDisassembleDepth(t *testing.T) {
	const depth = 100_000
	data := strings.Repeat("(", depth) + strings.Repeat("t", depth) + "."
	var n counter
	if err := Disassemble(&n, []byte(data), DisassembleOptions{}); err != nil {
		t.Fatal(err)
	}
	if n > mostIndented+200*depth {
		t.Errorf("%d bytes", n)
	}
}

type counter int

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestDisassembleErrors(t *testing.T) {
	if err := Disassemble(broken{}, []byte("N."), DisassembleOptions{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a broken writer: %v", err)
	}
	var limit *LimitError
	err := Disassemble(io.Discard, []byte("NN0."), DisassembleOptions{Limits: Limits{MaxBytes: 3}})
	if !errors.As(err, &limit) || limit.Limit != "MaxBytes" {
		t.Errorf("too long: %v", err)
	}
	if err := Disassemble(io.Discard, []byte("N"), DisassembleOptions{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: %v", err)
	}
}

// FuzzDisassemble: whatever the bytes, the text is printable, in proportion,
// and what Verify accepts is printed to its end.
func FuzzDisassemble(f *testing.F) {
	for i, s := range readSamples(f, "testdata/good.jsonl.gz") {
		if len(s.data) < 2000 && i%7 == 0 {
			f.Add(s.data)
		}
	}
	for _, s := range readSamples(f, "testdata/hostile.jsonl") {
		f.Add(s.data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		var text bytes.Buffer
		err := Disassemble(&text, data, DisassembleOptions{})
		if !bytes.Equal(data, before) {
			t.Fatal("data was changed")
		}
		var syntax *SyntaxError
		var limit *LimitError
		if err != nil && !errors.As(err, &syntax) && !errors.As(err, &limit) {
			t.Fatalf("error %#v", err)
		}
		for _, r := range text.String() {
			if r < ' ' && r != '\n' || r == 0x7f || r == 0x202e {
				t.Fatalf("prints %q", r)
			}
		}
		if len(data) < 1000 && text.Len() > 200+len(data)*(200+4*len(data)) {
			t.Fatalf("%d bytes of %d", text.Len(), len(data))
		}
		report, verified := Verify(data, Limits{})
		if verified != nil {
			return
		}
		if err != nil && report.PersistentIDs == 0 && !stricter(err) {
			t.Fatalf("Verify accepts it: %v", err)
		}
	})
}

// stricter: what pickletools refuses and CPython loads.
func stricter(err error) bool {
	for _, reason := range []string{"beyond ASCII", "already", "broken escape", "MaxDigits"} {
		if strings.Contains(err.Error(), reason) {
			return true
		}
	}
	return false
}
