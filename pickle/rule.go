package pickle

import "strings"

// A rule is one line of the policy's data: names of one module, and how a
// pickle may use them. The uses are words:
//
//	load         held as a value
//	class(ARGS)  instances made, with these arguments to __new__
//	call(ARGS)   called with these arguments
//	state        an object made may be the target of BUILD
//	items        an object made may be the target of APPEND(S) and SETITEM(S)
//	members      attributes in capitals held as values: Python 3.11.0 to 3.11.3 write Enums so
//
// ARGS are kinds as in Kind, separated by commas; a|b is either, any is every
// kind, data every kind but global and object, and a last one followed by ...
// may come any number of times.
type rule struct {
	module string
	names  string // separated by blanks
	uses   string
	why    string
}

// A permission is one way in which a harmless name may be used.
type permission struct {
	role         Role
	args         []kindSet
	repeat       bool // the last of args may come any number of times
	state, items bool
}

type kindSet uint32

func (s kindSet) has(k Kind) bool { return s&(1<<k) != 0 }

const everyKind kindSet = 1<<(KindMixed+1) - 1

// set returns the words of a text.
func set(words string) map[string]bool {
	s := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		s[word] = true
	}
	return s
}

func compileRules(rules []rule) map[string]map[string][]permission {
	modules := map[string]map[string][]permission{}
	for _, r := range rules {
		names := modules[r.module]
		if names == nil {
			names = map[string][]permission{}
			modules[r.module] = names
		}
		uses, members := strings.CutSuffix(r.uses, " members")
		permissions := compileUses(uses)
		for name := range strings.FieldsSeq(r.names) {
			names[name] = append(names[name], permissions...)
			if members {
				names[name+anyMember] = []permission{{role: RoleLoaded}}
			}
		}
	}
	return modules
}

// anyMember stands for the members of an Enum, after its name.
const anyMember = ".MEMBER"

// enumOf returns the name before the last dot, where what follows is written as
// the members of an Enum are.
func enumOf(name string) (class string, ok bool) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 || !isClassName(name[dot+1:]) {
		return "", false
	}
	return name[:dot], strings.ToUpper(name[dot+1:]) == name[dot+1:]
}

func compileUses(uses string) []permission {
	var permissions []permission
	state, items := false, false
	for word := range strings.FieldsSeq(uses) {
		name, args, _ := strings.Cut(strings.TrimSuffix(word, ")"), "(")
		switch name {
		case "state":
			state = true
		case "items":
			items = true
		case "load":
			permissions = append(permissions, permission{role: RoleLoaded})
		case "class":
			permissions = append(permissions, compileCall(RoleClass, args))
		case "call":
			permissions = append(permissions, compileCall(RoleCallable, args))
		default:
			panic("pickle: bad word in the policy's data: " + word)
		}
	}
	for i := range permissions {
		permissions[i].state, permissions[i].items = state, items
	}
	return permissions
}

func compileCall(role Role, args string) permission {
	p := permission{role: role}
	args, p.repeat = strings.CutSuffix(args, "...")
	if args == "" {
		return p
	}
	for arg := range strings.SplitSeq(args, ",") {
		var set kindSet
		for name := range strings.SplitSeq(arg, "|") {
			set |= kindsNamed(name)
		}
		p.args = append(p.args, set)
	}
	return p
}

func kindsNamed(name string) kindSet {
	switch name {
	case "any":
		return everyKind
	case "data":
		return everyKind &^ (1<<KindGlobal | 1<<KindObject | 1<<KindNew | 1<<KindMixed)
	case "text":
		return 1<<KindText | 1<<KindLatin1 | 1<<KindRatio
	}
	for k := KindNone; k < kindCount; k++ {
		if k.String() == name {
			return 1 << k
		}
	}
	panic("pickle: bad kind in the policy's data: " + name)
}

// covers says whether p permits what g is.
func (p *permission) covers(g *Global) bool {
	if g.Role == RolePopped {
		return true // the import is all that is left of it
	}
	if g.Role != p.role || g.State && !p.state || g.Items && !p.items {
		return false
	}
	if g.Role == RoleLoaded {
		return true
	}
	return !g.Args.Keywords && !g.Args.Unknown && p.accepts(&g.Args)
}

func (p *permission) accepts(a *Args) bool {
	n := len(p.args)
	if a.Count < n && !(p.repeat && a.Count == n-1) || a.Count > n && !p.repeat {
		return false
	}
	for i := range min(a.Count, len(a.Kinds)) {
		if !p.args[min(i, n-1)].has(a.Kinds[i]) {
			return false
		}
	}
	if a.Count <= len(a.Kinds) {
		return true
	}
	for i := len(a.Kinds); i < max(n, len(a.Kinds)+1); i++ {
		if !p.args[min(i, n-1)].has(a.Rest) {
			return false
		}
	}
	return true
}
