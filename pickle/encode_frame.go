package pickle

import (
	"encoding/binary"
	"math"
)

const (
	frameHeader = 9       // bytes: FRAME and the length
	frameTarget = 1 << 16 // bytes: a frame ends with the object that reaches this
	frameLeast  = 4       // bytes: what is shorter gets no frame
)

// startFrames opens the first frame, from protocol 4 on. From then on there is
// always an open one: something follows whatever ends a frame.
func (e *encoder) startFrames() {
	e.framing = e.protocol >= 4
	e.full = math.MaxInt
	e.openFrame()
}

func (e *encoder) openFrame() {
	if !e.framing {
		return
	}
	e.frame = len(e.out)
	e.full = e.frame + frameHeader + frameTarget
	e.out = append(e.out, opFrame, 0, 0, 0, 0, 0, 0, 0, 0)
}

// closeFrame writes the length into the header, or takes the header back from
// a frame that is not worth it.
func (e *encoder) closeFrame() {
	if !e.framing {
		return
	}
	body := e.out[e.frame+frameHeader:]
	if len(body) >= frameLeast {
		binary.LittleEndian.PutUint64(e.out[e.frame+1:], uint64(len(body)))
		return
	}
	copy(e.out[e.frame:], body)
	e.out = e.out[:len(e.out)-frameHeader]
}

// block writes an opcode, the length of s in size bytes, and s; outside of
// frames when s would fill one by itself.
func (e *encoder) block(op byte, size int, s string) {
	large := len(s) >= frameTarget
	if large {
		e.closeFrame()
	}
	e.op(op)
	n := len(s)
	for range size {
		e.out = append(e.out, byte(n))
		n >>= 8
	}
	e.out = append(e.out, s...)
	if large {
		e.openFrame()
	}
}
