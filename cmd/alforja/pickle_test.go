package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"alforja/pickle"
)

// The process that verify --second-opinion starts is this very program.
func init() {
	if len(os.Args) > 1 && os.Args[1] == "pickle" {
		os.Exit(run(context.Background(), os.Args[1:]))
	}
}

// invoke carries out a command line.
func invoke(stdin string, args ...string) (stdout string, err error) {
	var out bytes.Buffer
	root := rootCommand()
	root.SetArgs(append([]string{"pickle"}, args...))
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&out)
	err = root.ExecuteContext(context.Background())
	return out.String(), err
}

func TestPickleUsage(t *testing.T) {
	for args, says := range map[string]string{
		"dis":                                "wants a FILE",
		"dis a b":                            "takes one FILE",
		"dis --plian a":                      "did you mean --plain?",
		"diss a":                             "did you mean dis?",
		"json --max-bytes 0 a":               "--max-bytes 0",
		"json --max-bytes 2147483648 a":      "2147483647",
		"recode --protocol 6 a":              "0 to 5",
		"recode --jsonl -o x":                "--output",
		"verify":                             "wants a FILE",
		"verify --policy lax a":              `"strict"`,
		"verify --allow x a":                 "package.module.Name",
		"verify --policy none --allow a.B a": "no effect",
		"verify --jsonl a b":                 "takes one FILE",
	} {
		_, err := invoke("", strings.Fields(args)...)
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", args, err, says)
		}
	}
}

func TestPickleFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, data string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, empty, cut := write("good", "\x80\x04K\x07."), write("empty", ""), write("cut", "\x80\x04K\x07")
	evil, hidden := write("evil", "cos\nsystem\n(tR."), write("hidden", "\x80\x04\x8c\x01m\x8c\x04C\xe2\x80\xae\x93.")
	deep := write("deep", strings.Repeat("]", 20_000)+strings.Repeat("a", 19_999)+".")
	for _, c := range []struct{ args, out, says string }{
		{"json " + good, "7\n", ""},
		{"dis " + cut, "    0: \\x80 PROTO      4\n    2: K    BININT1    7\n", "no pickle"},
		{"json " + empty, "", "is empty"},
		{"recode --protocol 0 " + good, "I7\n.", ""},
		{"recode " + deep, "", "pickle dis shows it"},
		{"json " + deep, "", "pickle dis shows it"},
		{"json --max-bytes 4 " + good, "", "raise --max-bytes"},
		{"dis " + dir, "", "directory"},
		{"dis " + filepath.Join(dir, "none"), "", "no such file"},
		{"verify " + good, good + ": ok\n  protocol 4, 5 bytes, depth 0, 0 memo entries\n", ""},
		{"verify --policy none " + evil, evil + ": ok\n  protocol 0, 15 bytes, depth 2, 0 memo entries\n  called   os.system (byte 0)\n", ""},
		{"verify --allow os.system --policy strict " + evil, evil + ": ok\n  protocol 0, 15 bytes, depth 2, 0 memo entries\n  called   os.system (byte 0)\n", ""},
		{"verify " + hidden, hidden + ": ok\n  protocol 4, 13 bytes, depth 0, 0 memo entries\n  loaded   m.C\\u202e (byte 11)\n", ""},
		{"verify " + good + " " + evil + " " + cut, "*", "2 of 3 do not verify"},
		{"verify --json " + empty, "*", "1 of 1"},
	} {
		out, err := invoke("", strings.Fields(c.args)...)
		if c.out != "*" && out != c.out {
			t.Errorf("%s: printed %q, want %q", c.args, out, c.out)
		}
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.args, err, c.says)
		}
	}
}

func TestRecodeToFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	if out, err := invoke(`{"$float":"nan"}`, "recode", "--from-json", "-", "-o", path); err != nil || out != "" {
		t.Fatalf("%q, %v", out, err)
	}
	data, err := os.ReadFile(path)
	if want := "\x80\x04\x95\x0a\x00\x00\x00\x00\x00\x00\x00G\x7f\xf8\x00\x00\x00\x00\x00\x00."; err != nil || string(data) != want {
		t.Errorf("%q, %v", data, err)
	}
}

// TestJSONLines: one answer for each line, in order, whatever the line.
func TestJSONLines(t *testing.T) {
	long := `{"name":"long","hex":"` + strings.Repeat("4e", 70_000) + `"}`
	input := strings.Join([]string{
		`{"name":"a","hex":"4e2e"}`, ``, `{"name":"b","hex":"4e2"}`, `{"name":"c"}`, `[]`, `{`, "{\"name\":\"\xff\"}",
		long, `{"name":"\ud800\u202e","hex":"4E2E"}`, `{"name":"d","hex":""}`, `{"name":"e","hex":"4e2e"}`,
	}, "\n")
	out, err := invoke(input, "json", "--jsonl", "--max-bytes", "1000")
	if err == nil || err.Error() != "8 of 11 lines failed" {
		t.Errorf("error %v", err)
	}
	want := `{"name":"a","json":null}
{"name":null,"line":2,"error":"an empty line"}
{"name":"b","line":3,"error":"\"hex\": encoding/hex: odd length hex string"}
{"name":"c","line":4,"error":"no \"hex\" in the line"}
{"name":null,"line":5,"error":"not an object {\"name\": ..., \"hex\": ...}"}
{"name":null,"line":6,"error":"pickle: JSON: at byte 2: want a key in quotes"}
{"name":null,"line":7,"error":"pickle: JSON: at byte 9: a string that is not UTF-8"}
{"name":null,"line":8,"error":"the line is longer than 67536 bytes: raise --max-bytes"}
{"name":"\ud800\u202e","json":null}
{"name":"d","line":10,"error":"pickle: at byte 0: the input is empty; it was cut off, or is no pickle"}
{"name":"e","json":null}
`
	if out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

func TestJSONLinesOfEachCommand(t *testing.T) {
	const line = `{"name":"x","hex":"80044b072e"}` + "\n"
	for args, want := range map[string]string{
		"recode --protocol 0": `{"name":"x","hex":"49370a2e"}`,
		"json --exact":        `{"name":"x","json":7}`,
		"dis --plain":         `{"name":"x","dis":"    0: \\x80 PROTO      4\n    2: K    BININT1    7\n    4: .    STOP\nhighest protocol among opcodes = 2\n"}`,
		"verify":              `{"name":"x","ok":true,"report":{"protocol":4,"used":5,"trailing":0,"depth":0,"memo":0,"persistent_ids":0,"globals":[]}}`,
	} {
		if out, err := invoke(line, append(strings.Fields(args), "--jsonl")...); err != nil || out != want+"\n" {
			t.Errorf("%s: %s, %v", args, out, err)
		}
	}
	if out, err := invoke(`{"name":"x","json":{"$int":"7"}}`, "recode", "--from-json", "--jsonl", "--protocol", "0"); err != nil || out != `{"name":"x","hex":"49370a2e"}`+"\n" {
		t.Errorf("%s, %v", out, err)
	}
}

// TestJSONLinesAtOnce: an answer does not wait for the next line.
func TestJSONLinesAtOnce(t *testing.T) {
	in, feed := io.Pipe()
	answers, out := io.Pipe()
	root := rootCommand()
	root.SetArgs([]string{"pickle", "recode", "--jsonl", "-"})
	root.SetIn(in)
	root.SetOut(out)
	done := make(chan error)
	go func() { done <- root.ExecuteContext(context.Background()) }()
	lines := bufio.NewReader(answers)
	for i := range 3 {
		fmt.Fprintf(feed, `{"name":%d,"hex":"4e2e"}`+"\n", i)
		if line, err := lines.ReadString('\n'); err != nil || line != fmt.Sprintf(`{"name":%d,"hex":"80044e2e"}`+"\n", i) {
			t.Fatalf("%q, %v", line, err)
		}
	}
	feed.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestConsult(t *testing.T) {
	for data, want := range map[string]opinion{
		"\x80\x04K\x07.":      {"accepts", "", false},
		"\xff":                {"panics", "runtime error: index out of range [255] with length 255", false},
		"\x80\x04K":           {"refuses", "EOF", false},
		"(lp0\nI1\na.":        {"accepts", "", false},
		"(dVk\\u20ac\nI1\ns.": {"accepts", `value key 0 is "k€", and string k\u20ac to gopickle`, true},
		"\x80\x02cm\nC\n)\x81}X\x01\x00\x00\x00xK\x01sb.": {"accepts", "", false},
		"\x80\x02]q\x00h\x00a.":                           {"accepts", "", false},
	} {
		if got := consult([]byte(data), pickle.Limits{}); *got != want {
			t.Errorf("%q: %+v, want %+v", data, *got, want)
		}
	}
}

// TestSecondOpinion: what gopickle dies of does not end the command, and the
// pickle after it gets its opinion.
func TestSecondOpinion(t *testing.T) {
	defer goleak.VerifyNone(t)
	var input strings.Builder
	for _, data := range []string{"N.", "\xff", strings.Repeat("(", 12<<20), "N."} {
		fmt.Fprintf(&input, `{"name":"x","hex":"%x"}`+"\n", data)
	}
	out, _ := invoke(input.String(), "verify", "--jsonl", "--second-opinion", "--max-bytes", "16777216")
	var said []string
	for line := range strings.Lines(out) {
		var a struct {
			Opinion opinion `json:"second_opinion"`
		}
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatal(err)
		}
		said = append(said, a.Opinion.Says)
	}
	if got := strings.Join(said, " "); got != "accepts panics dies accepts" {
		t.Errorf("%s\n%.2000s", got, out)
	}
}

// TestPython2TypesAreKept: by recode, and by way of exact JSON.
func TestPython2TypesAreKept(t *testing.T) {
	const old = "(lp1\nL5L\naI5\nac__builtin__\nint\np2\nac__builtin__\nlong\np3\na."
	recoded, err := invoke(old, "recode", "--protocol", "0", "-")
	if err != nil || !strings.Contains(recoded, "L5L\naI5\nac__builtin__\nint\n") || !strings.Contains(recoded, "c__builtin__\nlong\n") {
		t.Errorf("%q, %v", recoded, err)
	}
	text, err := invoke(old, "json", "--exact", "--compact", "-")
	if err != nil || text != `[{"$int2":"5L"},5,{"$import2":"__builtin__ int"},{"$import":["builtins","int"]}]`+"\n" {
		t.Errorf("%s, %v", text, err)
	}
	if again, err := invoke(text, "recode", "--from-json", "--protocol", "0", "-"); err != nil || again != recoded {
		t.Errorf("%q, %v", again, err)
	}
	if text, err = invoke(old, "json", "--compact", "-"); err != nil || text != `[5,5,{"$import":"builtins.int"},{"$import":"builtins.int"}]`+"\n" {
		t.Errorf("%s, %v", text, err)
	}
}

// TestMaxDigits: integers in text are as long as Python takes them, or as the flag
// says.
func TestMaxDigits(t *testing.T) {
	long := "L1" + strings.Repeat("0", 5000) + "L\n."
	for _, command := range []string{"verify", "json", "recode"} {
		out, err := invoke(long, command, "-")
		if err == nil || !strings.Contains(out+err.Error(), "raise --max-digits") {
			t.Errorf("%s: %s, %v", command, out, err)
		}
		if _, err := invoke(long, command, "--max-digits", "5001", "-"); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
	if _, err := invoke(long, "json", "--max-digits", "0", "-"); err == nil {
		t.Error("0 digits")
	}
}
