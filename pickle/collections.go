package pickle

// Mapping returns the items of a dict, or of an OrderedDict, defaultdict,
// Counter, SimpleNamespace (its attributes) or subclass of dict, in order.
func Mapping(v Value) (items []Item, ok bool) {
	switch v := v.(type) {
	case *Dict:
		return v.Items, true
	case *Object:
		class, _ := v.Class()
		switch {
		case v.ArgsObject != nil:
			return nil, false
		case class == Import{"collections", "Counter"} && v.Args != nil && len(v.Args.Items) == 1:
			if d, ok := v.Args.Items[0].(*Dict); ok {
				return d.Items, true
			}
		case class == Import{"types", "SimpleNamespace"}:
			if d := v.Attributes(); d != nil {
				return d.Items, true
			}
			return nil, true
		case v.base() != nil:
			d, ok := v.base().(*Dict)
			if !ok {
				return nil, false
			}
			return d.Items, true
		case class == Import{"collections", "OrderedDict"} && v.DictItems == nil && v.Args != nil && len(v.Args.Items) == 1:
			return pairsOf(v.Args.Items[0])
		case class == Import{"collections", "OrderedDict"}, class == Import{"collections", "defaultdict"}, v.DictItems != nil:
			return v.DictItems, true
		}
	}
	return nil, false
}

// pairsOf returns the items of a list of lists of two, which Python 2 passes
// to OrderedDict.
func pairsOf(v Value) (items []Item, ok bool) {
	l, ok := v.(*List)
	if !ok {
		return nil, false
	}
	for _, v := range l.Items {
		pair, ok := v.(*List)
		if !ok || len(pair.Items) != 2 {
			return nil, false
		}
		items = append(items, Item{pair.Items[0], pair.Items[1]})
	}
	return items, true
}

// Sequence returns the elements of a list, tuple, set or frozenset, or of a
// deque, range of no more than a million, subclass of list, or of an
// instance, such as a namedtuple, what its __new__ is given.
func Sequence(v Value) (items []Value, ok bool) {
	switch v := v.(type) {
	case *List:
		return v.Items, true
	case *Tuple:
		return v.Items, true
	case *Set:
		return v.Items, true
	case *FrozenSet:
		return v.Items, true
	case *Object:
		class, _ := v.Class()
		switch {
		case v.ArgsObject != nil:
			return nil, false
		case class == Import{"collections", "deque"}:
			items, _, ok := dequeOf(v)
			return items, ok
		case v.ListItems != nil:
			return v.ListItems, true
		case class == Import{"builtins", "range"}:
			return elementsOfRange(v)
		}
		if v.How == Reduce && v.base() == nil {
			return nil, false // not what an instance holds
		}
		args := v.arguments()
		return args, len(args) > 0
	}
	return nil, false
}

// base returns the value of the built-in type that o's class is derived from,
// where protocols 0 and 1 pass it to copyreg._reconstructor, or nil.
func (o *Object) base() Value {
	if o.isCallOf("copyreg", "_reconstructor") && o.Args != nil && len(o.Args.Items) == 3 && o.Args.Items[2] != (None{}) {
		return o.Args.Items[2]
	}
	return nil
}

// arguments returns what the class of an instance is made with, or nil when
// another function than the class makes it.
func (o *Object) arguments() []Value {
	switch base := o.base().(type) {
	case *Tuple:
		return base.Items
	case *List:
		return base.Items
	case nil:
	default:
		return []Value{base}
	}
	switch {
	case o.Args == nil:
		return nil
	case o.isCallOf("copyreg", "__newobj__") && len(o.Args.Items) > 0:
		return o.Args.Items[1:]
	case o.isCallOf("copyreg", "_reconstructor"), o.isCallOf("builtins", "getattr"), o.isCallOf("copyreg", "__newobj_ex__"):
		return nil
	}
	return o.Args.Items
}

const maxRange = 1 << 20

func elementsOfRange(o *Object) ([]Value, bool) {
	if o.Args == nil {
		return nil, false
	}
	start, ok1 := argument[Int](o.Args.Items, 0)
	stop, ok2 := argument[Int](o.Args.Items, 1)
	step, ok3 := argument[Int](o.Args.Items, 2)
	const most = 1 << 40 // so that nothing below overflows
	if !ok1 || !ok2 || !ok3 || step == 0 || max(start, stop, step) > most || min(start, stop, step) < -most {
		return nil, false
	}
	if n := (stop - start) / step; n > maxRange {
		return nil, false
	}
	items := []Value{}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		items = append(items, i)
	}
	return items, true
}

// NewOrderedDict returns a collections.OrderedDict.
func NewOrderedDict(items ...Item) *Object {
	o := newCall("collections", "OrderedDict")
	o.DictItems = items
	return o
}

// NewDefaultDict returns a collections.defaultdict. The factory is an Import
// such as builtins.list, or None.
func NewDefaultDict(factory Value, items ...Item) *Object {
	o := newCall("collections", "defaultdict", factory)
	o.DictItems = items
	return o
}

// NewCounter returns a collections.Counter.
func NewCounter(items ...Item) *Object {
	return newCall("collections", "Counter", &Dict{Items: items})
}

// NewDeque returns a collections.deque without a greatest length.
func NewDeque(items ...Value) *Object {
	o := newCall("collections", "deque")
	o.ListItems = items
	return o
}

// NewBoundedDeque returns a collections.deque that keeps the last maxLen of
// its elements.
func NewBoundedDeque(maxLen int, items ...Value) *Object {
	o := newCall("collections", "deque", new(Tuple), Int(maxLen))
	o.ListItems = items
	return o
}

// NewNamespace returns a types.SimpleNamespace.
func NewNamespace(attributes ...Item) *Object {
	o := newCall("types", "SimpleNamespace")
	o.State = &Dict{Items: attributes}
	return o
}

// NewRange returns range(start, stop, step).
func NewRange(start, stop, step int64) *Object {
	return newCall("builtins", "range", Int(start), Int(stop), Int(step))
}

// NewSlice returns slice(start, stop, step), of which each may be None.
func NewSlice(start, stop, step Value) *Object {
	return newCall("builtins", "slice", start, stop, step)
}

// NewEnum returns the member of an Enum that has the value.
func NewEnum(class Import, value Value) *Object {
	return newCall(class.Module, class.Name, value)
}
