package gateway

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"alforja/pickle"
	"alforja/store/view"
)

var (
	// ErrNoSessions is returned by SessionOf for a context that no request
	// inside Sessions.Handler has.
	ErrNoSessions = errors.New("the request did not come through Sessions.Handler")

	// ErrSessionClosed is returned by what would change a session that is
	// committed already, because the response has begun, or expired.
	ErrSessionClosed = errors.New("the session is committed or expired already")

	// ErrReserved is returned by Set and Delete for attributes that Quixote's
	// and session3's Session keep for themselves.
	ErrReserved = errors.New("the attribute belongs to the session itself")

	// ErrNoValue is returned by Get for a name that is not there.
	ErrNoValue = errors.New("no such value in the session")
)

// accessTimeResolution is session3's ACCESS_TIME_RESOLUTION.
const accessTimeResolution = time.Second

// Attributes of session3.Session and quixote.session.Session.
const (
	idAttribute         = "id"
	userAttribute       = "user"
	remoteAttribute     = "_remote_address"
	createdAttribute    = "_creation_time"
	accessedAttribute   = "_access_time"
	formTokensAttribute = "_form_tokens"
	csrfTokenAttribute  = "_csrf_token"
	itemsAttribute      = "data" // where collections.UserDict, so DictSession, has its items
)

// ownAttributes are those that Set does not change and Keys leaves out.
var ownAttributes = []string{
	idAttribute, remoteAttribute, createdAttribute, accessedAttribute, formTokensAttribute, csrfTokenAttribute,
}

// A Session is the session of one request, for handlers written in Go: the same
// that Quixote pages have, with the rules of session3's SessionManager.
// SessionOf returns it.
//
// What a handler changes is committed before the first byte of its response
// goes out, or when it returns; a handler that panics before that changes
// nothing. Where the commit fails the client gets 500 and nothing of the
// response. After it the session is closed: it can be read, and every change is
// ErrSessionClosed. A Session is for one goroutine at a time.
type Session struct {
	visit   *visit
	view    *view.View
	id      string // "" until a new session is stored
	changed bool   // by the handler, not by the access time alone
	renewed bool
	expired bool
	closed  bool
}

// SessionOf returns the session of the request that ctx belongs to, and a new,
// empty one where the request has none; a new session is stored, and its cookie
// set, once it has been changed and HasInfo. All calls for one request return
// the same Session. A handler that never calls it leaves the session as it is,
// its access time too.
//
// The error is ErrNoSessions, or one that wraps what package view found: a
// state that passed verification and is no session all the same.
func SessionOf(ctx context.Context) (*Session, error) {
	v := visitOf(ctx)
	if v == nil {
		return nil, ErrNoSessions
	}
	if v.session != nil {
		return v.session, nil
	}
	s := &Session{visit: v, closed: v.answered}
	now := time.Now()
	if v.state == nil {
		s.view = v.sessions.Class.newView(v.request.RemoteAddr, now)
	} else {
		parsed, err := view.Parse(v.state)
		if err != nil {
			return nil, fmt.Errorf("session %s: %w", shortID(v.id), err)
		}
		s.id, s.view = v.id, parsed
		if now.Sub(s.Accessed()) > accessTimeResolution {
			if _, ok := s.view.Get(accessedAttribute); ok {
				if _, err := s.view.Set(accessedAttribute, pythonTime(now)); err != nil {
					return nil, err
				}
			}
		}
	}
	v.session = s
	return s, nil
}

// ID returns the session's id, "" of a session that is not stored yet.
func (s *Session) ID() string { return s.id }

// User returns what the attribute user holds: nil for nobody, else a string, an
// int64, or what pickle.FromValue stores in an empty interface.
func (s *Session) User() any {
	user, err := Get[any](s, userAttribute)
	if err != nil {
		return nil
	}
	return user
}

// SetUser sets the attribute user, as set_user does; nil for nobody.
func (s *Session) SetUser(user any) error { return s.Set(userAttribute, user) }

