package pickle

import (
	"cmp"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"time"
	"unsafe"
)

// Marshal returns v as one pickle of DefaultProtocol. It is Append of what
// ToValue makes of v.
func Marshal(v any, r *Registry) ([]byte, error) {
	value, err := ToValue(v, r)
	if err != nil {
		return nil, err
	}
	return Append(nil, value, DefaultProtocol)
}

// ToValue returns what Python should see of v:
//
//	nil, nil pointers, maps and slices   None
//	bool, integers, floats, string       bool, int, float, str
//	[]byte                               bytes
//	slices, arrays                       list
//	maps                                 dict, by ascending keys
//	structs                              dict, or an instance of the class in r
//	pointers                             what they point to, as one object
//	time.Time                            datetime: naive in the locations Naive and NaiveFold, else aware
//	time.Duration, Date                  timedelta (whole microseconds), date
//	TimeOfDay, Deque                     time, deque
//	Decimal, UUID, *big.Rat, *big.Int    Decimal, UUID, Fraction, int
//	complex64, complex128                complex
//	Value                                itself
//
// Fields of structs are named by their tags: `pickle:"name,omitempty"`; "-"
// leaves one out. The same pointer or map twice is the same object twice, and
// cycles through them are kept. r may be nil. The error is a *ConvertError.
func ToValue(v any, r *Registry) (Value, error) {
	m := marshaler{registry: r, fields: fieldCache{}, made: map[reference]Value{}}
	return m.value(reflect.ValueOf(v), nil)
}

type marshaler struct {
	registry *Registry
	fields   fieldCache
	made     map[reference]Value
	depth    int
}

// A reference is a pointer or map. The type tells a pointer to a struct from
// one to its first field.
type reference struct {
	pointer unsafe.Pointer
	t       reflect.Type
}

var valueType = reflect.TypeFor[Value]()

