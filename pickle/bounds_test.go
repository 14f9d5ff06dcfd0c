package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// bombs makes pickles of about size bytes that ask for as much as they can.
var bombs = map[string]func(size int) []byte{
	"length of 4 GB":            repeated("", "B\xff\xff\xff\xff"),
	"length of 2^63":            repeated("", "\x8e\xff\xff\xff\xff\xff\xff\xff\x7f"),
	"LONG4":                     func(size int) []byte { return counted4Of(opLong4, size) },
	"LONG4, negative":           func(size int) []byte { return append(counted4Of(opLong4, size)[:size-1], 0xff, '.') },
	"INT of many digits":        repeated("I", "9", "\n."),
	"LONG of many digits":       repeated("L", "9", "L\n."),
	"FLOAT of many digits":      repeated("F", "1", "\n."),
	"integers of 4,300 digits":  repeated("(", "L"+strings.Repeat("9", 4300)+"L\n", "t."),
	"marks":                     repeated("", "("),
	"marks, popped":             repeated("", "(0", "N."),
	"lists in lists":            nested("", "]", "a"),
	"tuples in tuples":          nested(")", "\x85", ""),
	"dicts in dicts":            nested("}", "N}", "s"),
	"objects in objects":        repeated("ca\nB\np0\n(", "h\x00\x85R", "t."),
	"frozensets":                repeated("(", "(\x91", "t."),
	"memo index 2^31":           repeated("N", "r\xff\xff\xff\x7f"),
	"memo indices, far":         repeated("N", "r\xff\xff\x01\x00r\xfe\xff\x01\x00", "."),
	"memo indices, down":        descending,
	"memo, ever higher":         repeated("N", "\x94", "."),
	"DUP":                       repeated("(N", "2", "t."),
	"DUP of tuples":             repeated(")", "2\x86", "."),
	"DUP of a list":             repeated("]", "2a", "."),
	"GET":                       repeated("(]p0\n", "h\x00", "t."),
	"GET of long text":          repeated("(X\x00\x10\x00\x00"+strings.Repeat("a", 4096)+"q\x00", "h\x00", "t."),
	"one name, again":           repeated("\x80\x04(\x8c\x01a\x94\x8c\x01B\x94", "h\x00h\x01\x93", "t."),
	"long names, again":         repeated("\x80\x04(X\x00\x02\x00\x00"+strings.Repeat("a", 512)+"\x94\x8c\x01B\x94", "h\x00h\x01\x93", "t."),
	"long names, renamed":       repeated("\x80\x02(U\x0a__builtin__q\x00", "c__builtin__\nxrange\n", "t."),
	"attributes":                repeated("c__builtin__\ngetattr\np0\n0(ca\nB\nVC\ntp1\n0(", "g0\ng1\nR", "t."),
	"attributes, longer":        repeated("c__builtin__\ngetattr\np0\n0ca\nB\np1\n", "p1\n0g0\n(g1\nVC\ntR", "."),
	"calls with a long tuple":   halved("ca\nB\np0\n0(", "N", "tp1\n0(", "g0\ng1\nR", "t."),
	"calls of many shapes":      manyShapes,
	"bytearrays by latin1":      halved("c__builtin__\nbytearray\np0\n0(V", "a", "\nVlatin1\ntp1\n0(", "g0\ng1\nR", "t."),
	"hash of a long tuple":      halved("}p0\n0(", "N", "tp1\n0g0\n(", "g1\nN", "u."),
	"names of half the input":   halved("\x80\x04(V", "a", "\n\x94\x8c\x01B\x94", "h\x00h\x01\x93", "t."),
	"numbers of half the input": halved("ca\nB\np0\n0(V", "1", "\ntp1\n0(", "g0\ng1\nR", "t."),
	"BUILD, again":              repeated("ca\nB\n)\x81", "}b", "."),
	"BUILD of one dict":         repeated("ca\nB\n)\x81}p0\n", "0g0\n", "."),
	"one key, again":            repeated("}p0\n0((((NtttNtp1\n0g0\n", "g1\nNs", "."),
	"set of a long list":        halved("c__builtin__\nset\np0\n0((", "N", "ltp1\n0(", "g0\ng1\nR", "t."),
	"bytes by latin1":           halved("c_codecs\nencode\np0\n0(V", "a", "\nVlatin1\ntp1\n0(", "g0\ng1\nR", "t."),
	"surrogates":                repeated("(", "X\x03\x00\x00\x00\xed\xa0\x80", "t."),
	"escapes":                   repeated("V", "\\u4e2d", "\n."),
	"partials":                  repeated("cfunctools\npartial\np0\n0c__builtin__\ngetattr\n(ca\nB\np2\nV__new__\ntRp1\n0(", "g0\n(g1\ntR(g1\n(g2\nt}Ntb)R", "t."),
	"persistent ids":            repeated("(", "P1\n", "t."),
	"frames":                    repeated("\x80\x04(", "\x95\x01\x00\x00\x00\x00\x00\x00\x00N", "t."),
	"cut text":                  repeated("V", "a"),
}

