package pickle

import (
	"fmt"
	"math"
)

// sameGraph says where two values differ in content or in which of their
// parts are one object. Args of length 0 have no identity.
func sameGraph(a, b Value) error {
	c := graphs{to: map[Value]Value{}, back: map[Value]Value{}}
	c.same(a, b, "")
	return c.err
}

type graphs struct {
	to, back map[Value]Value
	err      error
}

func (c *graphs) same(a, b Value, path string) {
	if c.err != nil {
		return
	}
	if i, ok := imported(a); ok {
		if j, ok := imported(b); ok && i == j {
			return // by name here, by getattr there
		}
	}
	if fmt.Sprintf("%T", a) != fmt.Sprintf("%T", b) {
		c.err = fmt.Errorf("%s: %T and %T", path, a, b)
		return
	}
	if pointerOf(a) != nil {
		if t, ok := a.(*Tuple); !ok || len(t.Items) > 0 {
			x, met1 := c.to[a]
			y, met2 := c.back[b]
			if met1 != met2 || met1 && (x != b || y != a) {
				c.err = fmt.Errorf("%s: not the same sharing of a %T", path, a)
				return
			}
			if met1 {
				return
			}
			c.to[a], c.back[b] = b, a
		}
	}
	c.content(a, b, path)
}

func (c *graphs) content(a, b Value, path string) {
	ok := true
	switch a := a.(type) {
	case Float:
		ok = math.Float64bits(float64(a)) == math.Float64bits(float64(b.(Float)))
	case *BigInt:
		ok = a.Cmp(&b.(*BigInt).Int) == 0
	case *ByteArray:
		ok = string(a.Data) == string(b.(*ByteArray).Data)
	case *List:
		c.all(a.Items, b.(*List).Items, path)
	case *Tuple:
		c.all(a.Items, b.(*Tuple).Items, path)
	case *Set:
		c.all(a.Items, b.(*Set).Items, path)
	case *FrozenSet:
		c.all(a.Items, b.(*FrozenSet).Items, path)
	case *Dict:
		c.all(flat(a.Items), flat(b.(*Dict).Items), path)
	case PersistentID:
		c.same(a.ID, b.(PersistentID).ID, path+".id")
	case *Object:
		c.object(a, b.(*Object), path)
	default:
		ok = a == b
	}
	if !ok && c.err == nil {
		c.err = fmt.Errorf("%s: %v and %v", path, a, b)
	}
}

func (c *graphs) object(a, b *Object, path string) {
	if a.How != b.How && (a.How != Inst || b.How != Obj) && a.How != Obj {
		// Below the protocols of NEWOBJ and NEWOBJ_EX a call stands for them.
		class, _ := a.Class()
		if other, _ := b.Class(); other != class {
			c.err = fmt.Errorf("%s: made by %v and %v", path, a, b)
		}
		return
	}
	c.same(a.Callable, b.Callable, path+".callable")
	c.all(a.Args.Items, b.Args.Items, path+".args")
	if a.ArgsObject != nil && b.ArgsObject != nil {
		c.same(a.ArgsObject, b.ArgsObject, path+".args")
	} else if a.ArgsObject != b.ArgsObject {
		c.err = fmt.Errorf("%s: args %v and %v", path, a.ArgsObject, b.ArgsObject)
	}
	if a.Kwargs != nil && b.Kwargs != nil {
		c.same(a.Kwargs, b.Kwargs, path+".kwargs")
	}
	c.all(a.ListItems, b.ListItems, path+".list")
	c.all(flat(a.DictItems), flat(b.DictItems), path+".dict")
	c.maybe(a.State, b.State, path+".state")
	c.maybe(a.StateSetter, b.StateSetter, path+".setter")
	if len(a.Later) != len(b.Later) {
		c.err = fmt.Errorf("%s: %d and %d later steps", path, len(a.Later), len(b.Later))
		return
	}
	for i, s := range a.Later {
		t := b.Later[i]
		c.maybe(s.State, t.State, path+".later.state")
		c.maybe(s.StateSetter, t.StateSetter, path+".later.setter")
		c.all(s.ListItems, t.ListItems, path+".later.list")
		c.all(s.SetItems, t.SetItems, path+".later.set")
		c.all(flat(s.DictItems), flat(t.DictItems), path+".later.dict")
	}
}

func (c *graphs) maybe(a, b Value, path string) {
	switch {
	case a != nil && b != nil:
		c.same(a, b, path)
	case a != b:
		c.err = fmt.Errorf("%s: %v and %v", path, a, b)
	}
}

func (c *graphs) all(a, b []Value, path string) {
	if len(a) != len(b) {
		c.err = fmt.Errorf("%s: lengths %d and %d", path, len(a), len(b))
		return
	}
	for i := range a {
		c.same(a[i], b[i], fmt.Sprintf("%s[%d]", path, i))
	}
}

func flat(items []Item) []Value {
	var all []Value
	for _, item := range items {
		all = append(all, item.Key, item.Value)
	}
	return all
}
