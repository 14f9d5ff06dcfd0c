package gateway

import (
	"slices"

	"alforja/pickle"
	"alforja/store/view"
)

// Items are what a session3.DictSession holds by keys: in Python
// session["name"], apart from the attributes.
type Items struct {
	session *Session
	dict    *pickle.Dict
}

// Items returns the session's items. ok is false for a session that is no
// dictionary, which is one without the dict that collections.UserDict keeps in
// the attribute data.
func (s *Session) Items() (items *Items, ok bool) {
	data, _ := s.view.Get(itemsAttribute)
	dict, ok := data.(*pickle.Dict)
	if !ok {
		return nil, false
	}
	return &Items{s, dict}, true
}

// Get returns the item of that name as it is; the function Get converts it.
func (i *Items) Get(name string) (pickle.Value, bool) { return i.dict.Get(pickle.Str(name)) }

// Set is Session.Set for an item. No name is reserved.
func (i *Items) Set(name string, v any) error {
	value, err := pickle.ToValue(v, i.registry())
	if err != nil {
		return err
	}
	if old, ok := i.Get(name); ok && view.Same(old, value) {
		return i.session.writable()
	}
	changed := &pickle.Dict{Items: slices.Clone(i.dict.Items)}
	changed.Set(pickle.Str(name), value)
	return i.replace(changed.Items)
}

// Delete takes an item away, if it is there.
func (i *Items) Delete(name string) error {
	left := slices.DeleteFunc(slices.Clone(i.dict.Items), func(item pickle.Item) bool {
		return item.Key == pickle.Str(name)
	})
	if len(left) == len(i.dict.Items) {
		return i.session.writable()
	}
	return i.replace(left)
}

// Keys returns the keys that are a str, in their order.
func (i *Items) Keys() []string {
	var keys []string
	for _, item := range i.dict.Items {
		if key, ok := item.Key.(pickle.Str); ok {
			keys = append(keys, string(key))
		}
	}
	return keys
}

func (i *Items) registry() *pickle.Registry { return i.session.registry() }

// replace changes the dict itself, which the application may refer to from
// elsewhere, and takes the change back where it cannot be written.
func (i *Items) replace(items []pickle.Item) error {
	if err := i.session.writable(); err != nil {
		return err
	}
	before := i.dict.Items
	i.dict.Items = items
	if err := i.session.set(itemsAttribute, i.dict); err != nil {
		i.dict.Items = before
		return err
	}
	return nil
}
