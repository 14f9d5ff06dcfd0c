package gateway

import (
	"errors"
	"testing"
)

func TestParseDirective(t *testing.T) {
	const nonce, own = "n0nce", "own"
	tests := []struct {
		name   string
		values []string
		want   *directive
		err    error
	}{
		{"none", nil, nil, nil},
		{"save", []string{"n0nce save own Li4="}, &directive{action: actionSave, id: own, state: []byte("..")}, nil},
		{"create", []string{"n0nce create new Li4="}, &directive{action: actionCreate, id: "new", state: []byte("..")}, nil},
		{"keep", []string{"n0nce keep own"}, &directive{action: actionKeep, id: own}, nil},
		{"renew", []string{"n0nce renew new Li4="}, &directive{action: actionRenew, id: "new", old: own, state: []byte("..")}, nil},
		{"delete", []string{"n0nce delete own"}, &directive{action: actionDelete, id: own}, nil},

		{"two headers", []string{"n0nce keep own", "n0nce keep own"}, nil, errSecondDirective},
		{"wrong nonce", []string{"guess delete own"}, nil, errNonce},
		{"no nonce", []string{"delete own"}, nil, errNonce},
		{"empty", []string{""}, nil, errNonce},
		{"someone else's id", []string{"n0nce save other Li4="}, nil, errForeignID},
		{"delete of someone else", []string{"n0nce delete other"}, nil, errForeignID},
		{"create under the own id", []string{"n0nce create own Li4="}, nil, errForeignID},
		{"renew under the own id", []string{"n0nce renew own Li4="}, nil, errForeignID},
		{"renew without a state", []string{"n0nce renew new"}, nil, errMalformed},
		{"path as id", []string{"n0nce create ../evil Li4="}, nil, errMalformed},
		{"unknown word", []string{"n0nce steal own"}, nil, errMalformed},
		{"no id", []string{"n0nce keep"}, nil, errMalformed},
		{"no state", []string{"n0nce save own"}, nil, errMalformed},
		{"state where none belongs", []string{"n0nce keep own Li4="}, nil, errMalformed},
		{"no base64", []string{"n0nce save own ...."}, nil, errMalformed},
		{"base64 without padding", []string{"n0nce save own Li4"}, nil, errMalformed},
		{"two spaces", []string{"n0nce  keep own"}, nil, errMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseDirective(test.values, nonce, own)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if (got == nil) != (test.want == nil) {
				t.Fatalf("got %+v, want %+v", got, test.want)
			}
			if got != nil && (got.action != test.want.action || got.id != test.want.id || got.old != test.want.old || string(got.state) != string(test.want.state)) {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestParseDirectiveWithoutSession: a request without a session may create
// one and nothing else.
func TestParseDirectiveWithoutSession(t *testing.T) {
	if d, err := parseDirective([]string{"n create new Li4="}, "n", ""); err != nil || d == nil {
		t.Errorf("create: %v, %v", d, err)
	}
	for _, value := range []string{"n save x Li4=", "n delete x", "n keep x", "n keep ", "n renew new Li4="} {
		if d, err := parseDirective([]string{value}, "n", ""); err == nil {
			t.Errorf("%q was taken: %+v", value, d)
		}
	}
}
