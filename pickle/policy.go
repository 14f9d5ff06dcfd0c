package pickle

import (
	"fmt"
	"strings"
)

// PolicyOptions configures a Policy. Its zero value is the default policy.
type PolicyOptions struct {
	// Allow lets pass what the policy would refuse. An entry is the full
	// name of one import, "package.module.Name", or "package.*" for all that
	// is in a package. A full name lets it pass in every role and with every
	// argument, os.system too, if that is what is written. "package.*" is an
	// error for a package of Python's standard library, and does not let
	// special names ("__x__") or attributes of modules pass. Default: none.
	Allow []string

	// Strict refuses all but Allow, Instances and the harmless types that the
	// policy lists by name. Default: false, which leaves an application's own
	// packages open.
	Strict bool

	// Instances names classes, "package.module.Name", of which instances can
	// be made without arguments and given attributes, and no more, whether
	// the policy is strict or not. Default: none.
	Instances []string

	// Closed names top-level packages that are treated as the standard
	// library is: all but Instances and Allow is refused. Default: none.
	Closed []string
}

// A Policy judges what a pickle would do when loaded.
//
// What belongs to Python's standard library passes only when it is listed as
// harmless, in the role and with the kinds of arguments that go with it.
// Well-known packages whose functions run code or open files are refused. Of
// all other packages, which are taken to be the application's own, classes can
// be made and functions called, but no special name, no attribute of a module,
// and no function with the name of one that runs code; and what a function
// returns without arguments, which may be an object that the application
// shares, is not changed.
// A Policy can be used by many goroutines at once.
type Policy struct {
	strict   bool
	harmless map[string]map[string][]permission // by module and name
	exact    map[string]bool
	closed   map[string]bool
	packages []string // of "package.*", without the asterisk: "package."
}

// NewPolicy compiles a policy. The error names an entry that is no name, or is
// too wide.
func NewPolicy(options PolicyOptions) (*Policy, error) {
	p := &Policy{
		strict:   options.Strict,
		harmless: compileRules(harmlessRules),
		exact:    map[string]bool{},
		closed:   map[string]bool{},
	}
	for _, class := range options.Instances {
		if err := p.instances(class); err != nil {
			return nil, err
		}
	}
	for _, name := range options.Closed {
		if !validPath([]byte(name)) || strings.Contains(name, ".") {
			return nil, fmt.Errorf("pickle: closed %q: want the name of a package", name)
		}
		p.closed[name] = true
	}
	for _, entry := range options.Allow {
		if err := p.allow(entry); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// instances adds a class as if it stood in harmlessRules.
func (p *Policy) instances(class string) error {
	dot := strings.LastIndexByte(class, '.')
	if !validPath([]byte(class)) || dot < 0 {
		return fmt.Errorf("pickle: instances of %q: want package.module.Name", class)
	}
	module, name := class[:dot], class[dot+1:]
	if p.harmless[module] == nil {
		p.harmless[module] = map[string][]permission{}
	}
	p.harmless[module][name] = compileUses("load class() state")
	return nil
}

func (p *Policy) allow(entry string) error {
	name, wild := strings.CutSuffix(entry, ".*")
	if !validPath([]byte(name)) || !wild && !strings.Contains(name, ".") {
		return fmt.Errorf("pickle: allow %q: want package.module.Name or package.*", entry)
	}
	if !wild {
		p.exact[name] = true
		return nil
	}
	if isStandard(name) {
		return fmt.Errorf("pickle: allow %q: of the standard library only full names can be allowed", entry)
	}
	p.packages = append(p.packages, name+".")
	return nil
}

// Check returns nil when the policy lets the pickle pass, and otherwise a
// *RefusedError for the first thing that it refuses.
func (p *Policy) Check(r Report) error {
	if r.PersistentIDs > 0 {
		return &RefusedError{Reason: "persistent ids stand for objects that the pickle does not hold"}
	}
	for i := range r.Globals {
		g := &r.Globals[i]
		if reason := p.judge(g); reason != "" {
			return &RefusedError{Global: *g, Reason: reason, Allow: g.path()}
		}
	}
	return nil
}

// judge returns why g is refused, or nothing.
func (p *Policy) judge(g *Global) string {
	// A class's __new__ that is not called is no more than the class.
	if class, ok := strings.CutSuffix(g.Name, ".__new__"); ok && g.Derived && g.Role <= RoleLoaded {
		return p.judge(&Global{Module: g.Module, Name: class, Role: RoleLoaded})
	}
	permissions, ok := p.harmless[g.Module][g.Name]
	if class, isMember := enumOf(g.Name); !ok && isMember {
		permissions, ok = p.harmless[g.Module][class+anyMember]
	}
	if ok {
		for i := range permissions {
			if permissions[i].covers(g) {
				return ""
			}
		}
		if !p.exact[g.path()] {
			return "it is not harmless in this role or with these arguments"
		}
		return ""
	}
	if len(p.exact) > 0 && p.exact[g.path()] {
		return ""
	}
	top, _, _ := strings.Cut(g.Module, ".")
	if standardModules[top] {
		return "it is not among the harmless types of the standard library"
	}
	if !p.inAllowedPackage(g.Module) {
		switch {
		case p.closed[top]:
			return "it is not among the harmless types of " + top
		case p.strict:
			return "the policy is strict"
		case deniedPackages[top]:
			return "the package " + top + " has functions that run code or open files"
		}
	}
	return structure(g)
}

func (p *Policy) inAllowedPackage(module string) bool {
	for _, prefix := range p.packages {
		if strings.HasPrefix(module, prefix) || module == prefix[:len(prefix)-1] {
			return true
		}
	}
	return false
}

// structure judges what belongs to no package that the policy knows, by its
// names alone.
func structure(g *Global) string {
	if g.Module != "__main__" {
		first := true
		for part := range strings.SplitSeq(g.Module, ".") {
			if isSpecial(part) {
				return "a module's special name"
			}
			if !first && borrowedModules[part] {
				return "a module named after one of the standard library that runs code"
			}
			first = false
		}
	}
	rest := g.Name
	for {
		part, after, dotted := strings.Cut(rest, ".")
		switch {
		case isSpecial(part):
			return "a special name"
		case borrowedNames[part], g.Role == RoleCallable && !dotted && borrowedCalls[part]:
			return "the name of a function that runs code"
		case !dotted && g.Role == RoleCallable && g.Args.Count == 0 && (g.State || g.Items) && !isClassName(part):
			// What a function returns that is told nothing may well be shared:
			// the application's settings, its own module.
			return "what is no class, by its name, is called without arguments for an object that is then changed"
		case !dotted:
			return ""
		case !isClassName(part):
			// Modules import modules: myapp.sessions may hold os, and then
			// os.system is an attribute away.
			return "an attribute of what, by its name, is no class"
		}
		rest = after
	}
}

// isSpecial says whether Python gives the name a meaning of its own.
func isSpecial(name string) bool { return strings.HasPrefix(name, "__") }

// isClassName says whether a name is written as classes are: Outer, _Outer.
func isClassName(name string) bool {
	name = strings.TrimLeft(name, "_")
	return name != "" && name[0] >= 'A' && name[0] <= 'Z'
}
