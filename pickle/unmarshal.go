package pickle

import (
	"fmt"
	"math/big"
	"reflect"
	"time"
)

// UnmarshalOptions says how Unmarshal reads. Its zero value serves.
type UnmarshalOptions struct {
	// DecodeOptions are those of Decode. Python2 says whether a str of Python 2
	// is text; by default it goes into strings and slices of bytes alike, with
	// the bytes it has.
	DecodeOptions

	// Registry pairs classes with struct types. Default: none.
	Registry *Registry
}

// Unmarshal decodes the pickle at the start of data and stores it in what
// target points to. It is Decode and then FromValue, whose errors it returns.
func Unmarshal(data []byte, target any, options UnmarshalOptions) error {
	v, err := Decode(data, options.DecodeOptions)
	if err != nil {
		return err
	}
	return FromValue(v, target, options.Registry)
}

// FromValue stores v in what target points to, by the table of ToValue read
// from right to left, and besides:
//
//   - Slices and arrays take what Sequence does, maps what Mapping does.
//   - Structs take dicts with keys of str, and the attributes of any
//     instance; attributes without a field are passed over, and fields
//     without an attribute keep what they hold. A struct type in r takes
//     instances of its own class alone.
//   - Strings and numbers take a member of an Enum, or an instance of a
//     subclass of str or of a number, by its one argument.
//   - None sets pointers, maps, slices and interfaces to nil.
//   - A Value takes anything as it is. An empty interface takes int64 or
//     *big.Int, float64, string, []byte, []any, map[string]any or, with other
//     keys, map[any]any; of instances what the table lists (a *Deque for a
//     deque), a pointer to the struct in r, or else the *Object.
//
// The same object twice is the same pointer, map or slice twice. r may be nil. The
// error is a *ConvertError: types that do not go together, a number that
// does not fit.
func FromValue(v Value, target any, r *Registry) error {
	t := reflect.ValueOf(target)
	if t.Kind() != reflect.Pointer || t.IsNil() {
		return &ConvertError{Reason: fmt.Sprintf("the target is a %T, not a pointer", target)}
	}
	u := unmarshaler{registry: r, fields: fieldCache{}, made: map[madeKey]reflect.Value{}}
	return u.store(v, t.Elem())
}

type unmarshaler struct {
	registry *Registry
	fields   fieldCache
	made     map[madeKey]reflect.Value
	depth    int
}

// A madeKey tells what was made of an object for one Go type.
type madeKey struct {
	of Value
	t  reflect.Type
}

func (u *unmarshaler) store(v Value, t reflect.Value) error {
	if u.depth++; u.depth > maxNesting {
		return &ConvertError{Reason: "nested too deeply"}
	}
	defer func() { u.depth-- }()
	if v == nil {
		return &ConvertError{Reason: "a nil Value"}
	}
	if rv := reflect.ValueOf(v); t.Type() == valueType || rv.Type() == t.Type() {
		t.Set(rv)
		return nil
	}
	if (v == None{}) {
		return u.none(t)
	}
	if o, ok := v.(*Object); ok {
		if std, ok := standardValue(o); ok && reflect.TypeOf(std).AssignableTo(t.Type()) {
			t.Set(reflect.ValueOf(std))
			return nil
		}
	}
	if t.Type() == dequeType {
		return u.deque(v, t)
	}
	switch t.Kind() {
	case reflect.Interface: // without a standard form
		return u.storeAny(v, t)
	case reflect.Pointer:
		return u.pointer(v, t)
	case reflect.Struct:
		return u.structure(v, t)
	case reflect.Map:
		return u.mapping(v, t)
	case reflect.Slice, reflect.Array:
		return u.sequence(v, t)
	}
	return u.scalar(v, t)
}

func (u *unmarshaler) none(t reflect.Value) error {
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		t.SetZero()
		return nil
	}
	return mismatch(None{}, t.Type())
}

func (u *unmarshaler) scalar(v Value, t reflect.Value) error {
	// A member of an Enum is written as a call of its class with its value.
	for range maxWrapped {
		o, ok := v.(*Object)
		if !ok {
			break
		}
		args := o.arguments()
		if len(args) != 1 {
			break
		}
		v = args[0]
	}
	if n, ok := v.(Python2Int); ok {
		v = Int(n.N)
	}
	switch t.Kind() {
	case reflect.Bool:
		if b, ok := v.(Bool); ok {
			t.SetBool(bool(b))
			return nil
		}
	case reflect.String:
		switch s := v.(type) {
		case Str:
			t.SetString(string(s))
			return nil
		case ByteStr:
			t.SetString(string(s))
			return nil
		}
	case reflect.Float32, reflect.Float64:
		return storeFloat(v, t)
	default:
		return storeInt(v, t)
	}
	return mismatch(v, t.Type())
}

