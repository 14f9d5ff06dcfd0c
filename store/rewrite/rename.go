// Package rewrite changes what sessions name, without unpickling them.
package rewrite

import (
	"errors"
	"fmt"
	"strings"

	"alforja/pickle"
)

// A Renaming gives a class, or all that is in a module, another name.
type Renaming struct {
	old, new pickle.Import // without Name: a module, and all below it
}

// ParseRenaming reads the names of a class before and after: "module.Class",
// "module:Outer.Inner" where the class is nested, or "module.*" on both sides
// for a module with all that is in it and below it.
func ParseRenaming(old, new string) (Renaming, error) {
	from, err := parseName(old)
	if err != nil {
		return Renaming{}, err
	}
	to, err := parseName(new)
	if err != nil {
		return Renaming{}, err
	}
	switch {
	case (from.Name == "") != (to.Name == ""):
		return Renaming{}, fmt.Errorf("%q and %q: want a class twice, or module.* twice", old, new)
	case from == to:
		return Renaming{}, fmt.Errorf("%q and %q are the same", old, new)
	}
	return Renaming{from, to}, nil
}

func parseName(text string) (pickle.Import, error) {
	module, name, qualified := strings.Cut(text, ":")
	if !qualified {
		if dot := strings.LastIndexByte(text, '.'); dot > 0 {
			module, name = text[:dot], text[dot+1:]
		}
	}
	if name == "*" && !qualified {
		name = ""
	} else if !dotted(name) {
		module = ""
	}
	if !dotted(module) {
		return pickle.Import{}, fmt.Errorf("%q: want module.Class, module:Outer.Inner or module.*", text)
	}
	return pickle.Import{Module: module, Name: name}, nil
}

// dotted reports whether a name has no empty part and nothing that Python has in no name.
func dotted(name string) bool {
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || strings.ContainsAny(part, " \t\r\n:*/\\\"'()") {
			return false
		}
	}
	return true
}

// name returns what an import becomes, and whether it is another one. Where the
// new names are among the old, what has one already stays: a second run
// changes nothing.
func (r *Renaming) name(i pickle.Import) (pickle.Import, bool) {
	rest, old := under(r.old, i)
	if _, done := under(r.new, i); !old || done && r.widens() {
		return i, false
	}
	if r.old.Name == "" {
		return pickle.Import{Module: r.new.Module + rest, Name: i.Name}, true
	}
	return pickle.Import{Module: r.new.Module, Name: r.new.Name + rest}, true
}

// widens reports whether the new names are among the old ones: "shop.*" to
// "shop.models.*".
func (r *Renaming) widens() bool {
	_, ok := under(r.old, r.new)
	return ok
}

// under reports whether an import is what a name means, or below it, and
// returns by how much.
func under(name, i pickle.Import) (rest string, ok bool) {
	if name.Name == "" {
		rest, ok = strings.CutPrefix(i.Module, name.Module)
	} else {
		rest, ok = strings.CutPrefix(i.Name, name.Name)
		ok = ok && i.Module == name.Module
	}
	return rest, ok && (rest == "" || rest[0] == '.')
}

// ErrLeft is returned by Apply for a pickle that would still hold the old
// name, in a place that cannot be rewritten.
var ErrLeft = errors.New("the old name would be left in it")

// Apply returns the pickle in state, renamed and in its own protocol, and how
// many names in it are other ones. When that is 0 there is no new pickle. The
// errors are ErrLeft, and those of pickle.Verify, Decode and Append.
func (r *Renaming) Apply(state []byte) (renamed []byte, count int, err error) {
	report, err := pickle.Verify(state, pickle.Limits{})
	if err != nil {
		return nil, 0, err
	}
	if count = r.count(&report); count == 0 {
		return nil, 0, nil
	}
	v, err := pickle.Decode(state, pickle.DecodeOptions{})
	if err != nil {
		return nil, 0, err
	}
	protocol := report.Protocol
	if protocol == 0 && isProtocol1(v, state[:report.Used]) {
		protocol = 1
	}
	w := walk{rename: r.name, met: make(map[any]bool)}
	w.value(&v)
	// Below protocol 4 a nested class is got from the outer one by getattr.
	intoItself := r.old.Name != "" && r.widens()
	if intoItself && !w.renamed {
		return nil, 0, nil
	}
	if renamed, err = pickle.Append(nil, v, protocol); err != nil {
		return nil, 0, err
	}
	if report, err = pickle.Verify(renamed, pickle.Limits{}); err != nil {
		return nil, 0, err
	}
	if !intoItself && r.count(&report) > 0 {
		return nil, 0, ErrLeft
	}
	return renamed, count, nil
}

// count returns how many names of a pickle are renamed.
func (r *Renaming) count(report *pickle.Report) int {
	names := make(map[pickle.Import]bool)
	for i := range report.Globals {
		g := &report.Globals[i]
		name := pickle.Import{Module: g.Module, Name: g.Name}
		if _, other := r.name(name); other {
			names[name] = true
		}
	}
	return len(names)
}

// isProtocol1 tells protocol 1 from 0, which both come without a PROTO opcode.
func isProtocol1(v pickle.Value, data []byte) bool {
	again, err := pickle.Append(nil, v, 1)
	return err == nil && string(again) == string(data)
}
