package pickle

import "encoding/binary"

const (
	frameHeader = 9       // bytes: FRAME and the length
	frameTarget = 1 << 16 // bytes: a frame ends with the object that reaches this
	frameLeast  = 4       // bytes: what is shorter gets no frame
)

func (e *encoder) openFrame() {
	e.frame = len(e.out)
	e.out = append(e.out, opFrame, 0, 0, 0, 0, 0, 0, 0, 0)
}

// closeFrame writes the length into the header, or takes the header back from
// a frame that is not worth it.
func (e *encoder) closeFrame() {
	if e.frame < 0 {
		return
	}
	body := e.out[e.frame+frameHeader:]
	if len(body) >= frameLeast {
		binary.LittleEndian.PutUint64(e.out[e.frame+1:], uint64(len(body)))
	} else {
		copy(e.out[e.frame:], body)
		e.out = e.out[:len(e.out)-frameHeader]
	}
	e.frame = -1
}

// block writes an opcode, the length of s in size bytes, and s; outside of
// frames when s would fill one by itself.
func (e *encoder) block(op byte, size int, s string) {
	framing := e.framing
	if framing && len(s) >= frameTarget {
		e.closeFrame()
		e.framing = false
	}
	e.op(op)
	n := len(s)
	for range size {
		e.out = append(e.out, byte(n))
		n >>= 8
	}
	e.out = append(e.out, s...)
	e.framing = framing
}
