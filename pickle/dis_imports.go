package pickle

import (
	"bytes"
	"slices"
)

// imports holds what Verify finds out about the opcodes that import.
type imports struct {
	at      map[int][]Global // by the opcode's offset
	stopped error            // why Verify stops; nil when it does not
	end     int              // imports from this offset on are not followed
}

// findImports is Verify, but that it keeps what was found before an error.
func findImports(data []byte, limits Limits) *imports {
	m := machines.Get().(*machine)
	defer m.release()
	m.data, m.end, m.limits = data, len(data), limits
	found := &imports{at: map[int][]Global{}, stopped: m.run(), end: len(data)}
	if found.stopped != nil {
		found.end = m.op
	}
	for _, g := range m.globals() {
		found.at[g.Offset] = append(found.at[g.Offset], g)
	}
	return found
}

// appendRemark adds to the line of an opcode what it imports.
func (i *imports) appendRemark(line []byte, op byte, offset int, data []byte) []byte {
	if found := i.at[offset]; len(found) > 0 {
		line = append(line, "  # imports "...)
		line = appendPrintable(line, found[0].path(), 0)
		for n, g := range found {
			sameRole := func(h Global) bool { return h.Role == g.Role }
			if g.Role != RolePopped && !slices.ContainsFunc(found[:n], sameRole) {
				line = append(append(line, ", "...), g.Role.String()...)
			}
		}
		return line
	}
	if offset < i.end {
		return line
	}
	switch op {
	case opGlobal, opInst:
		names := bytes.SplitN(data[offset+1:], []byte("\n"), 3)
		line = append(line, "  # imports "...)
		line = appendPrintable(line, string(names[0])+"."+string(names[1]), 0)
		line = append(line, ", not followed"...)
	case opStackGlobal:
		line = append(line, "  # imports a name that was not followed"...)
	case opExt1, opExt2, opExt4:
		line = append(line, "  # imports what copyreg has for this code"...)
	}
	return line
}
