package main

import (
	"bytes"
	"math/rand/v2"
	"strconv"
)

var modules = []string{
	"os", "posix", "builtins", "__builtin__", "copy_reg", "copyreg", "collections", "datetime", "decimal", "uuid", "functools",
	"_codecs", "myapp.models", "myapp.sessions", "__main__", "session3.Session", "numpy", "subprocess", "UserDict", "commands",
	"operator", "fractions", "types", "pathlib", "zoneinfo", "http.cookies", "array", "exceptions", "socket", "itertools", "urllib2",
}

var imported = []string{
	"system", "eval", "getattr", "_reconstructor", "__newobj__", "__newobj_ex__", "OrderedDict", "datetime", "Decimal", "UUID",
	"partial", "encode", "Thing", "Thing.Inner", "object", "bytes", "bytearray", "set", "frozenset", "int", "complex", "range",
	"xrange", "slice", "Session", "ValueError", "StandardError", "UserDict", "deque", "Counter", "defaultdict", "Fraction",
	"SimpleNamespace", "PosixPath", "ZoneInfo", "timedelta", "timezone", "array", "izip", "type", "__new__", "unicode", "dict",
}

var odd = []string{
	"", ".", "a.", ".a", "a..b", "os\x00", "os ", "os\r", "o\xcc\x88s", "\xed\xa0\x80", "\xff", "a b", "a-b", "__x__", "1", "\xe9",
	"os\xe2\x80\xa8", "a\tb", "Thing.__class__", "Thing.__init__.__globals__",
}

var plainWords = []string{
	"a", "id", "__class__", "__dict__", "__x__", "latin1", "latin-1", "utf-8", "1", "1/3", "-7/2", "1e1000000000", "key", "\xc3\xa9", "\xe4\xb8\xad",
	"\xf0\x9f\x98\x80", "\xed\xa0\x80", "_unpickle", "utc", "__new__", "user", "\x00", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
}

func names(r *rand.Rand) (module, name string) {
	module, name = modules[r.IntN(len(modules))], imported[r.IntN(len(imported))]
	switch r.IntN(12) {
	case 0:
		module = odd[r.IntN(len(odd))]
	case 1:
		name = odd[r.IntN(len(odd))]
	}
	return module, name
}

func word(r *rand.Rand) string {
	switch r.IntN(10) {
	case 0:
		return modules[r.IntN(len(modules))]
	case 1:
		return imported[r.IntN(len(imported))]
	case 2:
		return odd[r.IntN(len(odd))]
	case 3:
		return strconv.Itoa(r.IntN(1000))
	}
	return plainWords[r.IntN(len(plainWords))]
}

// text returns an instruction that pushes s.
func text(r *rand.Rand, s string) instruction {
	switch op := textOpcodes[r.IntN(len(textOpcodes))]; op {
	case 'V':
		return instruction("V" + s + "\n")
	case 'S':
		return instruction("S'" + s + "'\n")
	default:
		return counted(op, []byte(s))
	}
}