// repeated returns a bomb of head, body over and over, and tail.
func repeated(head, body string, tail ...string) func(int) []byte {
	end := strings.Join(tail, "")
	return func(size int) []byte {
		n := max(1, (size-len(head)-len(end))/len(body))
		return []byte(head + strings.Repeat(body, n) + end)
	}
}

// halved spends half of the input on one thing, filled up, and the other half
// on using it again and again.
func halved(head, fill, middle, body, tail string) func(int) []byte {
	return func(size int) []byte {
		rest := (size/2 - len(middle) - len(tail)) / len(body)
		return []byte(head + strings.Repeat(fill, size/2-len(head)) + middle + strings.Repeat(body, rest) + tail)
	}
}

// nested opens as deep as the default limit allows, closes, and begins again.
func nested(head, open, closed string) func(int) []byte {
	return func(size int) []byte {
		const depth = 9000
		one := head + strings.Repeat(open, depth) + strings.Repeat(closed, depth-1)
		return []byte("(" + strings.Repeat(one, max(1, size/len(one))) + "t.")
	}
}

func counted4Of(op byte, size int) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{op}, uint32(size-6))
	return append(append(b, make([]byte, size-6)...), '.')
}

// descending fills the memo from above, so that each entry is a new one.
func descending(size int) []byte {
	b := []byte("N")
	for i := min(size/5, maxSparseMemo-1); i > 0; i-- {
		b = binary.LittleEndian.AppendUint32(append(b, opLongBinPut), uint32(i))
	}
	return append(b, '.')
}

// What each function may allocate in all, as a multiple of its input's length.
// A pickle spends 5 bytes on an import, of which the report holds 100. It
// spends 2 on a BUILD of what was built already, of which Decode keeps a Step
// and a Dict.
const (
	verifyAllocates = 128
	decodeAllocates = 400
	appendAllocates = 128
)

// spent runs f some times, and returns the least processor time and the least
// bytes allocated. It counts the time of its own thread and keeps the garbage
// collector out, for other processes and goroutines are no business of f.
func spent(t *testing.T, f func()) (took time.Duration, allocated uint64) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	processor := func() time.Duration {
		var usage unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_THREAD, &usage); err != nil {
			t.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	took, allocated = math.MaxInt64, math.MaxUint64
	runtime.GC()
	for range 2 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := processor()
		f()
		took = min(took, processor()-start)
		runtime.ReadMemStats(&after)
		allocated = min(allocated, after.TotalAlloc-before.TotalAlloc)
	}
	return took, allocated
}

// TestLinear: what Verify, Decode and Append take is linear in the input's
// length, in memory and in time. Eight times the input may take four times
// eight times as long, which leaves room for noise and none for a square.
func TestLinear(t *testing.T) {
	const small, factor, slack = 64 << 10, 8, 4
	for name, bomb := range bombs {
		t.Run(name, func(t *testing.T) {
			one, many := bomb(small), bomb(factor*small)
			measure := func(what string, multiple int, f func(data []byte)) {
				short, _ := spent(t, func() { f(one) })
				long, allocated := spent(t, func() { f(many) })
				if most := uint64(multiple*len(many) + 1<<20); allocated > most {
					t.Errorf("%s of %d bytes allocates %d, %d times as much", what, len(many), allocated, allocated/uint64(len(many)))
				}
				growth := time.Duration(max(1, len(many)/len(one)))
				if most := short*growth*slack + 100*time.Millisecond; long > most {
					t.Errorf("%s of %d bytes takes %v, of %d bytes %v", what, len(one), short, len(many), long)
				}
			}
			measure("Verify", verifyAllocates, func(data []byte) { Verify(data, Limits{}) })
			measure("Decode", decodeAllocates, func(data []byte) { Decode(data, DecodeOptions{}) })
			values := map[int]Value{}
			for _, data := range [][]byte{one, many} {
				values[len(data)], _ = Decode(data, DecodeOptions{})
			}
			measure("Append", appendAllocates, func(data []byte) {
				if v := values[len(data)]; v != nil {
					Append(nil, v, 4)
				}
			})
		})
	}
}