// value converts v. made, when it is not nil, is told the Value before what
// it holds is converted, so that cycles find it.
func (m *marshaler) value(v reflect.Value, made func(Value)) (Value, error) {
	if m.depth++; m.depth > maxNesting {
		return nil, &ConvertError{Reason: "nested too deeply"}
	}
	defer func() { m.depth-- }()
	if !v.IsValid() {
		return None{}, nil
	}
	if v.Type().Implements(valueType) && v.CanInterface() {
		if v.Kind() == reflect.Pointer && v.IsNil() || v.Kind() == reflect.Interface && v.IsNil() {
			return None{}, nil
		}
		return v.Interface().(Value), nil
	}
	if done, err := m.standard(v); done != nil || err != nil {
		return done, err
	}
	switch v.Kind() {
	case reflect.Bool:
		return Bool(v.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return Int(v.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return NewInt(new(big.Int).SetUint64(v.Uint())), nil
	case reflect.Float32, reflect.Float64:
		return Float(v.Float()), nil
	case reflect.Complex64, reflect.Complex128:
		return standardObject(v.Complex())
	case reflect.String:
		return Str(v.String()), nil
	case reflect.Interface:
		return m.value(v.Elem(), made)
	case reflect.Pointer:
		return m.pointer(v)
	case reflect.Slice, reflect.Array:
		return m.slice(v)
	case reflect.Map:
		return m.mapping(v)
	case reflect.Struct:
		return m.structure(v, made)
	}
	return nil, &ConvertError{Reason: fmt.Sprintf("Python has no form for a %v", v.Type())}
}

// standard converts the types that stand for one of Python's standard library.
func (m *marshaler) standard(v reflect.Value) (Value, error) {
	switch v.Type() {
	case dequeType:
		return nil, nil // as its pointer may be shared, structure makes it
	case reflect.TypeFor[time.Time](), reflect.TypeFor[TimeOfDay](), reflect.TypeFor[Date](), reflect.TypeFor[time.Duration](),
		reflect.TypeFor[Decimal](), reflect.TypeFor[UUID]():
		return standardObject(v.Interface())
	case reflect.TypeFor[*big.Rat](), reflect.TypeFor[*big.Int]():
		if v.IsNil() {
			return None{}, nil
		}
		return standardObject(v.Interface())
	}
	return nil, nil
}

func (m *marshaler) pointer(v reflect.Value) (Value, error) {
	if v.IsNil() {
		return None{}, nil
	}
	key := reference{v.UnsafePointer(), v.Type()}
	if done, ok := m.made[key]; ok {
		return done, nil
	}
	value, err := m.value(v.Elem(), func(made Value) { m.made[key] = made })
	if err == nil {
		m.made[key] = value
	}
	return value, err
}

func (m *marshaler) slice(v reflect.Value) (Value, error) {
	if v.Kind() == reflect.Slice && v.IsNil() {
		return None{}, nil
	}
	if v.Type().Elem().Kind() == reflect.Uint8 {
		b := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(b), v)
		return Bytes(b), nil
	}
	l := &List{Items: make([]Value, v.Len())}
	for i := range l.Items {
		item, err := m.value(v.Index(i), nil)
		if err != nil {
			return nil, at(fmt.Sprintf("[%d]", i), err)
		}
		l.Items[i] = item
	}
	return l, nil
}

func (m *marshaler) mapping(v reflect.Value) (Value, error) {
	if v.IsNil() {
		return None{}, nil
	}
	key := reference{v.UnsafePointer(), v.Type()}
	if done, ok := m.made[key]; ok {
		return done, nil
	}
	d := new(Dict)
	m.made[key] = d
	for iter := v.MapRange(); iter.Next(); {
		k, err := m.value(iter.Key(), nil)
		if err != nil {
			return nil, err
		}
		item, err := m.value(iter.Value(), nil)
		if err != nil {
			return nil, at(fmt.Sprintf("[%v]", iter.Key()), err)
		}
		d.Items = append(d.Items, Item{k, item})
	}
	slices.SortFunc(d.Items, func(a, b Item) int { return compareKeys(a.Key, b.Key) })
	return d, nil
}

// compareKeys orders strings and numbers, so that a map is written the same
// way each time.
func compareKeys(a, b Value) int {
	switch a := a.(type) {
	case Str:
		if b, ok := b.(Str); ok {
			return cmp.Compare(a, b)
		}
	case Int:
		if b, ok := b.(Int); ok {
			return cmp.Compare(a, b)
		}
	case Float:
		if b, ok := b.(Float); ok {
			return cmp.Compare(a, b)
		}
	}
	return cmp.Compare(fmt.Sprintf("%T%v", a, a), fmt.Sprintf("%T%v", b, b))
}

func (m *marshaler) structure(v reflect.Value, made func(Value)) (Value, error) {
	if v.Type() == dequeType {
		return m.deque(v.Interface().(Deque), made)
	}
	reg, registered := m.registry.goType(v.Type())
	if !registered {
		d := new(Dict)
		if made != nil {
			made(d)
		}
		return d, m.attributes(v, d)
	}
	o := &Object{Callable: reg.class, Args: new(Tuple)}
	if made != nil {
		made(o)
	}
	if reg.form == Instance {
		d := new(Dict)
		o.State = d
		return o, m.attributes(v, d)
	}
	if reg.form == Call {
		o.How = Reduce
	}
	for _, f := range m.fields.of(v.Type()) {
		item, err := m.value(v.FieldByIndex(f.index), nil)
		if err != nil {
			return nil, at("."+f.name, err)
		}
		o.Args.Items = append(o.Args.Items, item)
	}
	return o, nil
}

func (m *marshaler) attributes(v reflect.Value, d *Dict) error {
	for _, f := range m.fields.of(v.Type()) {
		fv := v.FieldByIndex(f.index)
		if f.omitEmpty && fv.IsZero() {
			continue
		}
		item, err := m.value(fv, nil)
		if err != nil {
			return at("."+f.name, err)
		}
		d.Items = append(d.Items, Item{Str(f.name), item})
	}
	return nil
}
