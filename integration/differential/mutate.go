package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// A source makes the inputs: seeds that are mutated, and programs from a
// grammar. Input i of a source is always the same.
type source struct {
	seed  uint64
	seeds [][]byte
}

// input returns input i and how it was made.
func (s *source) input(i uint64) (data []byte, how string) {
	r := rand.New(rand.NewPCG(s.seed, i))
	pick := func() []byte { return s.seeds[r.IntN(len(s.seeds))] }
	switch p := r.IntN(100); {
	case p < 30:
		return generate(r), "grammar"
	case p < 38:
		return mutateProgram(r, generate(r), generate(r)), "grammar, mutated"
	case p < 46:
		return flip(r, pick()), "bytes"
	}
	data = mutateProgram(r, pick(), pick())
	if r.IntN(20) == 0 {
		return flip(r, data), "opcodes and bytes"
	}
	return data, "opcodes"
}

// flip changes bytes without a look at what they mean.
func flip(r *rand.Rand, data []byte) []byte {
	data = bytes.Clone(data)
	for n := 1 + r.IntN(3); n > 0 && len(data) > 0; n-- {
		at := r.IntN(len(data))
		switch r.IntN(6) {
		case 0:
			data[at] ^= 1 << r.IntN(8)
		case 1:
			data[at] = byte(r.Uint32())
		case 2:
			data[at] = anyOpcode[r.IntN(len(anyOpcode))]
		case 3:
			data = append(data[:at], data[at+1:]...)
		case 4:
			data = append(data[:at], append([]byte{byte(r.Uint32())}, data[at:]...)...)
		case 5:
			data = data[:at]
		}
	}
	return data
}

// mutateProgram changes one to three instructions of a, some by what is in b.
func mutateProgram(r *rand.Rand, a, b []byte) []byte {
	program := parse(a)
	if r.IntN(10) < 7 {
		program = unframed(program)
	}
	other := parse(b)
	for n := max(1, r.IntN(5)-1); n > 0; n-- {
		program = mutate(r, program, other)
	}
	if r.IntN(10) == 0 {
		program = framed(r, program)
	}
	return bytes.Join(asBytes(program), nil)
}

func asBytes(program []instruction) [][]byte {
	b := make([][]byte, len(program))
	for i, in := range program {
		b[i] = in
	}
	return b
}

func mutate(r *rand.Rand, program, other []instruction) []instruction {
	if len(program) == 0 {
		return []instruction{{'N'}, {'.'}}
	}
	at := r.IntN(len(program))
	out := append([]instruction{}, program...)
	switch r.IntN(12) {
	case 0: // delete
		return append(out[:at], out[at+1:]...)
	case 1: // repeat
		return insert(out, at, out[at])
	case 2: // exchange neighbours
		if at > 0 {
			out[at-1], out[at] = out[at], out[at-1]
		}
		return out
	case 3: // insert
		return insert(out, at, randomInstruction(r))
	case 4: // another opcode with the same argument
		if form, ok := forms[out[at][0]]; ok {
			same := append(instruction{}, out[at]...)
			if op := alike[form][r.IntN(len(alike[form]))]; op != 0x95 { // numbers are no lengths
				same[0] = op
			}
			out[at] = same
		}
		return out
	case 5: // splice: the start of this, the end of the other
		if len(other) > 0 {
			return append(out[:at], other[r.IntN(len(other)):]...)
		}
		return out
	case 6: // a few instructions of the other in between
		if len(other) > 1 {
			from := r.IntN(len(other) - 1)
			to := min(from+1+r.IntN(6), len(other)-1)
			return append(out[:at:at], append(append([]instruction{}, other[from:to]...), out[at:]...)...)
		}
		return out
	case 7: // PROTO
		return protocol(r, out)
	case 8: // a construct that is worth a look
		return append(out[:at:at], append(construct(r), out[at:]...)...)
	default:
		out[at] = argument(r, out[at])
		return out
	}
}

func insert(program []instruction, at int, in instruction) []instruction {
	program = append(program, nil)
	copy(program[at+1:], program[at:])
	program[at] = in
	return program
}

func protocol(r *rand.Rand, program []instruction) []instruction {
	in := instruction{0x80, byte(r.IntN(6))}
	switch {
	case r.IntN(20) == 0:
		return insert(program, r.IntN(len(program)+1), in)
	case program[0][0] != 0x80:
		return insert(program, 0, in)
	case r.IntN(3) == 0:
		return program[1:]
	}
	program[0] = in
	return program
}

// argument returns in with another argument.
func argument(r *rand.Rand, in instruction) instruction {
	form, ok := forms[in[0]]
	if !ok {
		return in
	}
	switch form {
	case 0:
		return instruction{anyOpcode[r.IntN(len(anyOpcode))]}
	case 1, 2, 4, 8:
		return fixed(r, in, form)
	case oneLine, twoLines:
		return line(r, in[0])
	}
	if r.IntN(3) > 0 {
		return counted(in[0], []byte(word(r)))
	}
	// A length that is not that of what follows.
	out := append(instruction{}, in...)
	head := map[int]int{counted1: 1, counted4: 4, counted8: 8}[form]
	if len(out) > head {
		copy(out[1:], fixed(r, out[:1+head], head)[1:])
	}
	return out
}

