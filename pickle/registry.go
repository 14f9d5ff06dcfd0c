package pickle

import (
	"fmt"
	"reflect"
	"strings"
)

// A Registry pairs Python classes with Go struct types, both ways. Its zero
// value is empty. It may be used by many goroutines once nothing is added.
type Registry struct {
	byClass map[Import]registration
	byType  map[reflect.Type]registration
	members map[Import]reflect.Value // structs
}

type registration struct {
	class Import
	typ   reflect.Type // a struct
	form  Form
}

// Form says how instances of a class are made from the fields of a struct.
type Form uint8

const (
	// Instance is an ordinary class, a dataclass too: class.__new__(class),
	// and the fields as its attributes.
	Instance Form = iota

	// NamedTuple is a collections.namedtuple: class.__new__(class, *fields).
	NamedTuple

	// Call is a class that is called with the fields, such as an Enum's with
	// the one value of a member.
	Call
)

// Register pairs a class with the struct type of sample, a struct or a
// pointer to one. It panics when either is registered already or sample is no
// struct, which no input can bring about.
func (r *Registry) Register(class Import, sample any, form Form) {
	t := reflect.TypeOf(sample)
	if t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		panic(fmt.Sprintf("pickle: Register: %T is no struct", sample))
	}
	if _, taken := r.byClass[class]; taken {
		panic(fmt.Sprintf("pickle: Register: %v is registered already", class))
	}
	if _, taken := r.byType[t]; taken {
		panic(fmt.Sprintf("pickle: Register: %v is registered already", t))
	}
	if r.byClass == nil {
		r.byClass = map[Import]registration{}
		r.byType = map[reflect.Type]registration{}
	}
	reg := registration{class, t, form}
	r.byClass[class], r.byType[t] = reg, reg
}

// RegisterMember says which struct stands for a member of an Enum where that
// is written by its name: Python 3.11.0 to 3.11.3 write getattr(class, "NAME"),
// others the member's value, which Register alone is enough for. name is that
// of the class, a dot, and the member's. It panics when the type of value is
// not registered, or name is already.
func (r *Registry) RegisterMember(name Import, value any) {
	v := reflect.ValueOf(value)
	if _, known := r.byType[v.Type()]; !known {
		panic(fmt.Sprintf("pickle: RegisterMember: %T is not registered", value))
	}
	if _, taken := r.members[name]; taken {
		panic(fmt.Sprintf("pickle: RegisterMember: %v is registered already", name))
	}
	if r.members == nil {
		r.members = map[Import]reflect.Value{}
	}
	r.members[name] = v
}

// member returns the struct that stands for what v names.
func (r *Registry) member(v Value) (reflect.Value, bool) {
	if r == nil || len(r.members) == 0 {
		return reflect.Value{}, false
	}
	name, ok := imported(v)
	if !ok {
		return reflect.Value{}, false
	}
	member, ok := r.members[name]
	return member, ok
}

func (r *Registry) class(class Import) (registration, bool) {
	if r == nil {
		return registration{}, false
	}
	reg, ok := r.byClass[class]
	return reg, ok
}

func (r *Registry) goType(t reflect.Type) (registration, bool) {
	if r == nil {
		return registration{}, false
	}
	reg, ok := r.byType[t]
	return reg, ok
}

// A ConvertError says where a Python value and a Go type do not go together.
type ConvertError struct {
	Path   string // such as .cart[2].total; empty for the outermost value
	Reason string
}

func (e *ConvertError) Error() string {
	if e.Path == "" {
		return "pickle: " + e.Reason
	}
	return "pickle: " + e.Path + ": " + e.Reason
}

// at puts a step in front of the path of an error from further inside.
func at(step string, err error) error {
	if e, ok := err.(*ConvertError); ok {
		return &ConvertError{step + e.Path, e.Reason}
	}
	return err
}

func mismatch(v Value, t reflect.Type) error {
	return &ConvertError{Reason: fmt.Sprintf("a %s does not go into a %v", describe(v), t)}
}

func describe(v Value) string {
	if o, ok := v.(*Object); ok {
		if class, ok := o.Class(); ok {
			return class.Module + "." + class.Name
		}
	}
	return strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", v), "*"), "pickle."))
}

// A field is one field of a struct and the Python attribute that it stands
// for.
type field struct {
	index     []int
	name      string
	omitEmpty bool
}

// fieldCache holds the fields of the types met in one call.
type fieldCache map[reflect.Type][]field

// of lists the exported fields of t: under the name in the tag
// `pickle:"name,omitempty"`, or else their own. "-" leaves one out. The fields
// of embedded structs without a tag count as t's own.
func (c fieldCache) of(t reflect.Type) []field {
	if fields, ok := c[t]; ok {
		return fields
	}
	var fields []field
	for _, f := range reflect.VisibleFields(t) {
		tag, tagged := f.Tag.Lookup("pickle")
		if !f.IsExported() || tag == "-" || f.Anonymous && !tagged && f.Type.Kind() == reflect.Struct {
			continue
		}
		if len(f.Index) > 1 && throughPointer(t, f.Index) {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if name == "" {
			name = f.Name
		}
		fields = append(fields, field{f.Index, name, options == "omitempty"})
	}
	c[t] = fields
	return fields
}

// throughPointer: fields of an embedded pointer are left out, as it may be nil.
func throughPointer(t reflect.Type, index []int) bool {
	for _, i := range index[:len(index)-1] {
		if t = t.Field(i).Type; t.Kind() != reflect.Struct {
			return true
		}
	}
	return false
}
