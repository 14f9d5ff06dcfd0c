// Package catalog says what sessions hold without unpickling them: whose they
// are, of which class, how old, what they would import. It goes through whole
// stores in memory that does not grow with the number of sessions.
package catalog

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"alforja/pickle"
	"alforja/store"
)

// An Entry is one session of a list.
type Entry struct {
	store.Info

	Class    string    // of the top object, "module.Name"; of builtin types the bare name; "" when Err says that there is none
	User     string    // as UserText has it; "" for None or no such attribute
	Created  time.Time // session3's and Quixote's _creation_time; zero when there is none
	Protocol int       // of the pickle; -1 when it cannot be read
	Err      error     // why a gateway would set the session aside, or why it could not be read
}

// A Judge is what a gateway judges sessions by.
type Judge struct {
	Limits pickle.Limits
	Policy *pickle.Policy // nil refuses nothing
}

// Check returns why a gateway would set a state aside, or nil.
func (j Judge) Check(state []byte) error {
	_, err := j.verify(state)
	return err
}

// verify returns the report too, unless the state does not verify.
func (j Judge) verify(state []byte) (*pickle.Report, error) {
	report, err := pickle.Verify(state, j.Limits)
	if err != nil {
		return nil, err
	}
	if j.Policy != nil {
		err = j.Policy.Check(report)
	}
	return &report, err
}

// Describe reads a session's state. One that a gateway would set aside has
// Err set; what can be read of it is there all the same.
func Describe(info store.Info, state []byte, judge Judge) Entry {
	info.Size = int64(len(state))
	e := Entry{Info: info, Protocol: -1}
	report, err := judge.verify(state)
	e.Err = err
	if report == nil {
		return e
	}
	e.Protocol = report.Protocol
	v, err := pickle.Decode(state, pickle.DecodeOptions{})
	if err != nil {
		e.Err = err
		return e
	}
	e.Class = ClassOf(v)
	if o, ok := v.(*pickle.Object); ok {
		if user, ok := attribute(o, "user"); ok {
			e.User = UserText(user)
		}
		if created, ok := attribute(o, "_creation_time"); ok {
			e.Created = timeOf(created)
		}
	}
	return e
}

// ClassOf names what Python's type() would say of v: "session3.Session.Session",
// "dict". A call of a function is named by the function.
func ClassOf(v pickle.Value) string {
	switch v := v.(type) {
	case *pickle.Object:
		if class, ok := v.Class(); ok {
			return class.Module + "." + class.Name
		}
		return "object"
	case pickle.None:
		return "None"
	case pickle.Bool:
		return "bool"
	case pickle.Int, *pickle.BigInt:
		return "int"
	case pickle.Float:
		return "float"
	case pickle.Str:
		return "str"
	case pickle.Bytes, pickle.ByteStr:
		return "bytes"
	case *pickle.ByteArray:
		return "bytearray"
	case *pickle.List:
		return "list"
	case *pickle.Tuple:
		return "tuple"
	case *pickle.Dict:
		return "dict"
	case *pickle.Set:
		return "set"
	case *pickle.FrozenSet:
		return "frozenset"
	case pickle.Import:
		return v.Module + "." + v.Name
	}
	return "object"
}

// UserText is the text by which a list shows a session's user: a str or a
// number as it is, "" for None, and all else by its class: "<shop.User>".
func UserText(v pickle.Value) string {
	switch v := v.(type) {
	case pickle.None:
		return ""
	case pickle.Str:
		return string(v)
	case pickle.ByteStr: // of Python 2, where it was text
		return string(v)
	case pickle.Int:
		return strconv.FormatInt(int64(v), 10)
	case *pickle.BigInt:
		if v.BitLen() <= 1<<10 {
			return v.String()
		}
	}
	return "<" + ClassOf(v) + ">"
}

// attribute returns an attribute of an instance as __dict__ or __slots__
// have it.
func attribute(o *pickle.Object, name string) (pickle.Value, bool) {
	dicts := []*pickle.Dict{o.Attributes()}
	if state, ok := o.State.(*pickle.Tuple); ok && len(state.Items) == 2 {
		slots, _ := state.Items[1].(*pickle.Dict)
		dicts = append(dicts, slots)
	}
	for _, dict := range dicts {
		for _, key := range []pickle.Value{pickle.Str(name), pickle.ByteStr(name)} {
			if v, ok := dict.Get(key); ok {
				return v, true
			}
		}
	}
	return nil, false
}

// timeOf converts what Python's time.time() returns: seconds since 1970.
func timeOf(v pickle.Value) time.Time {
	var seconds float64
	switch v := v.(type) {
	case pickle.Float:
		seconds = float64(v)
	case pickle.Int:
		seconds = float64(v)
	}
	const year3000 = 32503680000
	if !(seconds > 0 && seconds < year3000) { // NaN is neither
		return time.Time{}
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9))
}

// Unreadable is the entry of a session whose state could not be had.
func Unreadable(info store.Info, err error) Entry {
	return Entry{Info: info, Protocol: -1, Err: fmt.Errorf("cannot be read: %w", err)}
}

// DescribeAny is Describe by no policy and the default limits.
func DescribeAny(info store.Info, state []byte) Entry { return Describe(info, state, Judge{}) }
