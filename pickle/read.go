package pickle

import (
	"bytes"
	"encoding/binary"
)

// need fails unless n more bytes follow inside the frame.
func (m *machine) need(n uint64) error {
	if n <= uint64(m.end-m.pos) {
		return nil
	}
	if m.end < len(m.data) {
		return m.fail("the opcode reaches beyond its frame")
	}
	return m.cutShort()
}

// take reads n bytes.
func (m *machine) take(n uint64) ([]byte, error) {
	if err := m.need(n); err != nil {
		return nil, err
	}
	b := m.data[m.pos : m.pos+int(n)]
	m.pos += int(n)
	return b, nil
}

// uint reads a little-endian number of 1, 2, 4 or 8 bytes.
func (m *machine) uint(size int) (uint64, error) {
	b, err := m.take(uint64(size))
	if err != nil {
		return 0, err
	}
	switch size {
	case 1:
		return uint64(b[0]), nil
	case 2:
		return uint64(binary.LittleEndian.Uint16(b)), nil
	case 4:
		return uint64(binary.LittleEndian.Uint32(b)), nil
	}
	return binary.LittleEndian.Uint64(b), nil
}

// line reads up to a newline and returns what comes before it.
func (m *machine) line() ([]byte, error) {
	n := bytes.IndexByte(m.data[m.pos:m.end], '\n')
	if n < 0 {
		return nil, m.need(uint64(m.end-m.pos) + 1)
	}
	b := m.data[m.pos : m.pos+n]
	m.pos += n + 1
	return b, nil
}

// block reads a length of size bytes and then as many bytes as it says.
func (m *machine) block(size int, signed bool) ([]byte, error) {
	n, err := m.uint(size)
	if err != nil {
		return nil, err
	}
	if signed && n>>(8*size-1) != 0 {
		return nil, m.fail("negative length")
	}
	return m.take(n)
}
