package rewrite_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"alforja/pickle"
	"alforja/store/rewrite"
)

func TestParseRenaming(t *testing.T) {
	for _, c := range []struct {
		old, new string
		ok       bool
	}{
		{"shop.Cart", "shop.cart.Cart", true},
		{"a.b.Cart", "Cart", false},
		{"shop:Outer.Inner", "shop.Inner", true},
		{"shop.*", "store.*", true},
		{"shop.*", "store.Cart", false},
		{"shop.Cart", "shop.Cart", false},
		{"shop.Cart", "shop:Cart", false},
		{"shop", "store", false},
		{"", "store.Cart", false},
		{".Cart", "store.Cart", false},
		{"shop..Cart", "store.Cart", false},
		{"shop.Cart", "store. Cart", false},
		{"shop.Cart", "store:*", false},
		{"*", "store.*", false},
		{"shop.*.Cart", "store.Cart", false},
	} {
		if _, err := rewrite.ParseRenaming(c.old, c.new); (err == nil) != c.ok {
			t.Errorf("%q to %q: %v", c.old, c.new, err)
		}
	}
}

func named(module, name string) pickle.Import { return pickle.Import{Module: module, Name: name} }

// holding returns a pickle that imports these names: as the class, as an
// argument, in a dict, and twice.
func holding(t *testing.T, protocol int, names ...pickle.Import) []byte {
	t.Helper()
	list := &pickle.List{}
	for _, name := range names {
		instance := &pickle.Object{Callable: name, Args: &pickle.Tuple{Items: []pickle.Value{}}, State: &pickle.Dict{Items: []pickle.Item{{Key: pickle.Str("class"), Value: name}}}}
		list.Items = append(list.Items, instance, &pickle.Tuple{Items: []pickle.Value{instance, name}})
	}
	list.Items = append(list.Items, list) // a cycle
	data, err := pickle.Append(nil, list, protocol)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestApply(t *testing.T) {
	other := named("shopping", "Cart")
	for _, c := range []struct {
		old, new      string
		before, after pickle.Import
	}{
		{"shop.Cart", "store.cart.Basket", named("shop", "Cart"), named("store.cart", "Basket")},
		{"shop.Cart", "store.Basket", named("shop", "Cart.Line"), named("store", "Basket.Line")},
		{"shop:Cart.Line", "shop.Line", named("shop", "Cart.Line"), named("shop", "Line")},
		{"shop.*", "store.*", named("shop", "Cart"), named("store", "Cart")},
		{"shop.*", "store.*", named("shop.cart", "Cart"), named("store.cart", "Cart")},
		{"shop.*", "shop.models.*", named("shop.cart", "Cart"), named("shop.models.cart", "Cart")},
		{"shop.*", "shop.models.*", named("shop.models.cart", "Cart"), named("shop.models.cart", "Cart")},
		{"shop.*", "shop.models.*", named("shop.modelsother", "Cart"), named("shop.models.modelsother", "Cart")},
		{"shop.models.*", "shop.*", named("shop.models.cart", "Cart"), named("shop.cart", "Cart")},
		{"shop.Cart", "shop:Cart.Basket", named("shop", "Cart"), named("shop", "Cart.Basket")},
		{"shop.Cart", "shop:Cart.Basket", named("shop", "Cart.Line"), named("shop", "Cart.Basket.Line")},
		{"shop.Cart", "shop:Cart.Basket", named("shop", "Cart.Basket.Line"), named("shop", "Cart.Basket.Line")},
		{"shop.Cart", "store.Basket", named("shop.Cart", "Cart"), named("shop.Cart", "Cart")},
		{"shop.Cart", "store.Basket", named("shop", "Carts"), named("shop", "Carts")},
		{"shop.Cart", "store.Basket", named("shop.sub", "Cart"), named("shop.sub", "Cart")},
	} {
		for protocol := range 6 {
			r, err := rewrite.ParseRenaming(c.old, c.new)
			if err != nil {
				t.Fatal(err)
			}
			before := holding(t, protocol, c.before, other)
			got, count, err := r.Apply(before)
			if c.before == c.after {
				if got != nil || count != 0 || err != nil {
					t.Errorf("%s in protocol %d: %d renamed, %v", c.before, protocol, count, err)
				}
				continue
			}
			if want := holding(t, protocol, c.after, other); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s to %s of %s in protocol %d: %v\ngot  %q\nwant %q", c.old, c.new, c.before, protocol, err, got, want)
			}
			if again, count, err := r.Apply(got); again != nil || count != 0 || err != nil {
				t.Errorf("%s to %s of %s in protocol %d, again: %d renamed, %v", c.old, c.new, c.before, protocol, count, err)
			}
		}
	}
}