// Created returns when the session was made, or the zero time if it does not say.
func (s *Session) Created() time.Time { return s.timeOf(createdAttribute) }

// Accessed returns when the session was last used: this request, to the second.
func (s *Session) Accessed() time.Time { return s.timeOf(accessedAttribute) }

// RemoteAddr returns the client's address at the session's first request,
// without a port; "" if the session does not say.
func (s *Session) RemoteAddr() string {
	address, _ := Get[string](s, remoteAttribute)
	return address
}

// Get returns the attribute of that name as it is. The function Get converts
// it to a Go type. What is changed inside it is saved once it is Set.
func (s *Session) Get(name string) (pickle.Value, bool) { return s.view.Get(name) }

// Set gives an attribute the value that pickle.ToValue makes of v, with the
// classes of Sessions.Registry. The errors are ErrSessionClosed, ErrReserved,
// and those of ToValue and of writing the value.
func (s *Session) Set(name string, v any) error {
	if slices.Contains(ownAttributes, name) {
		return fmt.Errorf("%w: %s", ErrReserved, name)
	}
	value, err := pickle.ToValue(v, s.registry())
	if err != nil {
		return err
	}
	return s.set(name, value)
}

// Delete takes an attribute away, if it is there. The attribute user is
// reserved: set it to nil instead.
func (s *Session) Delete(name string) error {
	if name == userAttribute || slices.Contains(ownAttributes, name) {
		return fmt.Errorf("%w: %s", ErrReserved, name)
	}
	if err := s.writable(); err != nil {
		return err
	}
	s.changed = s.view.Delete(name) || s.changed
	return nil
}

// Keys returns the names of the application's attributes in their order: all
// but user and those that Quixote's and session3's Session have of their own.
func (s *Session) Keys() []string {
	return slices.DeleteFunc(s.view.Names(), func(name string) bool {
		return name == userAttribute || slices.Contains(ownAttributes, name)
	})
}

// Class returns the session's class in Python.
func (s *Session) Class() pickle.Import { return s.view.Class() }

// Values is where Get finds named values: a *Session, by its attributes, or
// its *Items.
type Values interface {
	Get(name string) (pickle.Value, bool)
	registry() *pickle.Registry
}

// Get returns a value of a session as a T, as pickle.FromValue converts it with
// the classes of Sessions.Registry. The error is ErrNoValue, or a
// *pickle.ConvertError.
func Get[T any](from Values, name string) (T, error) {
	var t T
	value, ok := from.Get(name)
	if !ok {
		return t, fmt.Errorf("%w: %s", ErrNoValue, name)
	}
	if err := pickle.FromValue(value, &t, from.registry()); err != nil {
		return *new(T), fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

func (s *Session) registry() *pickle.Registry { return s.visit.sessions.Registry }

// set is Set for every attribute. A value that is there already is no change
// of a stored session: without the lock, to save that is to write over what
// others have saved meanwhile.
func (s *Session) set(name string, value pickle.Value) error {
	if err := s.writable(); err != nil {
		return err
	}
	changed, err := s.view.Set(name, value)
	s.changed = s.changed || changed || err == nil && s.id == ""
	return err
}

func (s *Session) writable() error {
	if s.closed || s.expired {
		return ErrSessionClosed
	}
	return nil
}

func (s *Session) timeOf(name string) time.Time {
	seconds, err := Get[float64](s, name)
	const year3000 = 32503680000
	if err != nil || !(seconds > 0 && seconds < year3000) { // NaN is neither
		return time.Time{}
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9))
}

// pythonTime is what Python's time.time() returns at t.
func pythonTime(t time.Time) pickle.Float { return pickle.Float(float64(t.UnixNano()) / 1e9) }

// remoteAddress is REMOTE_ADDR: an address without its port.
func remoteAddress(hostPort string) string {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return strings.Trim(hostPort, "[]")
	}
	return host
}
