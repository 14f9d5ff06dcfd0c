package pickle

import (
	"fmt"
	"reflect"
)

// A Deque is a collections.deque.
type Deque struct {
	Items  []any
	MaxLen int // the greatest number of elements; 0: there is none
}

var dequeType = reflect.TypeFor[Deque]()

// dequeOf returns the elements of a deque and its greatest length, 0 when
// there is none. Python 3 appends the elements, Python 2 passes them in a
// list. ok is false for what else a pickle may call deque with, and for a
// deque that holds nothing ever.
func dequeOf(o *Object) (items []Value, maxLen int, ok bool) {
	if class, _ := o.Class(); class != (Import{"collections", "deque"}) || o.Args == nil || o.ArgsObject != nil || len(o.Args.Items) > 2 {
		return nil, 0, false
	}
	args := o.Args.Items
	if len(args) == 2 && args[1] != (None{}) {
		n, ok := args[1].(Int)
		if !ok || n < 1 || int64(int(n)) != int64(n) {
			return nil, 0, false
		}
		maxLen = int(n)
	}
	items = o.ListItems
	if len(args) > 0 {
		switch first := args[0].(type) {
		case *List:
			items = append(first.Items[:len(first.Items):len(first.Items)], items...)
		case *Tuple:
			items = append(first.Items[:len(first.Items):len(first.Items)], items...)
		default:
			return nil, 0, false
		}
	}
	if maxLen > 0 && len(items) > maxLen {
		items = items[len(items)-maxLen:]
	}
	return items, maxLen, true
}

func (m *marshaler) deque(d Deque, made func(Value)) (Value, error) {
	if d.MaxLen < 0 {
		return nil, &ConvertError{Reason: "a Deque with a negative MaxLen"}
	}
	o := NewDeque()
	if d.MaxLen > 0 {
		o = NewBoundedDeque(d.MaxLen)
	}
	if made != nil {
		made(o)
	}
	for i, item := range d.Items {
		v, err := m.value(reflect.ValueOf(item), nil)
		if err != nil {
			return nil, at(fmt.Sprintf("[%d]", i), err)
		}
		o.ListItems = append(o.ListItems, v)
	}
	return o, nil
}

func (u *unmarshaler) deque(v Value, t reflect.Value) error {
	o, ok := v.(*Object)
	if !ok {
		return mismatch(v, t.Type())
	}
	items, maxLen, ok := dequeOf(o)
	if !ok {
		return mismatch(v, t.Type())
	}
	d := Deque{Items: make([]any, len(items)), MaxLen: maxLen}
	t.Set(reflect.ValueOf(d)) // before it is filled: it may hold itself
	for i, item := range items {
		if err := u.store(item, reflect.ValueOf(&d.Items[i]).Elem()); err != nil {
			return at(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}
