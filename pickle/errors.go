package pickle

import (
	"fmt"
	"io"
)

// A SyntaxError says why the bytes are not a pickle that Verify lets through.
// When they merely end too early, errors.Is(err, io.ErrUnexpectedEOF) holds.
type SyntaxError struct {
	Offset int    // of the opcode at fault, in bytes; the input's length when it ended before STOP
	Opcode string // its name as in pickletools; empty when there is none
	Reason string

	cut bool
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("pickle: at byte %d%s: %s", e.Offset, spaced(e.Opcode), e.Reason)
}

// Unwrap returns io.ErrUnexpectedEOF when the input ended too early.
func (e *SyntaxError) Unwrap() error {
	if e.cut {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// A LimitError says which field of Limits a pickle goes beyond.
type LimitError struct {
	Offset int    // of the opcode that did, in bytes
	Opcode string // its name as in pickletools; empty for MaxBytes
	Limit  string // the field's name, such as "MaxDepth"
	Max    int    // the field's value
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("pickle: at byte %d%s: more than %s allows (%d)", e.Offset, spaced(e.Opcode), e.Limit, e.Max)
}

// A RefusedError says what a Policy does not let a pickle do.
type RefusedError struct {
	Global Global // what the pickle imports; zero when it is not about an import
	Reason string
	Allow  string // what to add to PolicyOptions.Allow to let it pass; empty when nothing would
}

func (e *RefusedError) Error() string {
	if e.Global.Name == "" {
		return "pickle: refused: " + e.Reason
	}
	s := fmt.Sprintf("pickle: refused: %s (%s, byte %d): %s", e.Global.path(), e.Global.Role, e.Global.Offset, e.Reason)
	if e.Allow != "" {
		s += fmt.Sprintf("; if it is harmless, configure allow = [%q]", e.Allow)
	}
	return s
}

func spaced(opcode string) string {
	if opcode == "" {
		return ""
	}
	return " (" + opcode + ")"
}
