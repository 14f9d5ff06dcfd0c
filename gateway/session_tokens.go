package gateway

import (
	"errors"
	"slices"

	"alforja/pickle"
)

// ErrNoFormToken is returned by RemoveFormToken for a token that is not
// outstanding: it was never given out, used already, or pushed out by newer ones.
var ErrNoFormToken = errors.New("no such form token")

// CreateFormToken makes a token for a form and adds it to the session's
// outstanding ones, of which the latest 32 are kept, and 16 by Quixote's own
// Session, as create_form_token does. quixote.form accepts it in the field
// _form_id.
func (s *Session) CreateFormToken() (string, error) {
	token := newNonce() // as quixote.util.randbytes(16)
	tokens := append(s.formTokens(), pickle.Str(token))
	tokens = tokens[max(0, len(tokens)-s.maxFormTokens()):]
	if err := s.set(formTokensAttribute, &pickle.List{Items: tokens}); err != nil {
		return "", err
	}
	return token, nil
}

// HasFormToken reports whether a token is outstanding.
func (s *Session) HasFormToken(token string) bool {
	return slices.Contains(s.formTokens(), pickle.Value(pickle.Str(token)))
}

// RemoveFormToken uses a token up. Of two requests with one token, one gets
// ErrNoFormToken: they are served one after the other.
func (s *Session) RemoveFormToken(token string) error {
	tokens := s.formTokens()
	at := slices.Index(tokens, pickle.Value(pickle.Str(token)))
	if at < 0 {
		return ErrNoFormToken
	}
	return s.set(formTokensAttribute, &pickle.List{Items: slices.Delete(tokens, at, at+1)})
}

// formTokens returns a copy of the outstanding tokens.
func (s *Session) formTokens() []pickle.Value {
	value, _ := s.view.Get(formTokensAttribute)
	list, ok := value.(*pickle.List)
	if !ok {
		return nil
	}
	return slices.Clone(list.Items)
}
