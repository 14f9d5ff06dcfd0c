package main

import (
	"errors"
	"net/http"
	"strings"

	"alforja/gateway"
)

// A form is what form.html shows, as quixote.form does: its markup, its field
// for the token, its messages.
type form struct {
	Action        string
	Token         string
	Notice        string
	Fields        []*field
	Submit, Label string
}

type field struct {
	Name, Title, Value, Error string
}

// read takes the fields' values from a request. All of them are required; it
// reports whether they are there.
func (f *form) read(r *http.Request) bool {
	whole := true
	for _, field := range f.Fields {
		if field.Value = r.PostFormValue(field.Name); strings.TrimSpace(field.Value) == "" {
			field.Value, field.Error = "", "required"
			whole = false
		}
	}
	if !whole {
		f.Notice = "There were errors processing your form.  See below for details."
	}
	return whole
}

func checkoutForm(name string) *form {
	return &form{
		Action: "/checkout/",
		Fields: []*field{{Name: "name", Title: "Name", Value: name}, {Name: "street", Title: "Street and town"}},
		Submit: "order", Label: "Order",
	}
}

func checkout(w http.ResponseWriter, r *http.Request, session *gateway.Session, v *visitor) error {
	if len(v.Cart.Lines) == 0 {
		return goTo(w, r, "/cart/")
	}
	return showCheckout(w, session, v, checkoutForm(v.Name))
}

// showCheckout gives the form a token: it can be sent once, here or in Python.
func showCheckout(w http.ResponseWriter, session *gateway.Session, v *visitor, f *form) (err error) {
	if f.Token, err = session.CreateFormToken(); err != nil {
		return err
	}
	return show(w, v, "Checkout", "form.html", f)
}

func order(w http.ResponseWriter, r *http.Request, session *gateway.Session, v *visitor) error {
	if len(v.Cart.Lines) == 0 {
		return goTo(w, r, "/cart/")
	}
	f := checkoutForm("")
	whole := f.read(r)
	err := session.RemoveFormToken(r.PostFormValue("_form_id"))
	if errors.Is(err, gateway.ErrNoFormToken) {
		f.Notice = "This form was sent already, or is too old. Please look at it again and send it once more."
		return showCheckout(w, session, v, f)
	}
	if err != nil {
		return err
	}
	if !whole {
		return showCheckout(w, session, v, f)
	}
	orders := append(v.Orders, &Order{
		Number: len(v.Orders) + 1, Name: f.Fields[0].Value, Street: f.Fields[1].Value, Cents: v.Cart.Cents(),
	})
	if err := errors.Join(session.Set("orders", orders), session.Set("cart", newCart())); err != nil {
		return err
	}
	return goTo(w, r, "/checkout/thanks")
}

func thanks(w http.ResponseWriter, r *http.Request, _ *gateway.Session, v *visitor) error {
	if len(v.Orders) == 0 {
		return goTo(w, r, "/cart/")
	}
	return show(w, v, "Thank you", "thanks.html", v.Orders[len(v.Orders)-1])
}

func loginForm() *form {
	return &form{
		Action: "/login",
		Fields: []*field{{Name: "name", Title: "Name"}},
		Submit: "login", Label: "Log in",
	}
}

func login(w http.ResponseWriter, _ *http.Request, _ *gateway.Session, v *visitor) error {
	return show(w, v, "Log in", "form.html", loginForm())
}

// logIn takes everybody's word for who they are. The session gets a new id,
// so that nobody else knows it (session fixation).
func logIn(w http.ResponseWriter, r *http.Request, session *gateway.Session, v *visitor) error {
	f := loginForm()
	if !f.read(r) {
		return show(w, v, "Log in", "form.html", f)
	}
	if err := errors.Join(session.Renew(), session.SetUser(f.Fields[0].Value)); err != nil {
		return err
	}
	return goTo(w, r, "/catalogue/")
}

func logOut(w http.ResponseWriter, r *http.Request, session *gateway.Session, _ *visitor) error {
	if err := session.Expire(); err != nil {
		return err
	}
	return goTo(w, r, "/catalogue/")
}
