package pickle

import (
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"time"
)

// Decimal is a decimal.Decimal, as str writes it: "1.50", "NaN", "1E+3".
type Decimal string

// UUID is a uuid.UUID, in network order.
type UUID [16]byte

// String returns the form 8-4-4-4-12 in hexadecimal digits.
func (u UUID) String() string {
	s := hex.EncodeToString(u[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// standardValue returns the Go form of what Python's standard library
// pickles: time.Time, TimeOfDay, Date, time.Duration, Decimal, UUID, *big.Rat,
// complex128. ok is false for everything else, and for what does not fit.
func standardValue(o *Object) (v any, ok bool) {
	class, named := o.Class()
	if !named || o.Args == nil || o.ArgsObject != nil {
		return nil, false
	}
	args := o.Args.Items
	switch class {
	case Import{"datetime", "datetime"}:
		return timeOf(args)
	case Import{"datetime", "time"}:
		return timeOfDayOf(args)
	case Import{"datetime", "date"}:
		return dateOf(args)
	case Import{"datetime", "timedelta"}:
		return durationOf(args)
	case Import{"decimal", "Decimal"}:
		if s, ok := argument[Str](args, 0); ok && len(args) == 1 {
			return Decimal(s), true
		}
	case Import{"uuid", "UUID"}:
		return uuidOf(o)
	case Import{"fractions", "Fraction"}:
		return ratOf(args)
	case Import{"builtins", "complex"}:
		re, ok1 := argument[Float](args, 0)
		im, ok2 := argument[Float](args, 1)
		if ok1 && ok2 {
			return complex(float64(re), float64(im)), true
		}
	}
	return nil, false
}

func argument[T Value](args []Value, i int) (v T, ok bool) {
	if i >= len(args) {
		return v, false
	}
	v, ok = args[i].(T)
	return v, ok
}

func (o *Object) isCallOf(module, name string) bool {
	return o.How == Reduce && o.Callable == Import{module, name}
}

// isGetattr: o is getattr(of, name), as from protocol 4 on.
func (o *Object) isGetattr(of Import, name string) bool {
	return o.isCallOf("builtins", "getattr") && len(o.Args.Items) == 2 && o.Args.Items[0] == of && o.Args.Items[1] == Str(name)
}

// isGetattrOf: o is made by calling getattr(of, name).
func (o *Object) isGetattrOf(of Import, name string) bool {
	callable, ok := o.Callable.(*Object)
	return ok && callable.Args != nil && callable.isGetattr(of, name)
}

func uuidOf(o *Object) (any, bool) {
	d := o.Attributes()
	if d == nil {
		return nil, false
	}
	n, _ := d.Get(Str("int"))
	var u UUID
	switch n := n.(type) {
	case Int:
		if n < 0 {
			return nil, false
		}
		binary.BigEndian.PutUint64(u[8:], uint64(n))
	case *BigInt:
		if n.Sign() < 0 || n.BitLen() > 128 {
			return nil, false
		}
		n.FillBytes(u[:])
	default:
		return nil, false
	}
	return u, true
}

// ratOf reads Fraction(numerator, denominator), and Fraction("1/3") of 3.7
// and before.
func ratOf(args []Value) (any, bool) {
	if s, ok := argument[Str](args, 0); ok && len(args) == 1 {
		if !isFraction(string(s)) {
			return nil, false
		}
		return new(big.Rat).SetString(string(s))
	}
	if len(args) != 2 {
		return nil, false
	}
	num, ok1 := bigOf(args[0])
	den, ok2 := bigOf(args[1])
	if !ok1 || !ok2 || den.Sign() == 0 {
		return nil, false
	}
	return new(big.Rat).SetFrac(num, den), true
}

// isFraction keeps exponents out, which a few bytes can make enormous.
func isFraction(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && c != '/' && (c != '-' || i > 0) {
			return false
		}
	}
	return len(s) <= 2*maxTextDigits
}

func bigOf(v Value) (*big.Int, bool) {
	switch v := v.(type) {
	case Int:
		return big.NewInt(int64(v)), true
	case Python2Int:
		return big.NewInt(v.N), true
	case *BigInt:
		return new(big.Int).Set(&v.Int), true
	}
	return nil, false
}

func newCall(module, name string, args ...Value) *Object {
	return &Object{How: Reduce, Callable: Import{module, name}, Args: &Tuple{Items: args}}
}

// standardObject is the inverse of standardValue; nil for other types. It
// reports what Python's types cannot hold.
func standardObject(v any) (Value, error) {
	switch v := v.(type) {
	case time.Time:
		return datetimeOf(v)
	case TimeOfDay:
		return timeObject(v)
	case Date:
		if v.Year < 1 || v.Year > 9999 || v.Month < 1 || v.Month > 12 || v.Day < 1 || v.Day > 31 {
			return nil, &ConvertError{Reason: "not a date of the years 1 to 9999"}
		}
		return newCall("datetime", "date", Bytes([]byte{byte(v.Year >> 8), byte(v.Year), byte(v.Month), byte(v.Day)})), nil
	case time.Duration:
		return timedeltaOf(v), nil
	case Decimal:
		return newCall("decimal", "Decimal", Str(v)), nil
	case UUID:
		d := &Dict{Items: []Item{{Str("int"), NewInt(new(big.Int).SetBytes(v[:]))}}}
		return &Object{Callable: Import{"uuid", "UUID"}, Args: new(Tuple), State: d}, nil
	case *big.Rat:
		return newCall("fractions", "Fraction", NewInt(v.Num()), NewInt(v.Denom())), nil
	case *big.Int:
		return NewInt(v), nil
	case complex128:
		return newCall("builtins", "complex", Float(real(v)), Float(imag(v))), nil
	}
	return nil, nil
}
