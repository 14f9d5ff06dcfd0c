package pickle

// nestedWithin says whether v is nested no deeper than most, where each
// container counts as deep as it is met first: what Append would meet. values is
// no less than how many there are in all containers, and how many containers.
func nestedWithin(v Value, most, values int) bool {
	quick := depthMeter{most: most, left: 2 * values}
	if quick.walk(v, 0) {
		return true
	}
	// What is met again was counted again, in a cycle for ever.
	exact := depthMeter{most: most, left: 2 * values, met: map[Value]bool{}}
	return exact.walk(v, 0)
}

// A depthMeter walks a value until it is nested more deeply than most, or left
// containers and values in them were met.
type depthMeter struct {
	most, left int
	met        map[Value]bool // nil: what is met again is not known
}

func (m *depthMeter) walk(v Value, depth int) bool {
	switch v := v.(type) {
	case *List:
		return m.met[v] || m.enter(v, depth) && m.all(v.Items, depth+1)
	case *Tuple:
		return m.met[v] || m.enter(v, depth) && m.all(v.Items, depth+1)
	case *Dict:
		return m.met[v] || m.enter(v, depth) && m.items(v.Items, depth+1)
	case *Set:
		return m.met[v] || m.enter(v, depth) && m.all(v.Items, depth+1)
	case *FrozenSet:
		return m.met[v] || m.enter(v, depth) && m.all(v.Items, depth+1)
	case *Object:
		return m.met[v] || m.enter(v, depth) && m.object(v, depth+1)
	case PersistentID:
		return m.enter(nil, depth) && m.walk(v.ID, depth+1)
	}
	return true
}

func (m *depthMeter) enter(v Value, depth int) bool {
	if m.met != nil && v != nil {
		m.met[v] = true
	}
	m.left--
	return depth < m.most && m.left >= 0
}

func (m *depthMeter) all(values []Value, depth int) bool {
	m.left -= len(values)
	if m.left < 0 {
		return false
	}
	for _, v := range values {
		if !m.walk(v, depth) {
			return false
		}
	}
	return true
}

func (m *depthMeter) items(items []Item, depth int) bool {
	m.left -= 2 * len(items)
	if m.left < 0 {
		return false
	}
	for i := range items {
		if !m.walk(items[i].Key, depth) || !m.walk(items[i].Value, depth) {
			return false
		}
	}
	return true
}

func (m *depthMeter) object(o *Object, depth int) bool {
	if o.outer != nil && !m.object(o.outer, depth) {
		return false
	}
	if o.ArgsObject != nil && !m.walk(o.ArgsObject, depth) {
		return false
	}
	if o.Kwargs != nil && !m.walk(o.Kwargs, depth) {
		return false
	}
	if !m.walk(o.Callable, depth) || !m.walk(o.Args, depth) || !m.walk(o.State, depth) || !m.walk(o.StateSetter, depth) {
		return false
	}
	if !m.all(o.ListItems, depth) || !m.items(o.DictItems, depth) {
		return false
	}
	for _, s := range o.Later {
		if !m.walk(s.State, depth) || !m.walk(s.StateSetter, depth) || !m.all(s.ListItems, depth) || !m.all(s.SetItems, depth) || !m.items(s.DictItems, depth) {
			return false
		}
	}
	return true
}
