// Package pickle judges, reads, edits and writes Python pickles without
// running them.
//
// # Verify
//
// A pickle is a program: loading a hostile one runs whatever its author
// chose. Verify reads that program in one pass, builds nothing, and either
// says where the bytes are not a pickle that CPython would load, or reports
// what loading it would import and call. A Policy then judges the report.
//
//	report, err := pickle.Verify(data, pickle.Limits{})
//	if err != nil {
//		return err // cut, garbage, or beyond a limit
//	}
//	if err := policy.Check(report); err != nil {
//		return err // well-formed, but not to be loaded
//	}
//	load(data[:report.Used])
//
// All opcodes of protocols 0 to 5 are known (CPython's Lib/pickletools.py and
// Modules/_pickle.c are the specification). Verify is stricter than CPython
// where unpicklers disagree with each other, or where what a pickle would do
// cannot be known from its bytes:
//
//   - PROTO comes first or not at all, and once.
//   - A frame ends where an opcode ends, and frames do not overlap: the
//     unpicklers for files and for bytes see different opcodes otherwise.
//   - Numbers in text have the one form that Python writes: no "+3", "1_0",
//     "0x10", spaces or NUL. So do escapes in text.
//   - The names that STACK_GLOBAL takes are text that the pickle itself holds,
//     and what REDUCE calls and NEWOBJ makes is a name that it imports.
//   - BUILD, APPEND, SETITEM and their kin act on objects that this pickle
//     made, never on a class, function or module.
//   - Names of imports are no longer than 1 KiB, module and name together.
//   - EXT1, EXT2 and EXT4 (names kept in a registry elsewhere) and
//     NEXT_BUFFER (data kept elsewhere) are refused, and so is a STRING or
//     BINSTRING of Python 2 with bytes beyond ASCII, which load refuses too.
//   - One value is left on the stack at STOP.
//
// # Decode and Append
//
// Decode reads a pickle of protocol 0 to 5 into a tree of Values that keeps
// all that Python's unpickler could tell apart: the bits of floats, lone
// surrogates, the order of dicts, how instances were made, which parts are one
// object. Append, and Encode for an io.Writer, write a Value in any protocol
// as CPython's own pickler does.
//
//	v, err := pickle.Decode(data, pickle.DecodeOptions{})
//	if err != nil {
//		return err
//	}
//	session := v.(*pickle.Object)
//	user, ok := session.Attributes().Get(pickle.Str("user"))
//	session.Attributes().Set(pickle.Str("seen"), pickle.Bool(true))
//	data, err = pickle.Append(nil, session, 4)
//
// Decode imports and calls nothing, so that it may read what a Policy would
// refuse.
//
// A pickle of Python 2 is read as Python 3 reads it: int and long are one type,
// and names are those of Python 3. Its str is bytes of which only the writer
// knows whether they are text; DecodeOptions.Python2 says what they become. With
// DecodeOptions.Python2Types, Append writes what Python 2 loads as the same types.
//
// # FindAttribute, ReplaceAttribute, SetFloatAttribute
//
// These read or change one attribute of the top object in the bytes, at about
// the cost of Verify. Where that cannot be done they return ErrNotEditable,
// and Decode and Append serve.
//
// # Unmarshal and Marshal
//
// These go between pickles and Go's own types, as encoding/json does. A
// Registry pairs classes with struct types.
//
//	type Line struct {
//		SKU string `pickle:"sku"`
//		N   int    `pickle:"n,omitempty"`
//	}
//	var r pickle.Registry
//	r.Register(pickle.Import{Module: "shop", Name: "Line"}, Line{}, pickle.Instance)
//	data, err := pickle.Marshal([]*Line{{"a", 1}}, &r) // a list of one shop.Line
//
//	var lines []*Line
//	err = pickle.Unmarshal(data, &lines, pickle.UnmarshalOptions{Registry: &r})
//
// ToValue lists which types go with which. Dates, decimals and other types of
// Python's standard library have Go types of their own; what has none can be
// kept as a Value, in a field of that type too.
//
// # Errors
//
// What is wrong with a pickle is a *SyntaxError or a *LimitError, with the
// offset and the opcode. A Policy's is a *RefusedError, with the import and what
// to allow. What cannot be written is an *EncodeError; where Go and Python types
// do not go together, it is a *ConvertError with the path to the field.
package pickle
