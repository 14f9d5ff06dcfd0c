package catalog

import (
	"cmp"
	"slices"

	"alforja/pickle"
)

// MaxTally bounds the number of names that a Tally keeps apart. An
// application has some dozens; hostile sessions could hold any number.
const MaxTally = 100_000

// A Tally counts which classes and functions sessions hold. The zero value is
// ready for use.
type Tally struct {
	Sessions int // added
	Broken   int // that do not verify; nothing of them is counted
	Beyond   int // imports not counted for MaxTally

	uses map[string]*Use
}

// A Use says how often sessions hold one name.
type Use struct {
	Name     string               `json:"name"`     // "module.Name"
	Sessions int                  `json:"sessions"` // that hold it
	Roles    map[string]int       `json:"roles"`    // the sessions by role; see pickle.Role
	Example  pickle.Global        `json:"-"`        // as the first such session holds it
	Refused  *pickle.RefusedError `json:"-"`        // what the policy said of the worst use, or nil
}

// Add counts a session. globals may be nil for one that does not verify.
func (t *Tally) Add(report *pickle.Report, policy *pickle.Policy) {
	t.Sessions++
	if report == nil {
		t.Broken++
		return
	}
	if t.uses == nil {
		t.uses = make(map[string]*Use)
	}
	type nameRole struct {
		name string
		role pickle.Role
	}
	counted := make(map[nameRole]bool, len(report.Globals))
	met := make(map[string]bool, len(report.Globals))
	for i := range report.Globals {
		g := &report.Globals[i]
		name := g.Module + "." + g.Name
		use := t.uses[name]
		if use == nil {
			if len(t.uses) >= MaxTally {
				t.Beyond++
				continue
			}
			use = &Use{Name: name, Roles: make(map[string]int), Example: *g}
			t.uses[name] = use
		}
		if use.Refused == nil {
			use.Refused = judge(policy, g)
		}
		if !met[name] {
			met[name] = true
			use.Sessions++
		}
		if !counted[nameRole{name, g.Role}] {
			counted[nameRole{name, g.Role}] = true
			use.Roles[g.Role.String()]++
		}
	}
}

// judge returns what policy has against one use of a name.
func judge(policy *pickle.Policy, g *pickle.Global) *pickle.RefusedError {
	if policy == nil {
		return nil
	}
	refused, _ := policy.Check(pickle.Report{Globals: []pickle.Global{*g}}).(*pickle.RefusedError)
	return refused
}

// Uses returns what was counted, the most frequent first.
func (t *Tally) Uses() []*Use {
	uses := make([]*Use, 0, len(t.uses))
	for _, use := range t.uses {
		uses = append(uses, use)
	}
	slices.SortFunc(uses, func(a, b *Use) int {
		return cmp.Or(cmp.Compare(b.Sessions, a.Sessions), cmp.Compare(a.Name, b.Name))
	})
	return uses
}
