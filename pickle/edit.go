package pickle

import (
	"encoding/binary"
	"errors"
	"math"
	"sync"
)

var (
	// ErrNoAttribute is returned when the object has no attribute of that
	// name.
	ErrNoAttribute = errors.New("pickle: no such attribute")

	// ErrNotEditable is returned when the bytes cannot be changed without
	// reading all of them: the pickle is no instance with a dict of
	// attributes, the attribute's old value is referred to elsewhere, or the
	// new one refers twice to one object. Decode and Append can do it.
	ErrNotEditable = errors.New("pickle: the attribute cannot be edited in place")
)

// FindAttribute returns the value of one attribute of the instance that is
// the pickle's top object, as the dict that BUILD gives it has it. Of all the
// rest it builds nothing: it costs little more than Verify.
//
// The errors are ErrNoAttribute, ErrNotEditable (also when the value refers
// to objects outside itself), and those of Decode; what Verify would refuse
// may pass.
func FindAttribute(data []byte, name string) (Value, error) {
	a, protocol, err := findAttribute(data, name)
	if err != nil {
		return nil, err
	}
	d := decoders.Get().(*decoder)
	defer d.release()
	// The value's bytes are a pickle, but for STOP and what came before: its
	// entries of the memo are not there to be fetched.
	d.start(string(data[a.start:a.end])+string(rune(opStop)), Limits{}.withDefaults())
	d.protocol = protocol
	d.memo = append(d.memo, make([]Value, a.memo)...)
	d.memoLen, d.memoBase = a.memo, a.memo
	v, err := d.run()
	var syntax *SyntaxError
	if errors.As(err, &syntax) {
		return nil, ErrNotEditable
	}
	return v, err
}

// SetFloatAttribute changes, in data itself, an attribute that is a float,
// such as a time stamp, to f. data keeps its length. The errors are those of
// ReplaceAttribute; ErrNotEditable also when the value is no float in binary.
func SetFloatAttribute(data []byte, name string, f float64) error {
	a, _, err := findAttribute(data, name)
	if err != nil {
		return err
	}
	if data[a.start] != opBinFloat || a.end != a.start+9 {
		return ErrNotEditable
	}
	binary.BigEndian.PutUint64(data[a.start+1:], math.Float64bits(f))
	return nil
}

// ReplaceAttribute appends to dst the pickle in data, up to its STOP, in
// which an attribute of the top object has the value v. Only v is encoded. The
// value is found as FindAttribute finds it, and the errors are the same,
// those of Append for v, and ErrNotEditable when something outside the old
// value refers into it.
func ReplaceAttribute(dst, data []byte, name string, v Value) ([]byte, error) {
	s := scanners.Get().(*scanner)
	defer s.release()
	a, protocol, err := s.find(data, name)
	if err != nil {
		return dst, err
	}
	if s.refersInto(a) {
		return dst, ErrNotEditable
	}
	e := encoder{protocol: protocol, full: math.MaxInt, memo: newMemo(), single: true}
	if err := e.save(v); err != nil {
		return dst, err
	}
	// MEMOIZE counts: as many entries as before keep the later ones in place.
	if protocol >= 4 {
		for range a.memoized {
			e.op(opMemoize)
		}
	}
	start := len(dst)
	dst = append(dst, data[:a.start]...)
	dst = append(dst, e.out...)
	dst = append(dst, data[a.end:s.pos]...)
	if a.frame > 0 {
		length := dst[start+a.frame : start+a.frame+8]
		n := binary.LittleEndian.Uint64(length) + uint64(len(e.out)-(a.end-a.start))
		binary.LittleEndian.PutUint64(length, n)
	}
	return dst, nil
}

func findAttribute(data []byte, name string) (attribute, int, error) {
	s := scanners.Get().(*scanner)
	defer s.release()
	return s.find(data, name)
}

var scanners = sync.Pool{New: func() any {
	return &scanner{states: map[int32]int32{}, found: map[int32]attribute{}}
}}

func (s *scanner) release() {
	if cap(s.stack)+cap(s.memo) > keepEntries || len(s.states) > keepEntries {
		return
	}
	clear(s.states)
	clear(s.found)
	*s = scanner{stack: s.stack[:0], marks: s.marks[:0], memo: s.memo[:0], name: s.name[:0], states: s.states, found: s.found}
	scanners.Put(s)
}

// find returns where the attribute is, and the pickle's protocol.
func (s *scanner) find(data []byte, name string) (attribute, int, error) {
	if len(data) > math.MaxInt32 {
		return attribute{}, 0, &LimitError{Limit: "MaxBytes", Max: math.MaxInt32}
	}
	s.data, s.name = data, append(s.name, name...)
	top, err := s.run()
	if err != nil {
		return attribute{}, 0, err
	}
	protocol := 0
	if data[0] == opProto {
		protocol = int(data[1])
	}
	state, built := s.states[top.object]
	a, ok := s.found[state]
	switch {
	case !built, state == conflict, s.unclear, protocol > 5:
		return attribute{}, 0, ErrNotEditable
	case !ok:
		return attribute{}, 0, ErrNoAttribute
	case !a.apart:
		return attribute{}, 0, ErrNotEditable
	}
	return a, protocol, nil
}

// refersInto says whether what comes after the attribute fetches what its
// value put into the memo.
func (s *scanner) refersInto(a attribute) bool {
	for i := range s.memo {
		if m := &s.memo[i]; int(m.put) >= a.start && int(m.put) < a.end && int(m.lastGet) >= a.end {
			return true
		}
	}
	return false
}