// maxWrapped is how many calls with one argument around a value are undone: an
// Enum that is a subclass of str has two.
const maxWrapped = 2

func storeFloat(v Value, t reflect.Value) error {
	switch n := v.(type) {
	case Float:
		t.SetFloat(float64(n))
	case Int:
		if n < -1<<53 || n > 1<<53 {
			return mismatch(v, t.Type())
		}
		t.SetFloat(float64(n))
	default:
		return mismatch(v, t.Type())
	}
	return nil
}

func storeInt(v Value, t reflect.Value) error {
	n, ok := bigOf(v)
	if !ok {
		return mismatch(v, t.Type())
	}
	switch {
	case t.CanInt() && n.IsInt64() && !t.OverflowInt(n.Int64()):
		t.SetInt(n.Int64())
	case t.CanUint() && n.IsUint64() && !t.OverflowUint(n.Uint64()):
		t.SetUint(n.Uint64())
	case t.CanInt() || t.CanUint():
		return &ConvertError{Reason: fmt.Sprintf("the int does not fit into a %v", t.Type())}
	default:
		return mismatch(v, t.Type())
	}
	return nil
}

func (u *unmarshaler) pointer(v Value, t reflect.Value) error {
	if t.Type() == reflect.TypeFor[*big.Int]() {
		n, ok := bigOf(v)
		if !ok {
			return mismatch(v, t.Type())
		}
		t.Set(reflect.ValueOf(n))
		return nil
	}
	key := madeKey{v, t.Type()}
	shared := pointerOf(v) != nil
	if p, ok := u.made[key]; ok && shared {
		t.Set(p)
		return nil
	}
	p := reflect.New(t.Type().Elem())
	if shared {
		u.made[key] = p
	}
	if err := u.store(v, p.Elem()); err != nil {
		return err
	}
	t.Set(p)
	return nil
}

func (u *unmarshaler) structure(v Value, t reflect.Value) error {
	switch t.Type() {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[TimeOfDay](), reflect.TypeFor[Date](), reflect.TypeFor[big.Int](), reflect.TypeFor[big.Rat]():
		return mismatch(v, t.Type()) // standardValue made none
	}
	o, isObject := v.(*Object)
	if member, ok := u.registry.member(v); ok && member.Type() == t.Type() {
		t.Set(member)
		return nil
	}
	if reg, ok := u.registry.goType(t.Type()); ok {
		if !isObject {
			return mismatch(v, t.Type())
		}
		if class, _ := o.Class(); class != reg.class {
			return mismatch(v, t.Type())
		}
		if reg.form != Instance {
			return u.positional(o, t)
		}
	}
	if !isObject {
		d, ok := v.(*Dict)
		if !ok {
			return mismatch(v, t.Type())
		}
		return u.attributes(d.Items, t)
	}
	switch state := o.State.(type) {
	case nil, None:
	case *Dict:
		return u.attributes(state.Items, t)
	case *Tuple:
		for _, part := range state.Items {
			switch part := part.(type) {
			case None:
			case *Dict:
				if err := u.attributes(part.Items, t); err != nil {
					return err
				}
			default:
				return mismatch(v, t.Type())
			}
		}
	default:
		return mismatch(v, t.Type())
	}
	return nil
}

func (u *unmarshaler) attributes(items []Item, t reflect.Value) error {
	fields := u.fields.of(t.Type())
	for _, item := range items {
		name, ok := item.Key.(Str)
		if !ok {
			old, ok := item.Key.(ByteStr)
			if !ok {
				continue
			}
			name = Str(old)
		}
		for _, f := range fields {
			if f.name == string(name) {
				if err := u.store(item.Value, t.FieldByIndex(f.index)); err != nil {
					return at("."+f.name, err)
				}
			}
		}
	}
	return nil
}

func (u *unmarshaler) positional(o *Object, t reflect.Value) error {
	fields := u.fields.of(t.Type())
	args := o.arguments()
	if len(args) != len(fields) {
		return &ConvertError{Reason: fmt.Sprintf("the arguments of %s are not the %d fields of a %v", describe(o), len(fields), t.Type())}
	}
	for i, f := range fields {
		if err := u.store(args[i], t.FieldByIndex(f.index)); err != nil {
			return at("."+f.name, err)
		}
	}
	return nil
}

