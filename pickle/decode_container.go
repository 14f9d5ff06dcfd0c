package pickle

func (d *decoder) emptyTuple() error { d.push(d.arena.tuple(nil, d.pos)); return nil }
func (d *decoder) emptyList() error  { d.push(d.arena.list(nil, d.pos)); return nil }
func (d *decoder) emptyDict() error  { d.push(d.arena.dicts.next(&d.arena, d.pos)); return nil }
func (d *decoder) emptySet() error   { d.push(new(Set)); return nil }

func (d *decoder) shortTuple(n int) error {
	start := len(d.stack) - n
	if start < d.fence {
		return d.underflow()
	}
	t := d.arena.tuple(d.stack[start:], d.pos)
	d.stack = append(d.stack[:start], t)
	return nil
}

func (d *decoder) tuple() error {
	items, err := d.sinceMark()
	if err != nil {
		return err
	}
	d.push(d.arena.tuple(items, d.pos))
	return nil
}

func (d *decoder) list() error {
	items, err := d.sinceMark()
	if err != nil {
		return err
	}
	d.push(d.arena.list(items, d.pos))
	return nil
}

func (d *decoder) dict() error {
	pairs, err := d.pairsSinceMark()
	if err != nil {
		return err
	}
	d.push(&Dict{Items: d.arena.pairs(nil, pairs, d.pos)})
	return nil
}

func (d *decoder) frozenSet() error {
	items, err := d.sinceMark()
	if err != nil {
		return err
	}
	d.push(&FrozenSet{Items: d.arena.values(nil, items, d.pos)})
	return nil
}

func (d *decoder) pairsSinceMark() ([]Value, error) {
	pairs, err := d.sinceMark()
	if err == nil && len(pairs)%2 != 0 {
		err = d.fail("a key without a value")
	}
	return pairs, err
}

func (d *decoder) appendItem() error {
	v, err := d.pop()
	if err != nil {
		return err
	}
	return d.extend([]Value{v})
}

func (d *decoder) appends() error {
	items, err := d.sinceMark()
	if err != nil {
		return err
	}
	return d.extend(items)
}

// extend appends to the list, or the object, on top of the stack.
func (d *decoder) extend(items []Value) error {
	target, err := d.top()
	if err != nil {
		return err
	}
	switch target := target.(type) {
	case *List:
		target.Items = d.arena.values(target.Items, items, d.pos)
	case *Object:
		if target.DictItems == nil && target.State == nil && target.Later == nil {
			target.ListItems = d.arena.values(target.ListItems, items, d.pos)
		} else {
			d.later(target, Step{ListItems: d.arena.values([]Value{}, items, d.pos)})
		}
	default:
		return d.fail("the target is neither a list nor an object made here")
	}
	return nil
}

func (d *decoder) setItem() error {
	start := len(d.stack) - 2
	if start < d.fence {
		return d.underflow()
	}
	pair := d.stack[start:]
	d.stack = d.stack[:start]
	return d.update(pair)
}

func (d *decoder) setItems() error {
	pairs, err := d.pairsSinceMark()
	if err != nil {
		return err
	}
	return d.update(pairs)
}

// update sets items of the dict, or the object, on top of the stack.
func (d *decoder) update(pairs []Value) error {
	target, err := d.top()
	if err != nil {
		return err
	}
	switch target := target.(type) {
	case *Dict:
		target.Items = d.arena.pairs(target.Items, pairs, d.pos)
	case *Object:
		if target.State == nil && target.Later == nil {
			target.DictItems = d.arena.pairs(target.DictItems, pairs, d.pos)
		} else {
			d.later(target, Step{DictItems: d.arena.pairs([]Item{}, pairs, d.pos)})
		}
	default:
		return d.fail("the target is neither a dict nor an object made here")
	}
	return nil
}

func (d *decoder) addItems() error {
	items, err := d.sinceMark()
	if err != nil {
		return err
	}
	target, err := d.top()
	if err != nil {
		return err
	}
	switch target := target.(type) {
	case *Set:
		target.Items = d.arena.values(target.Items, items, d.pos)
	case *Object:
		d.later(target, Step{SetItems: d.arena.values([]Value{}, items, d.pos)})
	default:
		return d.fail("the target is neither a set nor an object made here")
	}
	return nil
}
