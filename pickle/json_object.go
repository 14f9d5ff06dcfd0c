package pickle

import "slices"

var (
	objectFields = []string{"$id", "$object", "outer", "callable", "args", "kwargs", "list", "dict", "setter", "state", "later"}
	stepFields   = []string{"list", "dict", "set", "setter", "state"}
)

// object reads the fields of "$object" into o.
func (r *jsonReader) object(o *Object, n *jsonNode) error {
	if err := n.only(objectFields); err != nil {
		return err
	}
	how := n.field("$object")
	i := slices.Index(howNames[:], how.text)
	if how.kind != '"' || i < 0 {
		return how.fail("$object must be one of %q", howNames)
	}
	o.How = How(i)
	callable := n.field("callable")
	if callable == nil {
		return n.fail("an object without a callable")
	}
	var err error
	if outer := n.field("outer"); outer != nil {
		v, err := r.value(outer)
		if err != nil {
			return err
		}
		call, ok := v.(*Object)
		if !ok || call == o || call.outer != nil {
			return outer.fail("outer must be another object, without outer")
		}
		o.outer = call
	}
	if o.Callable, err = r.value(callable); err != nil {
		return err
	}
	if err := r.arguments(o, n); err != nil {
		return err
	}
	var s Step
	if err := r.step(&s, n); err != nil {
		return err
	}
	o.ListItems, o.DictItems, o.State, o.StateSetter = s.ListItems, s.DictItems, s.State, s.StateSetter
	later := n.field("later")
	if later == nil {
		return nil
	}
	if later.kind != '[' {
		return later.fail("want an array")
	}
	o.Later = make([]Step, len(later.items))
	for i, item := range later.items {
		if item.kind != '{' {
			return item.fail("want an object")
		}
		if err := item.only(stepFields); err != nil {
			return err
		}
		if err := r.step(&o.Later[i], item); err != nil {
			return err
		}
	}
	return nil
}

// arguments reads args, an array, a tuple with an identity or an instance, and kwargs.
func (r *jsonReader) arguments(o *Object, n *jsonNode) error {
	o.Args = new(Tuple)
	if args := n.field("args"); args != nil {
		if args.kind == '[' {
			if err := r.values(&o.Args.Items, args); err != nil {
				return err
			}
		} else {
			v, err := r.value(args)
			if err != nil {
				return err
			}
			switch v := v.(type) {
			case *Tuple:
				o.Args = v
			case *Object:
				o.ArgsObject = v
			default:
				return args.fail("args must be an array, a tuple or an object")
			}
		}
	}
	kwargs := n.field("kwargs")
	if kwargs == nil {
		return nil
	}
	v, err := r.value(kwargs)
	if err != nil {
		return err
	}
	d, ok := v.(*Dict)
	if !ok {
		return kwargs.fail("kwargs must be a dict")
	}
	o.Kwargs = d
	return nil
}

func (r *jsonReader) step(s *Step, n *jsonNode) (err error) {
	if list := n.field("list"); list != nil {
		if err := r.values(&s.ListItems, list); err != nil {
			return err
		}
	}
	if dict := n.field("dict"); dict != nil {
		if err := r.pairs(&s.DictItems, dict); err != nil {
			return err
		}
	}
	if set := n.field("set"); set != nil {
		if err := r.values(&s.SetItems, set); err != nil {
			return err
		}
	}
	if setter := n.field("setter"); setter != nil {
		if s.StateSetter, err = r.value(setter); err != nil {
			return err
		}
	}
	if state := n.field("state"); state != nil {
		s.State, err = r.value(state)
	}
	return err
}

// only refuses keys other than those given, and keys that occur twice.
func (n *jsonNode) only(keys []string) error {
	for i, key := range n.keys {
		if !slices.Contains(keys, key) {
			return n.fail("the key %q beside %q", key, n.tag())
		}
		if slices.Contains(n.keys[:i], key) {
			return n.fail("the key %q twice", key)
		}
	}
	return nil
}
