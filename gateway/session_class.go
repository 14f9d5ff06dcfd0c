package gateway

import (
	"slices"
	"time"

	"alforja/pickle"
	"alforja/store/view"
)

// Classes whose rules are known.
var (
	session3Class = pickle.Import{Module: "session3.Session", Name: "Session"}
	dictClass     = pickle.Import{Module: "session3.DictSession", Name: "DictSession"}
	quixoteClass  = pickle.Import{Module: "quixote.session", Name: "Session"}
)

// A SessionClass says what a session is that Go creates.
type SessionClass struct {
	// Import names the class in Python: what the SessionManager there has as
	// its session_class. Default: session3.Session.Session.
	Import pickle.Import
	// Attributes are what the class's __init__ sets beside the attributes of
	// session3's Session, which Go sets itself. Default: data, an empty dict, for
	// session3.DictSession.DictSession; _csrf_token, None, for
	// quixote.session.Session; else none.
	Attributes []pickle.Item
}

// newView returns a session as __init__ makes it, without an id.
func (c SessionClass) newView(remoteAddr string, now time.Time) *view.View {
	if c.Import == (pickle.Import{}) {
		c.Import = session3Class
	}
	if c.Attributes == nil {
		switch c.Import {
		case dictClass:
			c.Attributes = []pickle.Item{{Key: pickle.Str(itemsAttribute), Value: new(pickle.Dict)}}
		case quixoteClass:
			c.Attributes = []pickle.Item{{Key: pickle.Str(csrfTokenAttribute), Value: pickle.None{}}}
		}
	}
	return view.New(c.Import, append([]pickle.Item{
		{Key: pickle.Str(idAttribute), Value: pickle.None{}},
		{Key: pickle.Str(userAttribute), Value: pickle.None{}},
		{Key: pickle.Str(remoteAttribute), Value: pickle.Str(remoteAddress(remoteAddr))},
		{Key: pickle.Str(createdAttribute), Value: pythonTime(now)},
		{Key: pickle.Str(accessedAttribute), Value: pythonTime(now)},
		{Key: pickle.Str(formTokensAttribute), Value: new(pickle.List)},
	}, c.Attributes...))
}

// HasInfo reports whether the session is worth keeping: what Sessions.HasInfo
// says, or else, as has_info does, of session3's own classes that there is a
// user, and of Quixote's a user, a form token or a CSRF token. An application's
// own class may say otherwise in Python, where Go cannot ask it: then any
// attribute that Python takes for true is worth keeping, but for the id,
// the address and the times; and a stored session without any is deleted by a
// request that has changed it, not by one that has only read.
func (s *Session) HasInfo() bool {
	if decide := s.visit.sessions.HasInfo; decide != nil {
		return decide(s)
	}
	names := []string{userAttribute}
	switch s.Class() {
	case session3Class, dictClass:
	case quixoteClass:
		names = append(names, formTokensAttribute, csrfTokenAttribute)
	default:
		names = append(s.Keys(), userAttribute, formTokensAttribute, csrfTokenAttribute)
	}
	return slices.ContainsFunc(names, func(name string) bool {
		value, ok := s.view.Get(name)
		return ok && isTrue(value)
	})
}

// lostInfo reports whether a stored session is to be deleted for want of info.
// Of an application's own class HasInfo is a guess, and a page that only reads
// must not lose what the class finds worth keeping: it takes a change.
func (s *Session) lostInfo() bool {
	if s.HasInfo() {
		return false
	}
	switch s.Class() {
	case session3Class, dictClass, quixoteClass:
		return true
	}
	return s.changed || s.visit.sessions.HasInfo != nil
}

// maxFormTokens is MAX_FORM_TOKENS. Quixote's Session, and what is derived from
// it, is told by its CSRF token.
func (s *Session) maxFormTokens() int {
	if _, ok := s.view.Get(csrfTokenAttribute); ok {
		return 16
	}
	return 32
}

// isTrue is Python's bool(v), and true of instances: what their class says of
// them is not known.
func isTrue(v pickle.Value) bool {
	switch v := v.(type) {
	case pickle.None:
		return false
	case pickle.Bool:
		return bool(v)
	case pickle.Int:
		return v != 0
	case pickle.Float:
		return v != 0
	case pickle.Str:
		return v != ""
	case pickle.Bytes:
		return v != ""
	case *pickle.ByteArray:
		return len(v.Data) > 0
	case *pickle.Dict:
		return len(v.Items) > 0
	case *pickle.List, *pickle.Tuple, *pickle.Set, *pickle.FrozenSet:
		items, _ := pickle.Sequence(v)
		return len(items) > 0
	}
	return true
}