// construct returns a few instructions that belong together.
func construct(r *rand.Rand) []instruction {
	module, name := names(r)
	global := instruction("c" + module + "\n" + name + "\n")
	own := instruction("cmyapp.models\nThing\n")
	join := func(parts ...instruction) []instruction { return parts }
	switch r.IntN(16) {
	case 14, 15: // an index that MEMOIZE will come to
		return join(instruction{'q', byte(r.IntN(12))})
	case 13:
		return join(partial(r)...)
	case 0:
		return join(text(r, module), text(r, name), instruction{0x93})
	case 1:
		return join(global, instruction{')'}, instruction{'R'})
	case 2:
		return join(global, instruction{')'}, instruction{0x81}, instruction{'}'}, instruction{'b'})
	case 3:
		return join(instruction("c__builtin__\ngetattr\n"), global, text(r, word(r)), instruction{0x86}, instruction{'R'})
	case 4:
		return join(own, instruction{')'}, instruction{'}'}, text(r, word(r)), instruction{'N'}, instruction{'s'}, instruction{0x92})
	case 5:
		return join(instruction{'('}, global, instruction{'N'}, instruction{'o'})
	case 6:
		return join(instruction{'('}, instruction{'N'}, instruction("i"+module+"\n"+name+"\n"))
	case 7:
		return join(instruction{0x94}, instruction{'0'}, instruction{'h', byte(r.IntN(4))})
	case 8:
		return join(instruction{'}'}, instruction{'('}, text(r, word(r)), instruction{'N'}, instruction{'u'})
	case 9:
		return join(own, instruction{')'}, instruction{0x81}, instruction{'N'}, instruction{'}'}, text(r, word(r)), instruction{'N'}, instruction{'s'}, instruction{0x86}, instruction{'b'})
	case 10:
		return join(instruction("ccopy_reg\n_reconstructor\n"), global, instruction("c__builtin__\nobject\n"), instruction{'N'}, instruction{0x87}, instruction{'R'})
	case 11:
		return join(instruction("c_codecs\nencode\n"), text(r, word(r)), text(r, "latin1"), instruction{0x86}, instruction{'R'})
	}
	return join(text(r, word(r)), instruction{'Q'})
}

// partial returns how protocols 2 and 3 spell NEWOBJ_EX, or nearly so.
func partial(r *rand.Rand) []instruction {
	module, name := names(r)
	class := instruction("cmyapp.models\nThing\n")
	if r.IntN(3) == 0 {
		class = instruction("c" + module + "\n" + name + "\n")
	}
	program := []instruction{
		instruction("cfunctools\npartial\n"), instruction("c__builtin__\ngetattr\n"), class, text(r, "__new__"), {0x86}, {'R'}, {'q', 200},
		{0x85}, {'R'}, {'('}, {'h', 200}, class, {'N'}, {0x86}, {'}'}, text(r, "key"), {'N'}, {'s'}, {'N'}, {'t'}, {'b'}, {')'}, {'R'},
	}
	if r.IntN(2) == 0 {
		program[r.IntN(len(program))] = randomInstruction(r)
	}
	return program
}

// A grammar writes a program that is mostly well-formed, by keeping account
// of what lies on the stack.
type grammar struct {
	*rand.Rand
	out   []instruction
	stack []byte // kinds: t text, g import, o object, l list, d dict, s set, u tuple, x another, ( a mark
	memo  []byte
}

// generate returns a program of a random length.
func generate(r *rand.Rand) []byte {
	g := &grammar{Rand: r}
	if p := r.IntN(8); p < 6 {
		g.out = append(g.out, instruction{0x80, byte(p)})
	}
	for n := 1 + r.IntN(40); n > 0; n-- {
		g.step()
	}
	g.finish()
	if r.IntN(6) == 0 {
		g.out = framed(r, g.out)
	}
	data := bytes.Join(asBytes(g.out), nil)
	if r.IntN(30) == 0 {
		data = append(data, "\x00N."[r.IntN(3):]...)
	}
	return data
}

func (g *grammar) emit(b ...byte) { g.out = append(g.out, b) }

// top returns the kind n below the top, and 0 beyond a mark.
func (g *grammar) top(n int) byte {
	for i := range n + 1 {
		if i >= len(g.stack) || g.stack[len(g.stack)-1-i] == '(' {
			return 0
		}
	}
	return g.stack[len(g.stack)-1-n]
}

// replace takes n values off and puts a kind there.
func (g *grammar) replace(n int, kind byte) {
	g.stack = append(g.stack[:len(g.stack)-n], kind)
}

// sinceMark is the number of values above the last mark, -1 without one.
func (g *grammar) sinceMark() int { return len(g.stack) - 1 - bytes.LastIndexByte(g.stack, '(') }

func (g *grammar) marked() bool { return bytes.IndexByte(g.stack, '(') >= 0 }