func (u *unmarshaler) mapping(v Value, t reflect.Value) error {
	items, ok := Mapping(v)
	if !ok {
		return mismatch(v, t.Type())
	}
	key := madeKey{v, t.Type()}
	if m, ok := u.made[key]; ok {
		t.Set(m)
		return nil
	}
	m := reflect.MakeMapWithSize(t.Type(), len(items))
	u.made[key] = m
	for _, item := range items {
		k, e := reflect.New(t.Type().Key()).Elem(), reflect.New(t.Type().Elem()).Elem()
		if err := u.store(item.Key, k); err != nil {
			return err
		}
		if !k.Comparable() {
			return &ConvertError{Reason: fmt.Sprintf("a %s cannot be the key of a map", describe(item.Key))}
		}
		if err := u.store(item.Value, e); err != nil {
			return at(fmt.Sprintf("[%v]", item.Key), err)
		}
		m.SetMapIndex(k, e)
	}
	t.Set(m)
	return nil
}

func (u *unmarshaler) sequence(v Value, t reflect.Value) error {
	if t.Type().Elem().Kind() == reflect.Uint8 {
		var b []byte
		switch v := v.(type) {
		case Bytes:
			b = []byte(v)
		case ByteStr:
			b = []byte(v)
		case *ByteArray:
			b = append([]byte{}, v.Data...)
		}
		if b != nil {
			return setBytes(b, t)
		}
	}
	items, ok := Sequence(v)
	if !ok {
		return mismatch(v, t.Type())
	}
	s := t
	if t.Kind() == reflect.Slice {
		key := madeKey{v, t.Type()}
		if done, ok := u.made[key]; ok {
			t.Set(done)
			return nil
		}
		// Kept before it is filled: lists may hold themselves, and lists that
		// hold one list twice each would else take time exponential in depth.
		s = reflect.MakeSlice(t.Type(), len(items), len(items))
		u.made[key] = s
		t.Set(s)
	} else if len(items) != t.Len() {
		return &ConvertError{Reason: fmt.Sprintf("%d elements for a %v", len(items), t.Type())}
	}
	for i, item := range items {
		if err := u.store(item, s.Index(i)); err != nil {
			return at(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

func setBytes(b []byte, t reflect.Value) error {
	if t.Kind() == reflect.Slice {
		t.Set(reflect.ValueOf(b).Convert(t.Type()))
		return nil
	}
	if len(b) != t.Len() {
		return &ConvertError{Reason: fmt.Sprintf("%d bytes for a %v", len(b), t.Type())}
	}
	reflect.Copy(t, reflect.ValueOf(b))
	return nil
}

// storeAny stores v in an interface, in the Go type that goes with it.
func (u *unmarshaler) storeAny(v Value, t reflect.Value) error {
	if t.NumMethod() > 0 {
		return mismatch(v, t.Type())
	}
	typ := u.anyType(v)
	if typ == nil {
		t.Set(reflect.ValueOf(v))
		return nil
	}
	e := reflect.New(typ).Elem()
	if err := u.store(v, e); err != nil {
		return err
	}
	t.Set(e)
	return nil
}

func isString(v Value) bool {
	switch v.(type) {
	case Str, ByteStr:
		return true
	}
	return false
}

// anyType returns the type to store v as, or nil for v as it is.
func (u *unmarshaler) anyType(v Value) reflect.Type {
	if member, ok := u.registry.member(v); ok {
		return reflect.PointerTo(member.Type())
	}
	switch v := v.(type) {
	case Bool:
		return reflect.TypeFor[bool]()
	case Int, Python2Int:
		return reflect.TypeFor[int64]()
	case *BigInt:
		return reflect.TypeFor[*big.Int]()
	case Float:
		return reflect.TypeFor[float64]()
	case Str, ByteStr:
		return reflect.TypeFor[string]()
	case Bytes, *ByteArray:
		return reflect.TypeFor[[]byte]()
	case *List, *Tuple, *Set, *FrozenSet:
		return reflect.TypeFor[[]any]()
	case *Object:
		class, ok := v.Class()
		if reg, known := u.registry.class(class); ok && known {
			return reflect.PointerTo(reg.typ)
		}
		if _, _, ok := dequeOf(v); ok {
			return reflect.PointerTo(dequeType)
		}
	}
	if items, ok := Mapping(v); ok {
		for _, item := range items {
			if !isString(item.Key) {
				return reflect.TypeFor[map[any]any]()
			}
		}
		return reflect.TypeFor[map[string]any]()
	}
	return nil
}