// Below protocol 4, CPython gets a nested class by getattr.
func TestApplyToNestedClass(t *testing.T) {
	r, err := rewrite.ParseRenaming("shop:Outer.Inner", "shop.Inner")
	if err != nil {
		t.Fatal(err)
	}
	before := "\x80\x02c__builtin__\ngetattr\nq\x00cshop\nOuter\nq\x01X\x05\x00\x00\x00Innerq\x02\x86q\x03Rq\x04)\x81q\x05."
	got, _, err := r.Apply([]byte(before))
	if want := "\x80\x02cshop\nInner\nq\x00)\x81q\x01."; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// TestApplyToCPython renames the module of the classes in pickles that CPython wrote, and
// back: the bytes are those from before.
func TestApplyToCPython(t *testing.T) {
	f, err := os.Open("../../pickle/testdata/roundtrip.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 64<<20)
	renamed, left := 0, 0
	for n := 0; lines.Scan(); n++ {
		if n%4 != 0 { // enough of them
			continue
		}
		var line struct{ Name, Hex string }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		data, err := hex.DecodeString(line.Hex)
		if err != nil {
			t.Fatal(err)
		}
		report, err := pickle.Verify(data, pickle.Limits{})
		if err != nil {
			continue
		}
		v, err := pickle.Decode(data, pickle.DecodeOptions{})
		if err != nil {
			continue
		}
		for module := range modules(report) {
			there, err := rewrite.ParseRenaming(module+".*", "xyzzy_"+module+".*")
			if err != nil {
				t.Fatal(err)
			}
			back, _ := rewrite.ParseRenaming("xyzzy_"+module+".*", module+".*")
			moved, _, err := there.Apply(data)
			if errors.Is(err, rewrite.ErrLeft) {
				t.Logf("%s: %s: %v", line.Name, module, err)
				left++
				continue
			}
			if err != nil {
				t.Errorf("%s: %s: %v", line.Name, module, err)
				continue
			}
			again, _, err := back.Apply(moved)
			if err != nil {
				t.Errorf("%s: %s and back: %v", line.Name, module, err)
				continue
			}
			renamed++
			protocol := report.Protocol
			if canonical, err := pickle.Append(nil, v, protocol); err == nil && bytes.Equal(canonical, data) && !bytes.Equal(again, data) {
				t.Errorf("%s: %s and back is another pickle: %s", line.Name, module, cmp.Diff(data, again))
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if t.Logf("%d renamed and back, %d cannot be", renamed, left); renamed < 300 || left > renamed/20 {
		t.Errorf("%d renamed, %d not", renamed, left)
	}
}

// Whatever Apply makes is a pickle, without the old name.
func FuzzApply(f *testing.F) {
	f.Add([]byte("\x80\x02cshop\nOuter\nq\x00)\x81q\x01}q\x02X\x01\x00\x00\x00ah\x00sb."))
	f.Add([]byte("ccopy_reg\n_reconstructor\np0\n(c__builtin__\ngetattr\np1\n(cshop\nOuter\np2\nVInner\np3\ntp4\nRp5\nc__builtin__\nobject\np6\nNtp7\nRp8\n."))
	f.Add([]byte("\x80\x04\x8c\x08shop.sub\x8c\x05Outer\x93)\x81\x94(h\x00i."))
	r, err := rewrite.ParseRenaming("shop.*", "store.*")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		renamed, count, err := r.Apply(data)
		if err != nil || count == 0 {
			if renamed != nil {
				t.Fatalf("a pickle and %d, %v", count, err)
			}
			return
		}
		report, err := pickle.Verify(renamed, pickle.Limits{})
		if err != nil {
			t.Fatalf("%q: %v", renamed, err)
		}
		for _, g := range report.Globals {
			if g.Module == "shop" || strings.HasPrefix(g.Module, "shop.") {
				t.Fatalf("%s.%s is left", g.Module, g.Name)
			}
		}
	})
}

// modules returns the applications' modules that a pickle names: those that
// are no part of Python, whose names have a meaning of their own.
func modules(report pickle.Report) map[string]bool {
	found := map[string]bool{}
	policy, _ := pickle.NewPolicy(pickle.PolicyOptions{Strict: true})
	for _, g := range report.Globals {
		if policy.Check(pickle.Report{Globals: []pickle.Global{g}}) != nil {
			switch g.Module {
			case "builtins", "copyreg", "functools", "collections", "operator", "os", "sys", "types", "codecs", "_codecs":
			default:
				found[g.Module] = true
			}
		}
	}
	return found
}
