// Package pickle judges Python pickles without running them.
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
//   - EXT1, EXT2 and EXT4 (names kept in a registry elsewhere) and
//     NEXT_BUFFER (data kept elsewhere) are refused, and so is a STRING or
//     BINSTRING of Python 2 with bytes beyond ASCII, which load refuses too.
//   - One value is left on the stack at STOP.
package pickle
