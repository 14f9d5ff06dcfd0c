package pickle

import "unsafe"

// batch is the greatest number of items for one APPENDS, SETITEMS or ADDITEMS.
const batch = 1000

// saveTuple follows save_tuple: the empty tuple has no identity, and a tuple
// that was met again inside itself is fetched from the memo in the end.
func (e *encoder) saveTuple(t *Tuple) error {
	if t != nil && len(t.Items) == 0 {
		e.emptyTuple()
		return nil
	}
	key := identity{pointer: unsafe.Pointer(t)}
	entry, done, err := e.enter(key)
	if done {
		return err
	}
	used := e.memo.used
	n := len(t.Items)
	short := n <= 3 && e.protocol >= 2
	if !short {
		e.op(opMark)
	}
	for _, v := range t.Items {
		if err := e.save(v); err != nil {
			return err
		}
	}
	e.depth--
	if e.memo.used != used {
		entry = e.memo.find(key)
	}
	if entry.pointer != nil {
		e.popTuple(n, short)
		e.get(int(entry.index))
		return nil
	}
	if short {
		e.op(opTuple1 + byte(n-1))
	} else {
		e.op(opTuple)
	}
	e.memoize(entry, key)
	return nil
}

func (e *encoder) popTuple(n int, short bool) {
	if !short && e.protocol > 0 {
		e.op(opPopMark)
		return
	}
	if !short {
		n++ // the mark
	}
	for range n {
		e.op(opPop)
	}
}

func (e *encoder) emptyTuple() {
	if e.protocol == 0 {
		e.op(opMark)
		e.op(opTuple)
		return
	}
	e.op(opEmptyTuple)
}

func (e *encoder) saveList(l *List) error {
	key := identity{pointer: unsafe.Pointer(l)}
	entry, done, err := e.enter(key)
	if done {
		return err
	}
	e.emptyList()
	e.memoize(entry, key)
	err = e.appends(l.Items, true)
	e.depth--
	return err
}

func (e *encoder) emptyList() {
	if e.protocol == 0 {
		e.op(opMark)
		e.op(opList)
		return
	}
	e.op(opEmptyList)
}

func (e *encoder) saveAll(items []Value) error {
	for _, v := range items {
		if err := e.save(v); err != nil {
			return err
		}
	}
	return nil
}

// appends follows batch_list_exact, or batch_list for objects, which differ
// in a last batch of one.
func (e *encoder) appends(items []Value, exact bool) error {
	for first := true; len(items) > 0; first = false {
		n := min(len(items), batch)
		one := e.protocol == 0 || n == 1 && (first || !exact)
		if one {
			n = 1
		} else {
			e.op(opMark)
		}
		if err := e.saveAll(items[:n]); err != nil {
			return err
		}
		if one {
			e.op(opAppend)
		} else {
			e.op(opAppends)
		}
		items = items[n:]
	}
	return nil
}

func (e *encoder) saveDict(d *Dict) error {
	key := identity{pointer: unsafe.Pointer(d)}
	entry, done, err := e.enter(key)
	if done {
		return err
	}
	if e.protocol == 0 {
		e.op(opMark)
		e.op(opDict)
	} else {
		e.op(opEmptyDict)
	}
	e.memoize(entry, key)
	err = e.setItems(d.Items, true)
	e.depth--
	return err
}

// setItems follows batch_dict_exact, or batch_dict for objects. The former
// ends a dict of full batches with an empty one.
func (e *encoder) setItems(items []Item, exact bool) error {
	exact = exact && e.protocol > 0
	full := exact && len(items) > 0 && len(items)%batch == 0
	for first := true; len(items) > 0; first = false {
		n := min(len(items), batch)
		one := e.protocol == 0 || n == 1 && (first || !exact)
		if one {
			n = 1
		} else {
			e.op(opMark)
		}
		for _, item := range items[:n] {
			if err := e.save(item.Key); err != nil {
				return err
			}
			if err := e.save(item.Value); err != nil {
				return err
			}
		}
		if one {
			e.op(opSetItem)
		} else {
			e.op(opSetItems)
		}
		items = items[n:]
	}
	if full {
		e.op(opMark)
		e.op(opSetItems)
	}
	return nil
}

func (e *encoder) saveSet(s *Set) error {
	key := identity{pointer: unsafe.Pointer(s)}
	entry, done, err := e.enter(key)
	if done {
		return err
	}
	if e.protocol < 4 {
		return e.setByCall("set", s.Items, key)
	}
	e.op(opEmptySet)
	e.memoize(entry, key)
	full := len(s.Items) > 0 && len(s.Items)%batch == 0
	if err := e.addItems(s.Items); err != nil {
		return err
	}
	if full { // as save_set does
		e.op(opMark)
		e.op(opAddItems)
	}
	e.depth--
	return nil
}

func (e *encoder) addItems(items []Value) error {
	for len(items) > 0 {
		n := min(len(items), batch)
		e.op(opMark)
		if err := e.saveAll(items[:n]); err != nil {
			return err
		}
		e.op(opAddItems)
		items = items[n:]
	}
	return nil
}

func (e *encoder) saveFrozenSet(s *FrozenSet) error {
	key := identity{pointer: unsafe.Pointer(s)}
	_, done, err := e.enter(key)
	if done {
		return err
	}
	if e.protocol < 4 {
		return e.setByCall("frozenset", s.Items, key)
	}
	e.op(opMark)
	if err := e.saveAll(s.Items); err != nil {
		return err
	}
	e.depth--
	entry := e.memo.find(key)
	if entry.pointer != nil {
		e.op(opPopMark)
		e.get(int(entry.index))
		return nil
	}
	e.op(opFrozenSet)
	e.memoize(entry, key)
	return nil
}
