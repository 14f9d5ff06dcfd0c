package main

import (
	"bytes"
	"fmt"
	"math"
	"math/big"

	"github.com/nlpodyssey/gopickle/types"

	"alforja/pickle"
)

// An opinionClass is whatever a pickle imports, for gopickle.
type opinionClass struct{ module, name string }

func (c *opinionClass) Call(args ...any) (any, error) {
	return &opinionObject{class: c, args: args}, nil
}
func (c *opinionClass) PyNew(args ...any) (any, error) {
	return &opinionObject{class: c, args: args}, nil
}

// An opinionObject is what a call yields, for gopickle. It can itself be
// called, as what getattr yields is.
type opinionObject struct {
	class *opinionClass
	args  []any
	list  []any
	dict  []types.DictEntry
	state any
}

func (o *opinionObject) Call(args ...any) (any, error)  { return &opinionObject{args: args}, nil }
func (o *opinionObject) PyNew(args ...any) (any, error) { return &opinionObject{args: args}, nil }
func (o *opinionObject) Append(v any)                   { o.list = append(o.list, v) }
func (o *opinionObject) Add(any)                        {}
func (o *opinionObject) Set(k, v any)                   { o.dict = append(o.dict, types.DictEntry{Key: k, Value: v}) }
func (o *opinionObject) PySetState(state any) error     { o.state = state; return nil }

// A comparison looks for a difference between what Decode and gopickle read.
// What has no counterpart in the other, such as values that Decode knows
// behind a call, is not compared.
type comparison struct {
	met        map[pickle.Value]bool
	depth      int
	difference string // where the first is; empty while there is none
}

func (c *comparison) same(want pickle.Value, got any, path string) {
	const deepest = 1000 // paths get longer with every level
	if c.difference != "" || c.depth == deepest {
		return
	}
	c.depth++
	defer func() { c.depth-- }()
	equal := true
	switch want := want.(type) {
	case pickle.None:
		equal = got == nil
	case pickle.Bool:
		equal = got == bool(want)
	case pickle.Int:
		equal = sameInt(big.NewInt(int64(want)), got)
	case *pickle.BigInt:
		equal = sameInt(&want.Int, got)
	case pickle.Float:
		f, ok := got.(float64)
		bothNaN := f != f && want != want // of a text the bits are a matter of taste
		equal = ok && (bothNaN || math.Float64bits(f) == math.Float64bits(float64(want)))
	case pickle.Str:
		equal = got == string(want)
	case pickle.ByteStr:
		equal = got == string(want)
	case pickle.Bytes:
		b, ok := got.([]byte)
		_, called := got.(*opinionObject) // below protocol 3
		equal = called || ok && string(b) == string(want)
	case *pickle.ByteArray:
		if b, ok := got.(*types.ByteArray); ok {
			equal = bytes.Equal(*b, want.Data)
		}
	default:
		if !c.met[want] { // what is neither list nor dict can be compared with ==
			c.met[want] = true
			c.sameContainer(want, got, path)
		}
	}
	if !equal {
		c.difference = fmt.Sprintf("%s is %s, and %s to gopickle", path, shown(want), brief(fmt.Sprintf("%T %.60v", got, got)))
	}
}

func (c *comparison) sameContainer(want pickle.Value, got any, path string) {
	switch want := want.(type) {
	case *pickle.List:
		if l, ok := got.(*types.List); ok {
			c.all(want.Items, *l, path)
		}
	case *pickle.Tuple:
		if t, ok := got.(*types.Tuple); ok {
			c.all(want.Items, *t, path)
		}
	case *pickle.Dict:
		if d, ok := got.(*types.Dict); ok {
			c.items(want.Items, *d, path)
		}
	case *pickle.Object:
		o, ok := got.(*opinionObject)
		if !ok || o.class == nil || want.How == pickle.NewObjEx || want.ArgsObject != nil {
			return
		}
		c.all(want.Args.Items, o.args, path+".args")
		if want.Later == nil {
			c.all(want.ListItems, o.list, path)
			c.items(want.DictItems, o.dict, path)
			if want.State != nil && want.StateSetter == nil {
				c.same(want.State, o.state, path+".state")
			}
		}
	}
}

func (c *comparison) all(want []pickle.Value, got []any, path string) {
	c.length(len(want), len(got), path)
	for i := range min(len(want), len(got)) {
		c.same(want[i], got[i], fmt.Sprintf("%s[%d]", path, i))
	}
}

func (c *comparison) items(want []pickle.Item, got []types.DictEntry, path string) {
	c.length(len(want), len(got), path)
	for i := range min(len(want), len(got)) {
		c.same(want[i].Key, got[i].Key, fmt.Sprintf("%s key %d", path, i))
		c.same(want[i].Value, got[i].Value, fmt.Sprintf("%s[%s]", path, shown(want[i].Key)))
	}
}

func (c *comparison) length(want, got int, path string) {
	if want != got && c.difference == "" {
		c.difference = fmt.Sprintf("%s has %d items, and %d to gopickle", path, want, got)
	}
}

func sameInt(want *big.Int, got any) bool {
	switch got := got.(type) {
	case int:
		return want.IsInt64() && want.Int64() == int64(got)
	case *big.Int:
		return want.Cmp(got) == 0
	}
	return false
}

// shown is a value in few words.
func shown(v pickle.Value) string {
	switch v := v.(type) {
	case *pickle.List, *pickle.Tuple, *pickle.Dict, *pickle.Set, *pickle.FrozenSet, *pickle.Object:
		return fmt.Sprintf("a %T", v)
	}
	return brief(string(jsonOf(v)))
}
