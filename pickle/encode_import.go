package pickle

import (
	"strings"
	"unicode/utf8"
)

// saveImport follows save_global. An import is one object by its name.
func (e *encoder) saveImport(i Import) error {
	if e.recallImport(i) {
		return nil
	}
	if err := e.writeImport(i); err != nil {
		return err
	}
	e.memoizeImport(i)
	return nil
}

func (e *encoder) recallImport(i Import) (done bool) {
	at, ok := e.memo.imports[i]
	if !ok || e.single {
		return false
	}
	e.get(at)
	return true
}

func (e *encoder) memoizeImport(i Import) {
	if e.memo.imports == nil {
		e.memo.imports = map[Import]int{}
	}
	e.memo.imports[i] = e.memo.count
	e.put()
}

func (e *encoder) writeImport(i Import) error {
	if e.protocol >= 4 {
		if err := e.saveStr(i.Module); err != nil {
			return err
		}
		if err := e.saveStr(i.Name); err != nil {
			return err
		}
		e.op(opStackGlobal)
		return nil
	}
	if dot := strings.LastIndexByte(i.Name, '.'); dot >= 0 {
		return e.attribute(Import{i.Module, i.Name[:dot]}, i.Name[dot+1:])
	}
	e.op(opGlobal)
	return e.importLines(i)
}

// maxParts bounds the parts of a dotted name below protocol 4.
const maxParts = 100

// attribute writes getattr(of, name), since GLOBAL takes no dotted names.
func (e *encoder) attribute(of Import, name string) error {
	if strings.Count(of.Name, ".") > maxParts {
		return e.fail("a name of more than %d parts", maxParts)
	}
	if err := e.saveImport(Import{"builtins", "getattr"}); err != nil {
		return err
	}
	return e.pairAndReduce(func() error {
		if err := e.saveImport(of); err != nil {
			return err
		}
		return e.freshStr(name)
	})
}

// importLines writes a name as GLOBAL and INST take it.
func (e *encoder) importLines(i Import) error {
	if e.protocol < 3 {
		old, ok := python2Name(i)
		if !ok {
			return e.fail("readers take the name %s.%s for another", i.Module, i.Name)
		}
		i = old
	}
	return e.nameLines(i)
}

func (e *encoder) nameLines(i Import) error {
	s := i.Module + i.Name
	if !isLine(s) || !utf8.ValidString(s) || e.protocol < 3 && !isASCII([]byte(s)) {
		return e.fail("the name %s.%s", i.Module, i.Name)
	}
	e.text(i.Module)
	e.text(i.Name)
	return nil
}

// python2Name returns the name that load maps to i; ok is false when there is
// none.
func python2Name(i Import) (old Import, ok bool) {
	if old, ok := oldNames[i]; ok {
		return old, true
	}
	if i.Module == "builtins" && oldExceptions[i.Name] {
		return Import{"exceptions", i.Name}, true
	}
	if module, ok := oldModules[i.Module]; ok {
		if old := (Import{module, i.Name}); renamed(old) == i {
			return old, true
		}
	}
	return i, renamed(i) == i
}

func isLine(s string) bool { return strings.IndexByte(s, '\n') < 0 }
