package gateway

import (
	"encoding/base64"
	"errors"
	"strings"

	"alforja/store"
)

// DirectiveHeader is the response header by which a worker says what becomes
// of the session; see docs/protocol.md. It never reaches a client.
const DirectiveHeader = "Alforja-Session"

// A directive is the parsed value of a DirectiveHeader.
type directive struct {
	action action
	id     string
	old    string // of renew: the id that goes
	state  []byte // of create, save and renew
}

type action string

const (
	actionCreate action = "create"
	actionSave   action = "save"
	actionKeep   action = "keep"
	actionRenew  action = "renew"
	actionDelete action = "delete"
)

// header returns the value of the DirectiveHeader that says d.
func (d *directive) header(nonce string) string {
	words := []string{nonce, string(d.action), d.id}
	if d.state != nil {
		words = append(words, base64.StdEncoding.EncodeToString(d.state))
	}
	return strings.Join(words, " ")
}

var (
	errSecondDirective = errors.New("a second " + DirectiveHeader + " header")
	errNonce           = errors.New("not this request's nonce")
	errForeignID       = errors.New("the id is not this request's own")
	errMalformed       = errors.New("malformed")
)

// parseDirective reads the DirectiveHeader values of one response. None is no
// error. Every error means that the response goes on without its directive:
// the header may come from an application that lets its users write headers,
// and then it must not decide anything.
func parseDirective(values []string, nonce, ownID string) (*directive, error) {
	switch len(values) {
	case 0:
		return nil, nil
	case 1:
	default:
		return nil, errSecondDirective
	}
	words := strings.Split(values[0], " ")
	if words[0] != nonce {
		return nil, errNonce
	}
	if len(words) < 3 || !store.ValidID(words[2]) {
		return nil, errMalformed
	}
	d := &directive{action: action(words[1]), id: words[2]}
	wantWords := 3
	switch d.action {
	case actionCreate, actionSave:
		wantWords = 4
	case actionRenew:
		if ownID == "" {
			return nil, errForeignID
		}
		d.old = ownID
		wantWords = 4
	case actionKeep, actionDelete:
	default:
		return nil, errMalformed
	}
	if len(words) != wantWords {
		return nil, errMalformed
	}
	isNew := d.action == actionCreate || d.action == actionRenew
	if isNew == (d.id == ownID) {
		return nil, errForeignID
	}
	if wantWords == 4 {
		state, err := base64.StdEncoding.Strict().DecodeString(words[3])
		if err != nil {
			return nil, errMalformed
		}
		d.state = state
	}
	return d, nil
}
