package view_test

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"alforja/pickle"
	"alforja/store/view"
)

// states returns sessions that CPython has pickled; see testdata/make.py.
func states(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/" + pattern + ".pickle")
	if err != nil || len(files) == 0 {
		t.Fatalf("no pickle %s: %v", pattern, err)
	}
	states := map[string][]byte{}
	for _, file := range files {
		state, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		states[filepath.Base(file)] = state
	}
	return states
}

func parse(t testing.TB, state []byte) *view.View {
	t.Helper()
	v, err := view.Parse(state)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func stateOf(t testing.TB, v *view.View) []byte {
	t.Helper()
	state, err := v.State()
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func set(t testing.TB, v *view.View, name string, value pickle.Value) {
	t.Helper()
	if _, err := v.Set(name, value); err != nil {
		t.Fatal(err)
	}
}

func TestUnchangedStaysTheSameBytes(t *testing.T) {
	for name, state := range states(t, "*") {
		v := parse(t, state)
		set(t, v, "user", pickle.Str("quijote")) // as it is
		if v.Changed() || !bytes.Equal(stateOf(t, v), state) {
			t.Errorf("%s: changed %v", name, v.Changed())
		}
	}
}

// A plain value for a plain value of the same length is the one change in the
// bytes. (Below protocol 4 its entry in the memo goes, too: nothing needs it.)
func TestPlainValueIsPutIntoTheBytes(t *testing.T) {
	for name, state := range states(t, "*-[45]") {
		v := parse(t, state)
		set(t, v, "user", pickle.Str("sanchop"))
		want := bytes.Replace(state, []byte("quijote"), []byte("sanchop"), 1)
		if got := stateOf(t, v); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, want)
		}
	}
}

// What CPython's pickler has not written stays what it is, too: here by
// pickletools.optimize.
func TestOtherPicklersBytesStay(t *testing.T) {
	for name, state := range states(t, "optimized/*") {
		v := parse(t, state)
		set(t, v, "user", pickle.Str("sanchop"))
		set(t, v, "_access_time", pickle.Float(1700000001.5))
		want := bytes.Replace(state, []byte("quijote"), []byte("sanchop"), 1)
		if got := stateOf(t, v); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, want)
		}
	}
}

// Where the whole is encoded anew, another attribute and back again is the
// pickle that CPython has written.
func TestNewAttributeAndBackIsTheSameBytes(t *testing.T) {
	for name, state := range states(t, "*") {
		v := parse(t, state)
		set(t, v, "visits", &pickle.List{Items: []pickle.Value{pickle.Int(1)}})
		longer := stateOf(t, v)
		if len(longer) <= len(state) {
			t.Fatalf("%s: the attribute is not in the state", name)
		}
		again := parse(t, longer)
		if got, _ := again.Get("visits"); !cmp.Equal(got, pickle.Value(&pickle.List{Items: []pickle.Value{pickle.Int(1)}})) {
			t.Errorf("%s: visits %#v", name, got)
		}
		if !again.Delete("visits") || again.Delete("visits") {
			t.Errorf("%s: the attribute is not deleted once", name)
		}
		if got := stateOf(t, again); !bytes.Equal(got, state) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, state)
		}
	}
}

func TestAttributes(t *testing.T) {
	own := []string{"id", "user", "_remote_address", "_creation_time", "_access_time", "_form_tokens"}
	tests := []struct {
		pattern string
		class   pickle.Import
		names   []string
	}{
		{"session-*", pickle.Import{Module: "session3.Session", Name: "Session"}, append(own, "counter")},
		{"dict-*", pickle.Import{Module: "session3.DictSession", Name: "DictSession"}, append(own, "data")},
		{"quixote-*", pickle.Import{Module: "quixote.session", Name: "Session"}, append(own, "_csrf_token")},
		{"shop-?", pickle.Import{Module: "shop", Name: "ShopSession"}, append(own, "counter", "cart", "favourite", "big", "theme")},
	}
	for _, test := range tests {
		for name, state := range states(t, test.pattern) {
			v := parse(t, state)
			if v.Class() != test.class {
				t.Errorf("%s: class %v", name, v.Class())
			}
			if diff := cmp.Diff(test.names, v.Names()); diff != "" {
				t.Errorf("%s: names: %s", name, diff)
			}
		}
	}
}

// A slot is an attribute like any other, and stays a slot.
func TestSlots(t *testing.T) {
	for name, state := range states(t, "shop-?") {
		v := parse(t, state)
		set(t, v, "theme", pickle.Str("pale"))
		want := bytes.Replace(state, []byte("dark"), []byte("pale"), 1)
		if got := stateOf(t, v); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, want)
		}
	}
}