func (g *grammar) step() {
	if g.IntN(60) == 0 { // now and then what does not fit
		in := randomInstruction(g.Rand)
		g.out = append(g.out, in)
		return
	}
	switch g.IntN(14) {
	case 0, 1, 2:
		g.scalar()
	case 3, 4:
		g.global()
	case 5:
		k := []byte{']', '}', 0x8f, ')'}
		i := g.IntN(len(k))
		g.emit(k[i])
		g.stack = append(g.stack, "ldsu"[i])
	case 6:
		g.emit('(')
		g.stack = append(g.stack, '(')
	case 7:
		g.memoize()
	case 8:
		g.recall()
	case 9, 10:
		g.call()
	case 11:
		g.change()
	case 12:
		g.close()
	case 13:
		g.tuple()
	}
}

func (g *grammar) scalar() {
	if g.IntN(2) == 0 {
		g.out = append(g.out, text(g.Rand, word(g.Rand)))
		g.stack = append(g.stack, 't')
		return
	}
	ops := []byte{'N', 'K', 'M', 'J', 'G', 'I', 'L', 'F', 0x88, 0x89, 0x8a, 'C', 'B', 0x96, 0x8b, 'P'}
	op := ops[g.IntN(len(ops))]
	switch form := forms[op]; form {
	case 0, 1, 2, 4, 8:
		in := instruction{op}
		for range form {
			in = append(in, byte(g.Uint32()))
		}
		g.out = append(g.out, in)
	case oneLine:
		g.out = append(g.out, line(g.Rand, op))
	default:
		g.out = append(g.out, counted(op, []byte(word(g.Rand))))
	}
	g.stack = append(g.stack, 'x')
}

func (g *grammar) global() {
	if g.IntN(40) == 0 {
		g.out = append(g.out, partial(g.Rand)...)
		g.stack = append(g.stack, 'o')
		return
	}
	module, name := names(g.Rand)
	switch g.IntN(4) {
	case 0:
		g.out = append(g.out, text(g.Rand, module), text(g.Rand, name), instruction{0x93})
	default:
		g.out = append(g.out, instruction("c"+module+"\n"+name+"\n"))
	}
	g.stack = append(g.stack, 'g')
	if name == "getattr" && g.IntN(2) == 0 {
		g.out = append(g.out, instruction("cmyapp.models\nThing\n"), text(g.Rand, word(g.Rand)), instruction{0x86}, instruction{'R'})
	}
}

func (g *grammar) memoize() {
	kind := g.top(0)
	if kind == 0 {
		return
	}
	i := len(g.memo)
	switch g.IntN(8) {
	case 0, 1, 2:
		g.emit('q', byte(i))
	case 3:
		g.emit('r', byte(i), 0, 0, 0)
	case 4:
		g.out = append(g.out, instruction("p"+strconv.Itoa(i)+"\n"))
	case 5: // another place
		i = g.IntN(20)
		g.emit('q', byte(i))
	default:
		g.emit(0x94)
	}
	for len(g.memo) <= i {
		g.memo = append(g.memo, kind)
	}
	g.memo[i] = kind
}

func (g *grammar) recall() {
	if len(g.memo) == 0 {
		return
	}
	i := g.IntN(len(g.memo))
	switch g.IntN(5) {
	case 0:
		g.emit('j', byte(i), 0, 0, 0)
	case 1:
		g.out = append(g.out, instruction("g"+strconv.Itoa(i)+"\n"))
	default:
		g.emit('h', byte(i))
	}
	g.stack = append(g.stack, g.memo[i])
}