// fixed changes an argument of n bytes: by little, or to an edge.
func fixed(r *rand.Rand, in instruction, n int) instruction {
	var b [8]byte
	copy(b[:], in[1:])
	v := binary.LittleEndian.Uint64(b[:])
	switch p := r.IntN(100); {
	case p < 25:
		v++
	case p < 50:
		v--
	case p < 75:
		v = uint64(r.IntN(8))
	case p < 95:
		v = uint64(r.IntN(300))
	default:
		v = []uint64{0, 0x7f, 0x80, 0xff, 0x100, 0xffff, 1 << 17, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1<<63 - 1, 1<<64 - 1}[r.IntN(12)]
		if n == 4 && (in[0] == 'r' || in[0] == 'j') && v >= 1<<17 && r.IntN(10) > 0 {
			v = 70000 // CPython allocates up to the index
		}
	}
	binary.LittleEndian.PutUint64(b[:], v)
	return append(instruction{in[0]}, b[:n]...)
}

var numbers = []string{
	"0", "1", "00", "01", "-1", "-0", "+1", "1_0", " 1", "1 ", "0x10", "010", "1L", "1l", "", "-", "12345678901234567890",
	"1\x00", "\t1", "1\r", "1.5", "-1.5e-07", "1e5", "1e+16", "1E5", ".5", "5.", "nan", "-nan", "inf", "-inf", "NaN", "Infinity",
	"1e999", "1_0.0", "0x1p3", "True", "\xd9\xa1", "1e", "1e400", "4.9e-324", "1.7976931348623157e+308", "007", "-01", "-00",
}

var quoted = []string{
	"'a'", "\"a\"", "'a\"", "''", "'", "a", "'\\x41'", "'\\x07'", "'\\101'", "'\\n'", "'\\''", "'a' ", " 'a'", "'\\u0041'", "'\xe9'", "'\\", "'\\'",
	"'\\\n'", "'\\q'", "'\\x4'", "'a\\", "'a'\\", "'\\a'",
}

var rawUnicode = []string{
	"a", "", "\\u0041", "\\u000a", "\\u005c", "\\u00e9", "\xe9", "\\", "\\x41", "\\U00010000", "\\U0010ffff", "\\U00110000", "\\ud800", "\\u12", "\\U0001",
	"\\\\u0041", "\\\\\\u000a", "\\n", "a\\", "\\N{DASH}", "\\u00_1", "\xf0\x9f\x98\x80", "\xff", "\\u000A", "\\u005C", "a\rb", "\x00",
}

// line returns op with a line, or two, that suits it more or less.
func line(r *rand.Rand, op byte) instruction {
	pick := func(from []string) string { return from[r.IntN(len(from))] }
	var s string
	switch op {
	case 'c', 'i':
		module, name := names(r)
		s = module + "\n" + name
	case 'S':
		s = pick(quoted)
	case 'V':
		s = pick(rawUnicode)
		if r.IntN(3) == 0 {
			s = word(r)
		}
	case 'P':
		s = word(r)
	case 'g', 'p':
		s = strconv.Itoa(r.IntN(6))
		if r.IntN(4) == 0 {
			s = pick(numbers)
		}
	default:
		s = pick(numbers)
		if r.IntN(3) == 0 {
			s = strconv.FormatInt(int64(r.Uint64())>>r.IntN(64), 10)
		}
	}
	return instruction(fmt.Sprintf("%c%s\n", op, s))
}

// randomInstruction returns any opcode with a small argument.
func randomInstruction(r *rand.Rand) instruction {
	op := anyOpcode[r.IntN(len(anyOpcode))]
	if op == 0x80 || op == 0x95 {
		op = 'N'
	}
	switch form := forms[op]; form {
	case 0, 1, 2, 4, 8:
		return fixed(r, append(instruction{op}, make([]byte, form)...), form)
	case oneLine, twoLines:
		return line(r, op)
	}
	return counted(op, []byte(word(r)))
}

func unframed(program []instruction) []instruction {
	var out []instruction
	for _, in := range program {
		if in[0] != 0x95 {
			out = append(out, in)
		}
	}
	return out
}

// framed puts a run of instructions into a frame, mostly of the right length.
func framed(r *rand.Rand, program []instruction) []instruction {
	if len(program) < 2 {
		return program
	}
	from := r.IntN(len(program) - 1)
	if program[0][0] == 0x80 && from == 0 {
		from = 1
	}
	to := from + 1 + r.IntN(len(program)-from)
	if r.IntN(2) == 0 {
		to = len(program)
	}
	to = min(to, len(program))
	n := len(bytes.Join(asBytes(program[from:to]), nil))
	if r.IntN(4) == 0 {
		n += r.IntN(7) - 3
	}
	head := binary.LittleEndian.AppendUint64(instruction{0x95}, uint64(n))
	return insert(append([]instruction{}, program...), from, head)
}