// An attribute that shares its object with another one goes on doing so.
func TestSharedObjectsStayOneObject(t *testing.T) {
	for name, state := range states(t, "shop-*") {
		v := parse(t, state)
		line, _ := v.Get("favourite")
		set(t, v, "counter", line)
		again := parse(t, stateOf(t, v))
		cart, _ := again.Get("cart")
		lines, _ := cart.(*pickle.Object).Attributes().Get(pickle.Str("lines"))
		favourite, _ := again.Get("favourite")
		counter, _ := again.Get("counter")
		if lines.(*pickle.List).Items[0] != favourite || counter != favourite {
			t.Errorf("%s: favourite is another object now", name)
		}
	}
}

func TestWhatCannotBeWrittenChangesNothing(t *testing.T) {
	for name, state := range states(t, "session-*") {
		v := parse(t, state)
		var encode *pickle.EncodeError
		if _, err := v.Set("user", pickle.Str("\xff")); !errors.As(err, &encode) {
			t.Errorf("%s: error %v", name, err)
		}
		if !bytes.Equal(stateOf(t, v), state) {
			t.Errorf("%s: the state has changed", name)
		}
	}
}

func TestWhatIsNoSession(t *testing.T) {
	tests := map[string]pickle.Value{
		"text":               pickle.Str("a"),
		"dict":               new(pickle.Dict),
		"state of own form":  &pickle.Object{Callable: pickle.Import{Module: "shop", Name: "S"}, Args: new(pickle.Tuple), State: pickle.Str("packed")},
		"tuple of own form":  &pickle.Object{Callable: pickle.Import{Module: "shop", Name: "S"}, Args: new(pickle.Tuple), State: &pickle.Tuple{Items: []pickle.Value{pickle.Int(1), pickle.Int(2)}}},
		"tuple of one":       &pickle.Object{Callable: pickle.Import{Module: "shop", Name: "S"}, Args: new(pickle.Tuple), State: &pickle.Tuple{Items: []pickle.Value{new(pickle.Dict)}}},
		"setter of its own":  &pickle.Object{Callable: pickle.Import{Module: "shop", Name: "S"}, Args: new(pickle.Tuple), State: new(pickle.Dict), StateSetter: pickle.Import{Module: "shop", Name: "f"}},
		"number in the slot": pickle.Int(3),
	}
	for name, value := range tests {
		state, err := pickle.Append(nil, value, 4)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := view.Parse(state); !errors.Is(err, view.ErrNoInstance) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	var syntax *pickle.SyntaxError
	if _, err := view.Parse([]byte("\x80\x04]")); !errors.As(err, &syntax) {
		t.Errorf("cut: error %v", err)
	}
}

// Whatever is set and deleted, the view, its state parsed anew, and a map of
// Go's agree; and no other attribute is touched.
func TestViewIsAMap(t *testing.T) {
	all := states(t, "*")
	files := slices.Sorted(maps.Keys(all))
	rapid.Check(t, func(draw *rapid.T) {
		v, err := view.Parse(all[rapid.SampledFrom(files).Draw(draw, "file")])
		if err != nil {
			draw.Fatal(err)
		}
		tokens, _ := v.Get("_form_tokens")
		model := map[string]pickle.Value{}
		draw.Repeat(map[string]func(*rapid.T){
			"set": func(draw *rapid.T) {
				name := rapid.SampledFrom([]string{"user", "counter", "a", "b"}).Draw(draw, "name")
				value := rapid.OneOf(
					rapid.Map(rapid.Int64(), func(n int64) pickle.Value { return pickle.Int(n) }),
					rapid.Map(rapid.String(), func(s string) pickle.Value { return pickle.Str(s) }),
					rapid.Map(rapid.Bool(), func(b bool) pickle.Value { return pickle.Bool(b) }),
				).Draw(draw, "value")
				if _, err := v.Set(name, value); err != nil {
					draw.Fatal(err)
				}
				model[name] = value
			},
			"delete": func(draw *rapid.T) {
				name := rapid.SampledFrom([]string{"counter", "a", "b"}).Draw(draw, "name")
				v.Delete(name)
				model[name] = nil
			},
			"parse": func(draw *rapid.T) {
				state, err := v.State()
				if err != nil {
					draw.Fatal(err)
				}
				if v, err = view.Parse(state); err != nil {
					draw.Fatal(err)
				}
			},
			"": func(draw *rapid.T) {
				for name, want := range model {
					if got, ok := v.Get(name); ok != (want != nil) || ok && got != want {
						draw.Fatalf("%s is %#v, %v; want %#v", name, got, ok, want)
					}
				}
				if now, _ := v.Get("_form_tokens"); !cmp.Equal(now, tokens) {
					draw.Fatalf("form tokens %#v", now)
				}
			},
		})
	})
}