// TestMaxMemory: what takes more memory than it may is refused with a
// LimitError, by each function that keeps so much of it.
func TestMaxMemory(t *testing.T) {
	const size = 4 << 20
	verify := func(data []byte, limits Limits) error { _, err := Verify(data, limits); return err }
	decode := func(data []byte, limits Limits) error {
		_, err := Decode(data, DecodeOptions{Limits: limits})
		return err
	}
	find := func(data []byte, _ Limits) error { _, err := FindAttribute(data, "x"); return err }
	for name, c := range map[string]struct {
		bomb   []byte
		beyond []func([]byte, Limits) error
	}{
		"lists":        {repeated("(", "]", "t.")(size), []func([]byte, Limits) error{verify, decode, find}},
		"empty tuples": {repeated("(", ")", "t.")(size), []func([]byte, Limits) error{verify, decode, find}},
		"a tuple":      {repeated("(", "N", "t.")(size), []func([]byte, Limits) error{verify, decode, find}},
		"dicts":        {repeated("(", "}NNs", "l.")(size), []func([]byte, Limits) error{decode}},
		"sets":         {repeated("(", "\x8f", "l.")(size), []func([]byte, Limits) error{verify, decode}},
		"DUP":          {repeated("(N", "2", "t.")(size), []func([]byte, Limits) error{verify, decode}},
		"imports":      {repeated("(", "ca\nB\n", "l.")(size), []func([]byte, Limits) error{verify}},
		"instances":    {repeated("(ca\nB\nq\x00", "h\x00)\x81", "l.")(size), []func([]byte, Limits) error{decode}},
		"calls":        {repeated("(ca\nB\nq\x00", "h\x00)R", "l.")(size), []func([]byte, Limits) error{decode}},
		"INST":         {repeated("(", "(ia\nB\n", "l.")(size), []func([]byte, Limits) error{verify, decode}},
		"BUILD":        {repeated("ca\nB\n)\x81", "Nb", ".")(size), []func([]byte, Limits) error{decode}},
		"APPEND":       {repeated("ca\nB\n)\x81Nb", "Na", ".")(size), []func([]byte, Limits) error{decode}},
		"SETITEM":      {repeated("ca\nB\n)\x81Nb", "NNs", ".")(size), []func([]byte, Limits) error{decode}},
		"far memo":     {append(bytes.Repeat([]byte("N0"), size/2-10), "Nr\x00\x00\x3f\x00."...), nil},
	} {
		for i, f := range c.beyond {
			var limit *LimitError
			if err := f(c.bomb, Limits{}); !errors.As(err, &limit) || limit.Limit != "MaxMemory" || limit.Offset <= 0 || limit.Offset >= len(c.bomb) {
				t.Errorf("%s: function %d: %v", name, i, err)
			}
		}
		if err := verify(c.bomb, Limits{MaxMemory: 1 << 30}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := decode(c.bomb, Limits{MaxMemory: 1 << 30}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOrdinaryFits: what Python writes may be as long as MaxBytes allows.
func TestOrdinaryFits(t *testing.T) {
	text := func(i int) Value { return Str(fmt.Sprint("text ", i)) }
	class := Import{"app", "Item"}
	for name, item := range map[string]func(i int) Value{
		"ints":    func(i int) Value { return Int(i) },
		"floats":  func(i int) Value { return Float(i) / 7 },
		"texts":   text,
		"pairs":   func(i int) Value { return &Tuple{[]Value{Int(i & 0xff), Int(i >> 8 & 0xff)}} },
		"lists":   func(i int) Value { return &List{[]Value{Int(i)}} },
		"records": func(i int) Value { return &Dict{[]Item{{text(0), Int(i)}, {text(1), text(i)}, {text(2), None{}}}} },
		"instances": func(i int) Value {
			return &Object{Callable: class, Args: new(Tuple), State: &Dict{[]Item{{text(0), Int(i)}, {text(1), text(i)}}}}
		},
	} {
		for _, protocol := range []int{0, 2, 4} {
			const most = 4 << 20
			pickled := func(n int) []byte {
				items := make([]Value, n)
				for i := range items {
					items[i] = item(i)
				}
				data, err := Append(nil, &List{items}, protocol)
				if err != nil {
					t.Fatal(err)
				}
				return data
			}
			n := 1 << 14
			data := pickled(n)
			for n = n * most / len(data); len(data) < most*9/10 || len(data) > most; n = n * 98 / 100 {
				data = pickled(n)
			}
			if _, err := Verify(data, Limits{}); err != nil {
				t.Errorf("%s in protocol %d, %d bytes: %v", name, protocol, len(data), err)
			}
			if _, err := Decode(data, DecodeOptions{}); err != nil {
				t.Errorf("%s in protocol %d, %d bytes: %v", name, protocol, len(data), err)
			}
		}
	}
}
