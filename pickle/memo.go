package pickle

import (
	"strconv"
	"unsafe"
)

func (m *machine) get() error {
	i, err := m.textIndex()
	if err != nil {
		return err
	}
	return m.recall(i)
}

func (m *machine) binGet() error {
	i, err := m.uint(1)
	if err != nil {
		return err
	}
	return m.recall(int(i))
}

func (m *machine) longBinGet() error {
	i, err := m.uint(4)
	if err != nil {
		return err
	}
	return m.recall(int(i))
}

func (m *machine) put() error {
	i, err := m.textIndex()
	if err != nil {
		return err
	}
	return m.store(i)
}

func (m *machine) binPut() error {
	i, err := m.uint(1)
	if err != nil {
		return err
	}
	return m.store(int(i))
}

func (m *machine) longBinPut() error {
	i, err := m.uint(4)
	if err != nil {
		return err
	}
	return m.store(int(i))
}

// memoize stores at the number of entries, which is not the highest index
// plus one when a PUT has left a gap.
func (m *machine) memoize() error { return m.store(m.memoLen) }

func (m *machine) recall(i int) error {
	v, ok := m.lookup(i)
	if !ok {
		return m.fail("no such memo entry")
	}
	m.push(v)
	return nil
}

func (m *machine) lookup(i int) (value, bool) {
	if i < len(m.memo) && m.memo[i].kind() != 0 {
		return m.memo[i], true
	}
	v, ok := m.sparse[i]
	return v, ok
}

// store puts the top of the stack into the memo. Entries up to the opcode's
// own offset are kept in a slice, which the input's length thereby bounds;
// the few that lie beyond, in a map.
func (m *machine) store(i int) error {
	v, err := m.top()
	if err != nil {
		return err
	}
	if i == len(m.memo) && i <= m.op && i < m.limits.MaxMemo && m.sparse == nil {
		m.memo = append(m.memo, v)
		m.memoLen++
		return nil
	}
	return m.storeAt(i, v)
}

// storeAt is store where indices are not simply counted up.
func (m *machine) storeAt(i int, v value) error {
	dense, most := i <= m.op, m.limits.MaxMemo
	if !dense {
		most = min(most, maxSparseMemo)
	}
	if i >= most {
		return m.beyond("MaxMemo", most)
	}
	if _, taken := m.lookup(i); !taken {
		m.memoLen++
	}
	if !dense {
		if m.sparse == nil {
			m.sparse = map[int]value{}
		}
		m.sparse[i] = v
		return nil
	}
	if i-len(m.memo) > weighEvery {
		if err := m.room((i - len(m.memo)) * int(unsafe.Sizeof(v))); err != nil {
			return err
		}
	}
	for len(m.memo) <= i {
		m.memo = append(m.memo, value{})
	}
	m.memo[i] = v
	return nil
}

// textIndex reads a memo index in text, in Python's own form: "+3", "03" and
// " 3" name the same entry to CPython's C unpickler, but not to every reader.
func (m *machine) textIndex() (int, error) {
	b, err := m.line()
	if err != nil {
		return 0, err
	}
	if len(b) > 10 || !isDecimal(b) {
		return 0, m.fail("not a memo index as Python writes it")
	}
	return strconv.Atoi(string(b))
}
