package pickle

import (
	"math"
	"strconv"
	"strings"
)

// A Python2Int is an int or long of Python 2 that would come back as the other
// of the two if it were an Int here: a long within 32 bits, or an int beyond. In
// Python 3 it is an int. DecodeOptions.Python2Types yields it.
type Python2Int struct {
	N    int64
	Long bool
}

// A Python2Import is an Import by a name of Python 2 that shares its name in
// Python 3 with another: both __builtin__.int and __builtin__.long are now
// builtins.int. DecodeOptions.Python2Types yields it.
type Python2Import struct{ Module, Name string }

func (Python2Int) value()    {}
func (Python2Import) value() {}

// Import returns the name in Python 3.
func (i Python2Import) Import() Import { return renamed(Import(i)) }

// String is what repr of Python 2 writes: 5L is a long.
func (n Python2Int) String() string {
	s := strconv.FormatInt(n.N, 10)
	if n.Long {
		s += "L"
	}
	return s
}

// integer returns what INT or LONG has read.
func (d *decoder) integer(n int64, long bool) Value {
	const short = 1 << 31
	if d.python2Types && d.protocol < 3 && long == (-short <= n && n < short) {
		return Python2Int{n, long}
	}
	return Int(n)
}

// python2Import returns what the names in a pickle below protocol 3 stand for.
func (d *decoder) python2Import(written Import) Value {
	i := renamed(written)
	// A long name is nothing that those tables have, and may be met in every
	// second byte.
	if d.python2Types && len(written.Module)+len(written.Name) <= longText {
		if old, ok := python2Name(i); !ok || old != written {
			return Python2Import(written)
		}
	}
	return i
}

// savePython2Int writes the opcode by which Python 2 knows the type.
func (e *encoder) savePython2Int(n Python2Int) {
	switch {
	case e.protocol >= 3:
		e.saveInt(n.N)
	case n.Long && e.protocol == 2 && n.N == 0:
		e.out = append(e.out, opLong1, 0)
	case n.Long:
		e.saveLong(n.N)
	default:
		e.op(opInt)
		e.text(n.String())
	}
}

// savePython2Import is saveImport with the name as it is.
func (e *encoder) savePython2Import(i Python2Import) error {
	if e.protocol >= 3 {
		return e.saveImport(i.Import())
	}
	if e.recallImport(Import(i)) {
		return nil
	}
	e.op(opGlobal)
	if err := e.nameLines(Import(i)); err != nil {
		return err
	}
	e.memoizeImport(Import(i))
	return nil
}

// parsePython2Int is the inverse of String.
func parsePython2Int(s string) (n Python2Int, ok bool) {
	s, n.Long = strings.CutSuffix(s, "L")
	var err error
	n.N, err = strconv.ParseInt(s, 10, 64)
	return n, err == nil && (n.N >= math.MinInt32 && n.N <= math.MaxInt32) == n.Long
}
