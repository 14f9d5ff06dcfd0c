package rewrite

import "alforja/pickle"

// A walk goes through a value, each object once, and renames its imports.
// pickle.Verify bounds how deep that is.
type walk struct {
	rename  func(pickle.Import) (pickle.Import, bool)
	renamed bool         // something was
	met     map[any]bool // pointers
}

// again reports whether an object was met before.
func (w *walk) again(pointer any) bool {
	if w.met[pointer] {
		return true
	}
	w.met[pointer] = true
	return false
}

func (w *walk) value(v *pickle.Value) {
	switch x := (*v).(type) {
	case pickle.Import:
		if name, other := w.rename(x); other {
			*v, w.renamed = name, true
		}
	case *pickle.List:
		if !w.again(x) {
			w.values(x.Items)
		}
	case *pickle.Tuple:
		w.tuple(x)
	case *pickle.Dict:
		w.dict(x)
	case *pickle.Set:
		if !w.again(x) {
			w.values(x.Items)
		}
	case *pickle.FrozenSet:
		if !w.again(x) {
			w.values(x.Items)
		}
	case *pickle.Object:
		if !w.again(x) {
			w.object(x)
		}
	case pickle.PersistentID:
		w.value(&x.ID)
		*v = x
	}
}

func (w *walk) values(items []pickle.Value) {
	for i := range items {
		w.value(&items[i])
	}
}

func (w *walk) items(items []pickle.Item) {
	for i := range items {
		w.value(&items[i].Key)
		w.value(&items[i].Value)
	}
}

func (w *walk) tuple(t *pickle.Tuple) {
	if t != nil && !w.again(t) {
		w.values(t.Items)
	}
}

func (w *walk) dict(d *pickle.Dict) {
	if d != nil && !w.again(d) {
		w.items(d.Items)
	}
}

func (w *walk) object(o *pickle.Object) {
	w.value(&o.Callable)
	w.tuple(o.Args)
	if o.ArgsObject != nil && !w.again(o.ArgsObject) {
		w.object(o.ArgsObject)
	}
	w.dict(o.Kwargs)
	w.values(o.ListItems)
	w.items(o.DictItems)
	w.value(&o.State)
	w.value(&o.StateSetter)
	for i := range o.Later {
		step := &o.Later[i]
		w.value(&step.State)
		w.value(&step.StateSetter)
		w.values(step.ListItems)
		w.items(step.DictItems)
		w.values(step.SetItems)
	}
}