func (g *grammar) call() {
	if g.top(0) == 'g' {
		g.emit(')')
		g.stack = append(g.stack, 'u')
	}
	switch {
	case g.top(0) == 'u' && g.top(1) == 'g' && g.IntN(6) == 0:
		g.emit('}')
		if g.IntN(2) == 0 {
			g.out = append(g.out, text(g.Rand, word(g.Rand)), instruction{'N'}, instruction{'s'})
		}
		g.emit(0x92)
		g.replace(2, 'o')
	case g.top(0) == 'u' && g.top(1) == 'g':
		g.emit([]byte{'R', 0x81}[g.IntN(2)])
		g.replace(2, 'o')
	case g.marked() && g.sinceMark() > 0 && g.stack[len(g.stack)-g.sinceMark()] == 'g':
		g.emit('o')
		g.replace(g.sinceMark()+1, 'o')
	case g.marked():
		module, name := names(g.Rand)
		g.out = append(g.out, instruction("i"+module+"\n"+name+"\n"))
		g.replace(g.sinceMark()+1, 'o')
	case g.top(0) != 0 && g.IntN(4) == 0:
		g.emit('Q')
		g.replace(1, 'x')
	}
}

// change acts on what lies on the stack: BUILD, APPEND, SETITEM.
func (g *grammar) change() {
	switch target := g.top(0); target {
	case 'o':
		if g.IntN(3) > 0 {
			g.emit('}')
			g.out = append(g.out, text(g.Rand, word(g.Rand)), instruction{'N'}, instruction{'s'}, instruction{'b'})
			return
		}
		g.emit('N')
		g.emit('a')
	case 'l':
		g.emit('K', byte(g.IntN(256)))
		g.emit('a')
	case 'd':
		g.out = append(g.out, text(g.Rand, word(g.Rand)), instruction{'N'}, instruction{'s'})
	case 's':
		g.emit('(')
		g.out = append(g.out, text(g.Rand, word(g.Rand)), instruction{0x90})
	case 0:
	default:
		switch g.top(1) {
		case 'l':
			g.emit('a')
			g.replace(1, 'l')
			g.stack = g.stack[:len(g.stack)-1]
		case 'o':
			g.emit('b')
			g.replace(1, 'o')
			g.stack = g.stack[:len(g.stack)-1]
		}
	}
}

// close ends what a mark has begun.
func (g *grammar) close() {
	if !g.marked() {
		return
	}
	n := g.sinceMark()
	below := byte(0)
	if i := len(g.stack) - n - 2; i >= 0 {
		below = g.stack[i]
	}
	switch k := g.IntN(6); {
	case below == 'l' && k < 3:
		g.emit('e')
		g.stack = g.stack[:len(g.stack)-n-1]
	case (below == 'd' || below == 'o') && n%2 == 0 && k < 3:
		g.emit('u')
		g.stack = g.stack[:len(g.stack)-n-1]
	case below == 's' && k < 3:
		g.emit(0x90)
		g.stack = g.stack[:len(g.stack)-n-1]
	case k == 3 && n%2 == 0:
		g.emit('d')
		g.replace(n+1, 'd')
	case k == 4:
		g.emit('l')
		g.replace(n+1, 'l')
	case k == 5:
		g.emit([]byte{'1', 0x91}[g.IntN(2)])
		g.stack = g.stack[:len(g.stack)-n-1]
		if g.out[len(g.out)-1][0] == 0x91 {
			g.stack = append(g.stack, 'x')
		}
	default:
		g.emit('t')
		g.replace(n+1, 'u')
	}
}

func (g *grammar) tuple() {
	n := 1 + g.IntN(3)
	if g.top(n-1) == 0 {
		switch {
		case g.top(0) == 0:
		case g.IntN(2) == 0:
			g.emit('2')
			g.stack = append(g.stack, g.top(0))
		default:
			g.emit('0')
			g.stack = g.stack[:len(g.stack)-1]
		}
		return
	}
	g.out = append(g.out, instruction{0x85 + byte(n-1)})
	g.replace(n, 'u')
}

// finish leaves one value on the stack, mostly, and stops.
func (g *grammar) finish() {
	for g.marked() {
		n := g.sinceMark()
		g.emit('t')
		g.replace(n+1, 'u')
	}
	if len(g.stack) == 0 {
		g.emit('N')
		g.stack = append(g.stack, 'x')
	}
	for len(g.stack) > 1 && g.IntN(50) > 0 {
		g.emit(0x86)
		g.replace(2, 'u')
	}
	g.emit('.')
}
