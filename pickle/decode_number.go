package pickle

import (
	"encoding/binary"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

func (d *decoder) binInt1() error {
	n, err := d.uint(1)
	if err != nil {
		return err
	}
	d.push(Int(n))
	return nil
}

func (d *decoder) binInt2() error {
	n, err := d.uint(2)
	if err != nil {
		return err
	}
	d.push(d.arena.int(int64(n), d.pos))
	return nil
}

// binInt reads BININT, which has a sign as only LONG1 and LONG4 do besides.
func (d *decoder) binInt() error {
	n, err := d.uint(4)
	if err != nil {
		return err
	}
	d.push(d.arena.int(int64(int32(n)), d.pos))
	return nil
}

func (d *decoder) binFloat() error {
	s, err := d.take(8)
	if err != nil {
		return err
	}
	d.push(d.arena.float(math.Float64frombits(binary.BigEndian.Uint64([]byte(s))), d.pos))
	return nil
}

// textInt reads INT: a decimal number, or a bool as 00 or 01.
func (d *decoder) textInt() error {
	s, err := d.line()
	if err != nil {
		return err
	}
	switch s {
	case "00":
		d.push(Bool(false))
	case "01":
		d.push(Bool(true))
	default:
		return d.decimal(s, false)
	}
	return nil
}

// textLong reads LONG: a decimal number, and the L that Python writes after it.
func (d *decoder) textLong() error {
	s, err := d.line()
	if err != nil {
		return err
	}
	return d.decimal(strings.TrimSuffix(s, "L"), true)
}

func (d *decoder) decimal(s string, long bool) error {
	digits := strings.TrimPrefix(s, "-")
	if len(digits) > d.limits.MaxDigits {
		return d.beyond("MaxDigits", d.limits.MaxDigits)
	}
	// Of "-0" the C unpickler makes False.
	if !isDecimal([]byte(digits)) || len(s) > len(digits) && digits == "0" {
		return d.fail("not an integer as Python writes it")
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		d.push(d.integer(n, long))
		return nil
	}
	n := new(BigInt)
	n.SetString(s, 10)
	d.push(n)
	return nil
}

// textFloat reads FLOAT: repr() of a float.
func (d *decoder) textFloat() error {
	s, err := d.line()
	if err != nil {
		return err
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !isFloat([]byte(s)) {
		return d.fail("not a float as Python writes it")
	}
	if s == "nan" {
		f = math.Float64frombits(0x7ff8 << 48) // Go's own NaN has other bits
	}
	d.push(Float(f))
	return nil
}

func (d *decoder) long1() error { return d.long(1) }
func (d *decoder) long4() error { return d.long(4) }

// long reads LONG1 and LONG4: little-endian two's complement.
func (d *decoder) long(size int) error {
	s, err := d.block(size)
	if err != nil {
		return err
	}
	if len(s) <= 8 {
		var n int64
		for i := len(s) - 1; i >= 0; i-- {
			n = n<<8 | int64(s[i])
		}
		if shift := 64 - 8*len(s); len(s) > 0 {
			n = n << shift >> shift
		}
		d.push(d.integer(n, true))
		return nil
	}
	v := bigOrInt(littleEndian([]byte(s)))
	if n, ok := v.(Int); ok {
		v = d.integer(int64(n), true)
	}
	d.push(v)
	return nil
}

// littleEndian reads two's complement. It overwrites b.
func littleEndian(b []byte) *BigInt {
	n := new(BigInt)
	slices.Reverse(b)
	if b[0]&0x80 == 0 {
		n.SetBytes(b)
		return n
	}
	for i := range b {
		b[i] = ^b[i]
	}
	n.SetBytes(b)
	n.Not(&n.Int)
	return n
}

// bigOrInt returns n as an Int when it fits.
func bigOrInt(n *BigInt) Value {
	if n.IsInt64() {
		return Int(n.Int64())
	}
	return n
}

// NewInt returns n as an Int when it fits, and else as a *BigInt with a copy.
func NewInt(n *big.Int) Value {
	b := new(BigInt)
	b.Set(n)
	return bigOrInt(b)
}
