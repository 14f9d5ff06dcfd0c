package pickle

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// interpreter returns the Python of that version: pyenv's, or the one in PATH.
// It is empty when there is none.
func interpreter(version string) string {
	root := os.Getenv("PYENV_ROOT")
	if root == "" {
		root = filepath.Join(os.Getenv("HOME"), ".pyenv")
	}
	found, _ := filepath.Glob(filepath.Join(root, "versions", version+".*", "bin", "python"+version))
	if len(found) > 0 {
		return found[0]
	}
	path, err := exec.LookPath("python" + version)
	if err != nil || exec.Command(path, "-c", "").Run() != nil {
		return "" // or a shim of pyenv's for what is not installed
	}
	return path
}

// TestRoundTripWriters: the Python that wrote a pickle loads the same value from
// what was decoded and encoded, in the same protocol, and for Python 2 in its
// other ones: the same types, int and long, str and unicode, too.
func TestRoundTripWriters(t *testing.T) {
	byPython := map[string][]sample{}
	for _, s := range roundTrips(t) {
		byPython[s.Python] = append(byPython[s.Python], s)
	}
	for _, version := range slices.Sorted(maps.Keys(byPython)) {
		t.Run(version, func(t *testing.T) {
			python := interpreter(version)
			if python == "" {
				t.Skipf("there is no Python %s here: its %d pickles are compared by python3 alone", version, len(byPython[version]))
			}
			c := comparison{options: DecodeOptions{Python2Types: true}}
			for _, s := range byPython[version] {
				v, err := Decode(s.data, c.options)
				if err != nil {
					if !notValue(err) {
						t.Errorf("%s: %v", s.Name, err)
					}
					continue
				}
				protocols := []int{s.Protocol}
				switch {
				case version == "2.7" && s.Protocol == 0 && strings.Contains(s.Name, "numbers/floats"):
					// The bits of a NaN that is read from text are the reader's.
				case version == "2.7":
					protocols = []int{0, 1, 2}
				}
				for _, protocol := range protocols {
					b, err := Append(nil, v, protocol)
					switch {
					case err == nil && string(b) != string(s.data):
						c.add(s, protocol, v, b)
					case err != nil && !(protocol != s.Protocol && isAmong(err, notEncoded)):
						t.Errorf("%s to %d: %v", s.Name, protocol, err)
					}
				}
			}
			c.runWith(t, python)
		})
	}
}

// TestPython2Types: what Python 2 tells apart is kept when that is asked for,
// and is nobody's business else.
func TestPython2Types(t *testing.T) {
	for _, c := range []struct {
		pickle      string
		want, plain Value
	}{
		{"I5\n.", Int(5), Int(5)},
		{"L5L\n.", Python2Int{5, true}, Int(5)},
		{"L-2147483648L\n.", Python2Int{-1 << 31, true}, Int(-1 << 31)},
		{"L2147483648L\n.", Int(1 << 31), Int(1 << 31)},
		{"I2147483648\n.", Python2Int{1 << 31, false}, Int(1 << 31)},
		{"I01\n.", Bool(true), Bool(true)},
		{"\x80\x02\x8a\x00.", Python2Int{0, true}, Int(0)},
		{"\x80\x02\x8a\x02\xff\x00.", Python2Int{255, true}, Int(255)},
		{"\x80\x02\x8b\x01\x00\x00\x00\xff.", Python2Int{-1, true}, Int(-1)},
		{"\x80\x02\x8b\x09\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00.", Python2Int{1, true}, Int(1)},
		{"\x80\x03\x8a\x01\x05.", Int(5), Int(5)},
		{"c__builtin__\nint\n.", Python2Import{"__builtin__", "int"}, Import{"builtins", "int"}},
		{"c__builtin__\nlong\n.", Import{"builtins", "int"}, Import{"builtins", "int"}},
		{"c__builtin__\nrange\n.", Python2Import{"__builtin__", "range"}, Import{"builtins", "range"}},
		{"c__builtin__\nxrange\n.", Import{"builtins", "range"}, Import{"builtins", "range"}},
		{"cexceptions\nStandardError\n.", Python2Import{"exceptions", "StandardError"}, Import{"builtins", "Exception"}},
		{"capp\nC\n.", Import{"app", "C"}, Import{"app", "C"}},
		{"\x80\x03c__builtin__\nint\n.", Import{"__builtin__", "int"}, Import{"__builtin__", "int"}},
	} {
		for types, want := range map[bool]Value{true: c.want, false: c.plain} {
			v, err := Decode([]byte(c.pickle), DecodeOptions{Python2Types: types})
			if err != nil || v != want {
				t.Errorf("%q: %#v, %v, want %#v", c.pickle, v, err, want)
				continue
			}
			text, err := AppendJSON(nil, v, JSONOptions{Exact: true})
			if err != nil {
				t.Fatal(err)
			}
			if again, err := ParseJSON(text); err != nil || again != v {
				t.Errorf("%q: %s is read as %#v, %v", c.pickle, text, again, err)
			}
			for protocol := range 6 {
				_, asIs := v.(Import)
				b, err := Append(nil, v, protocol)
				if err != nil {
					if !asIs {
						t.Errorf("%#v in protocol %d: %v", v, protocol, err)
					}
					continue
				}
				again, err := Decode(b, DecodeOptions{Python2Types: types})
				if want := map[bool]Value{true: v, false: c.plain}[protocol < 3]; err != nil || again != want {
					t.Errorf("%#v in protocol %d: %#v, %v", v, protocol, again, err)
				}
			}
		}
	}
	var n struct{ N int }
	var f float64
	five, _ := Append(nil, &Dict{[]Item{{Str("N"), Python2Int{5, true}}}}, 2)
	options := UnmarshalOptions{DecodeOptions: DecodeOptions{Python2Types: true}}
	if err := Unmarshal(five, &n, options); err != nil || n.N != 5 {
		t.Errorf("%+v, %v", n, err)
	}
	if err := FromValue(Python2Int{5, true}, &f, nil); err != nil || f != 5 {
		t.Errorf("%v, %v", f, err)
	}
	var anything any
	if err := FromValue(Python2Int{5, true}, &anything, nil); err != nil || anything != any(int64(5)) {
		t.Errorf("%s, %v", fmt.Sprintf("%T %v", anything, anything), err)
	}
}
