// Package view reads and changes what is in a session's state, the pickle of
// an instance of some Python class, without losing what Go has no form for.
package view

import (
	"errors"
	"fmt"
	"slices"

	"alforja/pickle"
)

// ErrNoInstance is returned for a state that is no instance with a dict of
// attributes: a plain value, or an object whose class keeps its state in a form
// of its own.
var ErrNoInstance = errors.New("the state is no instance with attributes")

// A View is a session's state, decoded. It is for one goroutine at a time.
//
// State gives back the bytes that Parse was given for as long as nothing was
// changed. Where attributes that were there got plain values (numbers, strings,
// bytes, None), all other bytes stay what they are; else the
// whole is encoded anew in the protocol that it had, as CPython does.
type View struct {
	object   *pickle.Object
	state    []byte // as it was parsed; nil of a new one
	protocol int
	patched  []string // attributes whose new values can be put into state
	rebuilt  bool     // something changed that cannot
}

// New returns a view of a new instance of class, made as Python's default
// __reduce_ex__ has it, with these attributes in their order.
func New(class pickle.Import, attributes []pickle.Item) *View {
	return &View{
		object: &pickle.Object{
			How:      pickle.NewObj,
			Callable: class,
			Args:     new(pickle.Tuple),
			State:    &pickle.Dict{Items: slices.Clone(attributes)},
		},
		protocol: pickle.DefaultProtocol,
		rebuilt:  true,
	}
}

// Parse decodes a state, which has passed pickle.Verify. A str of Python 2
// becomes text, as Python 3 reads it. The errors are ErrNoInstance and those of
// pickle.Decode. The view keeps state and does not change it.
func Parse(state []byte) (*View, error) {
	v, err := pickle.Decode(state, pickle.DecodeOptions{Python2: pickle.Python2ASCII})
	if err != nil {
		return nil, err
	}
	o, ok := v.(*pickle.Object)
	if !ok || len(o.Later) > 0 || o.StateSetter != nil {
		return nil, ErrNoInstance
	}
	switch s := o.State.(type) {
	case nil:
		o.State = new(pickle.Dict) // an instance without attributes so far
	case *pickle.Dict:
	case *pickle.Tuple:
		if len(s.Items) != 2 {
			return nil, ErrNoInstance
		}
		if s.Items[0] == (pickle.None{}) {
			s.Items[0] = new(pickle.Dict) // only slots so far
		}
	}
	if o.Attributes() == nil {
		return nil, ErrNoInstance
	}
	view := &View{object: o, state: state}
	if state[0] == 0x80 { // PROTO
		view.protocol = int(state[1])
	}
	return view, nil
}

// Class returns the class of the instance, or the zero Import where that is
// not named.
func (v *View) Class() pickle.Import {
	class, _ := v.object.Class()
	return class
}

// Get returns an attribute, from the instance's dict or its slots. What is
// changed inside it is saved once it is Set.
func (v *View) Get(name string) (pickle.Value, bool) {
	for _, d := range v.dicts() {
		if value, ok := d.Get(pickle.Str(name)); ok {
			return value, true
		}
	}
	return nil, false
}

// Set gives an attribute a value, and reports whether that changes anything, as
// far as Same knows. What cannot be written (text that is not UTF-8, a name that the
// protocol has no form for) is a *pickle.EncodeError and changes nothing.
func (v *View) Set(name string, value pickle.Value) (changed bool, err error) {
	if _, err := pickle.Append(nil, value, v.protocol); err != nil {
		return false, fmt.Errorf("attribute %s: %w", name, err)
	}
	into := v.object.Attributes()
	for _, d := range v.dicts() {
		if old, ok := d.Get(pickle.Str(name)); ok {
			if Same(old, value) {
				return false, nil
			}
			into = d
			break
		}
	}
	into.Set(pickle.Str(name), value)
	if !plain(value) {
		v.rebuilt = true
	} else if !slices.Contains(v.patched, name) {
		v.patched = append(v.patched, name)
	}
	return true, nil
}

// Delete takes an attribute away and reports whether it was there.
func (v *View) Delete(name string) bool {
	found := false
	for _, d := range v.dicts() {
		before := len(d.Items)
		d.Items = slices.DeleteFunc(d.Items, func(i pickle.Item) bool { return i.Key == pickle.Str(name) })
		found = found || len(d.Items) < before
	}
	v.rebuilt = v.rebuilt || found
	return found
}

// Names returns the names of the attributes in their order.
func (v *View) Names() []string {
	var names []string
	for _, d := range v.dicts() {
		for _, item := range d.Items {
			if name, ok := item.Key.(pickle.Str); ok && !slices.Contains(names, string(name)) {
				names = append(names, string(name))
			}
		}
	}
	return names
}

// Changed reports whether State returns anything but what was parsed.
func (v *View) Changed() bool { return v.rebuilt || len(v.patched) > 0 }

// State returns the state as it is now. The error is a *pickle.EncodeError.
func (v *View) State() ([]byte, error) {
	if !v.rebuilt {
		if state, err := v.patch(); err == nil {
			return state, nil
		}
		// New attributes, or old values that others refer to.
	}
	return pickle.Append(nil, v.object, v.protocol)
}

func (v *View) patch() ([]byte, error) {
	state := v.state
	for _, name := range v.patched {
		value, _ := v.Get(name)
		next, err := pickle.ReplaceAttribute(nil, state, name, value)
		if err != nil {
			return nil, err
		}
		state = next
	}
	return state, nil
}

// dicts returns where attributes are: the instance's dict, then its slots.
func (v *View) dicts() []*pickle.Dict {
	dicts := []*pickle.Dict{v.object.Attributes()}
	if state, ok := v.object.State.(*pickle.Tuple); ok {
		if slots, ok := state.Items[1].(*pickle.Dict); ok {
			dicts = append(dicts, slots)
		}
	}
	return dicts
}

// Same reports whether b in the place of a changes nothing: both are the same
// number, string, bytes or None. Of anything else nobody knows what was changed inside it.
func Same(a, b pickle.Value) bool { return plain(b) && a == b }

// plain reports whether a value is nothing that Python could change, and so
// need not be one object with what is elsewhere.
func plain(v pickle.Value) bool {
	switch v.(type) {
	case pickle.None, pickle.Bool, pickle.Int, *pickle.BigInt, pickle.Float, pickle.Str, pickle.Bytes:
		return true
	}
	return false
}
