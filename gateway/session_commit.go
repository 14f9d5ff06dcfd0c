package gateway

import (
	"context"
	"net/http"

	"alforja/pickle"
	"alforja/store"
)

// Expire ends the session, as expire_session does: it is deleted and its cookie
// taken away when the response begins. Logged out here is logged out in
// Python.
func (s *Session) Expire() error {
	if err := s.writable(); err != nil {
		return err
	}
	s.expired = true
	return nil
}

// Renew gives the session a new id when the response begins; the old one is
// gone then. Call it where a user logs in: whoever made the user come with an id
// of their own choice (session fixation) is left with nothing. ID returns the
// old one until then.
func (s *Session) Renew() error {
	if err := s.writable(); err != nil {
		return err
	}
	s.renewed = true
	return nil
}

// commit does to the store what became of the session, as session3's
// finish_successful_request does, and writes the cookie into header.
func (s *Session) commit(ctx context.Context, header http.Header) error {
	s.closed = true
	isNew := s.id == ""
	switch {
	case s.expired, !isNew && s.lostInfo():
		s.setCookie(header, "", "max-age=0")
		s.expired = true
		if isNew {
			return nil
		}
		_, err := s.store(ctx, &directive{action: actionDelete, id: s.id})
		return err
	case isNew && (!s.changed || !s.HasInfo()):
		return nil
	case isNew, s.renewed:
		return s.create(ctx, header)
	case s.changed, s.view.Changed() && s.visit.unlock != nil:
		state, err := s.view.State()
		if err != nil {
			return err
		}
		_, err = s.store(ctx, &directive{action: actionSave, id: s.id, state: state})
		return err
	}
	// Without the lock, an access time is no reason to write over what others
	// have saved meanwhile.
	_, err := s.store(ctx, &directive{action: actionKeep, id: s.id})
	return err
}

// create stores the session under a new id, in the place of the old one if it
// has one.
func (s *Session) create(ctx context.Context, header http.Header) error {
	id := store.NewID()
	if _, err := s.view.Set(idAttribute, pickle.Str(id)); err != nil {
		return err
	}
	state, err := s.view.State()
	if err != nil {
		return err
	}
	d := &directive{action: actionCreate, id: id, state: state}
	if s.id != "" {
		d.action, d.old = actionRenew, s.id
	}
	found, err := s.store(ctx, d)
	if err != nil || !found {
		return err
	}
	s.id = id
	s.setCookie(header, id, "")
	return nil
}

func (s *Session) store(ctx context.Context, d *directive) (found bool, err error) {
	found, err = s.visit.store(ctx, d)
	if err == nil {
		rec := recordOf(ctx)
		rec.action, rec.session = d.action, shortID(d.id)
	}
	return found, err
}
