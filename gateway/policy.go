package gateway

import "alforja/pickle"

// sessionClasses are the classes of sessions that a policy knows by name.
var sessionClasses = []string{
	"session3.Session.Session",
	"session3.DictSession.DictSession",
	"quixote.session.Session",
	"quixote.demo.altdemo.DemoSession",
	"alforja.demo.DemoSession",
}

// sessionPackages are the packages of these classes, and scgi. They are known
// as well as the standard library is, and their other classes open files and
// databases.
var sessionPackages = []string{"alforja", "quixote", "scgi", "session3"}

// NewPolicy returns a policy for pickles of sessions: what pickle.NewPolicy
// makes of allow and strict, and the session classes of session3, Quixote and
// the demonstrations, while the rest of their packages is closed. The error
// names an entry of allow that is no name, or too wide.
func NewPolicy(allow []string, strict bool) (*pickle.Policy, error) {
	return pickle.NewPolicy(pickle.PolicyOptions{
		Allow: allow, Strict: strict, Instances: sessionClasses, Closed: sessionPackages,
	})
}
