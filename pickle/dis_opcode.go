package pickle

// An effect is what pickletools knows of an opcode: its protocol, what it
// takes from the stack (below a mark, when it takes all from there on) and
// puts there, and what follows it.
type effect struct {
	protocol     uint8
	pops, pushes uint8
	marked       bool
	argument     argumentType
}

// An argumentType is the form of what follows an opcode, and how it is
// printed. The names are those of pickletools' argument descriptors.
type argumentType uint8

const (
	argNone argumentType = iota
	argUint1
	argUint2
	argUint4
	argUint8
	argInt4
	argDecimalLine
	argLongLine
	argFloatLine
	argFloat8
	argLong1
	argLong4
	argStringLine
	argNameLine
	argNamePair
	argString1
	argString4
	argBytes1
	argBytes4
	argBytes8
	argByteArray8
	argUnicodeLine
	argUnicode1
	argUnicode4
	argUnicode8
)

// effects is indexed by opcode. Source: Lib/pickletools.py of CPython 3.11.
var effects = [256]effect{
	opInt: {0, 0, 1, false, argDecimalLine}, opBinInt: {1, 0, 1, false, argInt4},
	opBinInt1: {1, 0, 1, false, argUint1}, opBinInt2: {1, 0, 1, false, argUint2},
	opLong: {0, 0, 1, false, argLongLine}, opLong1: {2, 0, 1, false, argLong1}, opLong4: {2, 0, 1, false, argLong4},
	opFloat: {0, 0, 1, false, argFloatLine}, opBinFloat: {1, 0, 1, false, argFloat8},
	opNone: {0, 0, 1, false, 0}, opNewTrue: {2, 0, 1, false, 0}, opNewFalse: {2, 0, 1, false, 0},

	opString: {0, 0, 1, false, argStringLine}, opBinString: {1, 0, 1, false, argString4},
	opShortBinString: {1, 0, 1, false, argString1},
	opBinBytes:       {3, 0, 1, false, argBytes4}, opShortBinBytes: {3, 0, 1, false, argBytes1},
	opBinBytes8: {4, 0, 1, false, argBytes8}, opByteArray8: {5, 0, 1, false, argByteArray8},
	opNextBuffer: {5, 0, 1, false, 0}, opReadonlyBuffer: {5, 1, 1, false, 0},
	opUnicode: {0, 0, 1, false, argUnicodeLine}, opShortBinUnicode: {4, 0, 1, false, argUnicode1},
	opBinUnicode: {1, 0, 1, false, argUnicode4}, opBinUnicode8: {4, 0, 1, false, argUnicode8},

	opEmptyList: {1, 0, 1, false, 0}, opAppend: {0, 2, 1, false, 0}, opAppends: {1, 1, 1, true, 0},
	opList: {0, 0, 1, true, 0}, opEmptyTuple: {1, 0, 1, false, 0}, opTuple: {0, 0, 1, true, 0},
	opTuple1: {2, 1, 1, false, 0}, opTuple2: {2, 2, 1, false, 0}, opTuple3: {2, 3, 1, false, 0},
	opEmptyDict: {1, 0, 1, false, 0}, opDict: {0, 0, 1, true, 0},
	opSetItem: {0, 3, 1, false, 0}, opSetItems: {1, 1, 1, true, 0},
	opEmptySet: {4, 0, 1, false, 0}, opAddItems: {4, 1, 1, true, 0}, opFrozenSet: {4, 0, 1, true, 0},

	opPop: {0, 1, 0, false, 0}, opDup: {0, 1, 2, false, 0}, opMark: {0, 0, 1, false, 0},
	opPopMark: {1, 0, 0, true, 0},
	opGet:     {0, 0, 1, false, argDecimalLine}, opBinGet: {1, 0, 1, false, argUint1},
	opLongBinGet: {1, 0, 1, false, argUint4},
	opPut:        {0, 0, 0, false, argDecimalLine}, opBinPut: {1, 0, 0, false, argUint1},
	opLongBinPut: {1, 0, 0, false, argUint4}, opMemoize: {4, 1, 1, false, 0},

	opExt1: {2, 0, 1, false, argUint1}, opExt2: {2, 0, 1, false, argUint2}, opExt4: {2, 0, 1, false, argInt4},
	opGlobal: {0, 0, 1, false, argNamePair}, opStackGlobal: {4, 2, 1, false, 0},
	opReduce: {0, 2, 1, false, 0}, opBuild: {0, 2, 1, false, 0}, opInst: {0, 0, 1, true, argNamePair},
	opObj: {1, 0, 1, true, 0}, opNewObj: {2, 2, 1, false, 0}, opNewObjEx: {4, 3, 1, false, 0},

	opProto: {2, 0, 0, false, argUint1}, opStop: {0, 1, 0, false, 0}, opFrame: {4, 0, 0, false, argUint8},
	opPersID: {0, 0, 1, false, argNameLine}, opBinPersID: {1, 1, 1, false, 0},
}
