package main

import "alforja/pickle"

// changedAfterUse says whether v may hold a container that was changed after
// a call or BUILD had copied it: {"n": 1} as the state of one object, and then,
// with another n, of a second. No pickler writes that. A tree of values keeps
// one dict, in its last state, so that what it is encoded to loads otherwise.
func changedAfterUse(v pickle.Value) bool {
	w := walk{references: map[pickle.Value]int{}, copied: map[pickle.Value]bool{}}
	w.value(v)
	for container := range w.copied {
		if w.references[container] > 1 {
			return true
		}
	}
	return false
}

// A walk counts the references to each container.
type walk struct {
	references map[pickle.Value]int
	copied     map[pickle.Value]bool
}

func (w *walk) values(values []pickle.Value) {
	for _, v := range values {
		w.value(v)
	}
}

func (w *walk) items(items []pickle.Item) {
	for _, item := range items {
		w.value(item.Key)
		w.value(item.Value)
	}
}

func (w *walk) value(v pickle.Value) {
	switch v.(type) {
	case *pickle.List, *pickle.Tuple, *pickle.Dict, *pickle.Set, *pickle.FrozenSet, *pickle.Object, *pickle.ByteArray:
		w.references[v]++
		if w.references[v] > 1 {
			return
		}
	}
	switch v := v.(type) {
	case *pickle.List:
		w.values(v.Items)
	case *pickle.Tuple:
		w.values(v.Items)
	case *pickle.Dict:
		w.items(v.Items)
	case *pickle.Set:
		w.values(v.Items)
	case *pickle.FrozenSet:
		w.values(v.Items)
	case pickle.PersistentID:
		w.value(v.ID)
	case *pickle.Object:
		w.object(v)
	}
}

func (w *walk) object(o *pickle.Object) {
	w.value(o.Callable)
	w.copies(o.Args)
	if o.ArgsObject != nil {
		w.copies(o.ArgsObject)
	}
	if o.Kwargs != nil {
		w.copies(o.Kwargs)
	}
	w.values(o.ListItems)
	w.items(o.DictItems)
	w.copies(o.State)
	for _, step := range o.Later {
		w.copies(step.State)
		w.values(step.ListItems)
		w.items(step.DictItems)
		w.values(step.SetItems)
	}
}

// copies walks what a call or BUILD takes: the container itself, or those in
// the tuple that it gets.
func (w *walk) copies(v pickle.Value) {
	switch v := v.(type) {
	case nil:
		return
	case *pickle.Tuple:
		if v == nil {
			return
		}
		for _, item := range v.Items {
			w.mark(item)
		}
	default:
		w.mark(v)
	}
	w.value(v)
}

func (w *walk) mark(v pickle.Value) {
	switch v.(type) {
	case *pickle.List, *pickle.Dict, *pickle.Set, *pickle.ByteArray:
		w.copied[v] = true
	}
}
