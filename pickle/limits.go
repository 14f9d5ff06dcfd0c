package pickle

import "math"

// Limits bound what Verify and Decode let through. The zero value of a field means its
// default.
type Limits struct {
	// MaxBytes is the greatest length of the input, in bytes, trailing bytes
	// included. Default: 4 MiB. At most 2 GiB - 1.
	MaxBytes int

	// MaxMemory is how many bytes Verify may keep of what it has read, or
	// Decode may make of it. One byte of a pickle can be an empty list, which
	// takes 28 and 40; most of what Python writes takes less than 16. It is looked at
	// every 16 KiB of input. While a slice grows there are two of it, so that
	// in all up to three times as much is needed. Default: 16 times MaxBytes.
	MaxMemory int

	// MaxDepth is the deepest nesting of containers and objects. Default:
	// 10,000, twice what CPython 3.13 writes with its own default; hashing a
	// tuple much deeper than that overruns the C stack. At most 65,535.
	MaxDepth int

	// MaxMemo is the highest index in the memo plus one. CPython allocates
	// 16 bytes for each index, used or not. Default: 4,194,304 for indices
	// that the pickle is long enough to have counted up to, 131,072 for
	// others.
	MaxMemo int

	// MaxDigits is the greatest number of digits of an integer in text,
	// which CPython before 3.11 reads in quadratic time. Default: 4,300, as
	// sys.set_int_max_str_digits.
	MaxDigits int

	// MaxHashed is the number of values that CPython may have to visit to
	// hash the keys of dicts, the members of sets and the arguments of
	// standard constructors; a tuple that holds another twice visits it
	// twice. Default: 4,194,304, some 0.1 seconds.
	MaxHashed int
}

// maxSparseMemo bounds memo indices beyond the opcode's own offset, which no
// pickler reaches by counting.
const maxSparseMemo = 1 << 17

func (l Limits) withDefaults() Limits {
	l.MaxBytes = limit(l.MaxBytes, 4<<20, math.MaxInt32)
	l.MaxMemory = limit(l.MaxMemory, 16*l.MaxBytes, math.MaxInt)
	l.MaxDepth = limit(l.MaxDepth, 10_000, math.MaxUint16)
	l.MaxMemo = limit(l.MaxMemo, 1<<22, math.MaxInt32)
	l.MaxDigits = limit(l.MaxDigits, 4300, math.MaxInt32)
	l.MaxHashed = limit(l.MaxHashed, 1<<22, math.MaxInt32)
	return l
}

func limit(n, standard, most int) int {
	if n <= 0 {
		return standard
	}
	return min(n, most)
}
