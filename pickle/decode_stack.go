package pickle

import (
	"strconv"
	"unsafe"
)

// boxSize is what a value takes outside the arena, in bytes, if it is none of
// its own: at most, but for objects and long numbers.
const boxSize = 32

func (d *decoder) push(v Value) {
	d.arena.spent += boxSize
	d.stack = append(d.stack, v)
}

func (d *decoder) pop() (Value, error) {
	n := len(d.stack) - 1
	if n < d.fence {
		return nil, d.underflow()
	}
	v := d.stack[n]
	d.stack = d.stack[:n]
	return v, nil
}

func (d *decoder) underflow() error { return d.fail("stack underflow") }

// top returns the uppermost value above the last mark and leaves it.
func (d *decoder) top() (Value, error) {
	if len(d.stack) <= d.fence {
		return nil, d.underflow()
	}
	return d.stack[len(d.stack)-1], nil
}

// sinceMark removes the last mark and what is above it, and returns the
// latter. It is valid until the next push.
func (d *decoder) sinceMark() ([]Value, error) {
	if len(d.marks) == 0 {
		return nil, d.fail("no MARK")
	}
	items := d.stack[d.fence:]
	if len(items) > weighEvery { // they are there twice in a moment
		if err := d.room(len(items) * int(unsafe.Sizeof(items[0]))); err != nil {
			return nil, err
		}
	}
	d.stack = d.stack[:d.fence]
	d.dropMark()
	return items, nil
}

func (d *decoder) mark() error {
	d.fence = len(d.stack)
	d.marks = append(d.marks, uint32(d.fence))
	return nil
}

func (d *decoder) dropMark() {
	d.marks = d.marks[:len(d.marks)-1]
	d.fence = 0
	if n := len(d.marks); n > 0 {
		d.fence = int(d.marks[n-1])
	}
}

// popOp follows load_pop: right after MARK it is the mark that goes.
func (d *decoder) popOp() error {
	if len(d.marks) > 0 && len(d.stack) == d.fence {
		d.dropMark()
		return nil
	}
	v, err := d.pop()
	if err == nil {
		d.notePopped(v)
	}
	return err
}

func (d *decoder) popMark() error {
	_, err := d.sinceMark()
	return err
}

func (d *decoder) dup() error {
	v, err := d.top()
	if err == nil {
		d.push(v)
	}
	return err
}

func (d *decoder) get() error {
	i, err := d.textIndex()
	if err != nil {
		return err
	}
	return d.recall(i)
}

func (d *decoder) binGet() error     { return d.getIndex(1) }
func (d *decoder) longBinGet() error { return d.getIndex(4) }

func (d *decoder) getIndex(size int) error {
	i, err := d.uint(size)
	if err != nil {
		return err
	}
	return d.recall(int(i))
}

func (d *decoder) put() error {
	i, err := d.textIndex()
	if err != nil {
		return err
	}
	return d.store(i)
}

func (d *decoder) binPut() error     { return d.putIndex(1) }
func (d *decoder) longBinPut() error { return d.putIndex(4) }

func (d *decoder) putIndex(size int) error {
	i, err := d.uint(size)
	if err != nil {
		return err
	}
	return d.store(int(i))
}

func (d *decoder) recall(i int) error {
	v := d.lookup(i)
	if v == nil {
		return d.fail("no such memo entry")
	}
	d.push(v)
	return nil
}

func (d *decoder) lookup(i int) Value {
	if i < len(d.memo) && d.memo[i] != nil {
		return d.memo[i]
	}
	return d.sparse[i]
}

// store keeps entries as machine.store does, so that indices cost no more
// memory than the input's length allows.
func (d *decoder) store(i int) error {
	v, err := d.top()
	if err != nil {
		return err
	}
	dense, most := i <= d.op+d.memoBase, d.limits.MaxMemo
	if !dense {
		most = min(most, maxSparseMemo)
	}
	if i >= most {
		return d.beyond("MaxMemo", most)
	}
	if d.lookup(i) == nil {
		d.memoLen++
	}
	if !dense {
		if d.sparse == nil {
			d.sparse = map[int]Value{}
		}
		d.sparse[i] = v
		return nil
	}
	if i-len(d.memo) > weighEvery {
		if err := d.room((i - len(d.memo)) * int(unsafe.Sizeof(v))); err != nil {
			return err
		}
	}
	for len(d.memo) <= i {
		d.memo = append(d.memo, nil)
	}
	// An index that was stored as sparse stays so no longer.
	delete(d.sparse, i)
	d.memo[i] = v
	return nil
}

func (d *decoder) textIndex() (int, error) {
	s, err := d.line()
	if err != nil {
		return 0, err
	}
	if len(s) > 10 || !isDecimal([]byte(s)) {
		return 0, d.fail("not a memo index as Python writes it")
	}
	return strconv.Atoi(s)
}
