package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"alforja/gateway"
)

//go:embed goods.json templates
var files embed.FS

type article struct {
	SKU   string `json:"sku"`
	Name  string `json:"name"`
	Cents int    `json:"cents"`
}

var (
	goods    = mustGoods()
	articles = bySKU(goods)

	templates = template.Must(template.New("").
			Funcs(template.FuncMap{"price": price}).
			ParseFS(files, "templates/*.html"))
)

func mustGoods() (goods []article) {
	text, err := files.ReadFile("goods.json")
	if err == nil {
		err = json.Unmarshal(text, &goods)
	}
	if err != nil {
		panic(err) // the file is part of the program
	}
	return goods
}

func bySKU(goods []article) map[string]article {
	found := map[string]article{}
	for _, a := range goods {
		found[a.SKU] = a
	}
	return found
}

func price(cents int) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }

// pages are the shop's pages in Go, all of them: which ones are asked for is
// decided in front of them, by path.
func pages() http.Handler {
	mux := http.NewServeMux()
	for pattern, page := range map[string]page{
		"GET /{$}":             index,
		"GET /catalogue/{$}":   catalogue,
		"GET /cart/{$}":        cart,
		"POST /cart/{$}":       changeCart,
		"GET /checkout/{$}":    checkout,
		"POST /checkout/{$}":   order,
		"GET /checkout/thanks": thanks,
		"GET /login":           login,
		"POST /login":          logIn,
		"POST /logout":         logOut,
	} {
		mux.Handle(pattern, page)
	}
	return mux
}

// A page answers one request. It changes the session before it writes anything:
// the session is committed with the response's first byte.
type page func(w http.ResponseWriter, r *http.Request, session *gateway.Session, v *visitor) error

// errInput is in errors that are the visitor's.
var errInput = errors.New("that will not do")

func (p page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	session, err := gateway.SessionOf(r.Context())
	var v *visitor
	if err == nil {
		v, err = visitorOf(session)
	}
	if err == nil {
		err = p(w, r, session, v)
	}
	switch {
	case errors.Is(err, errInput):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case err != nil:
		slog.Error("page failed", "path", r.URL.Path, "err", err)
		http.Error(w, "Something went wrong.", http.StatusInternalServerError)
	}
}

// show answers with a page of the visitor's. Nothing is written where the
// template fails.
func show(w http.ResponseWriter, v *visitor, title, name string, data any) error {
	var text bytes.Buffer
	err := templates.ExecuteTemplate(&text, name, map[string]any{"Title": title, "Visitor": v, "Data": data})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = text.WriteTo(w) // who has left does not mind
	return nil
}

func goTo(w http.ResponseWriter, r *http.Request, path string) error {
	http.Redirect(w, r, path, http.StatusSeeOther)
	return nil
}

func index(w http.ResponseWriter, r *http.Request, _ *gateway.Session, _ *visitor) error {
	return goTo(w, r, "/catalogue/")
}

func catalogue(w http.ResponseWriter, _ *http.Request, _ *gateway.Session, v *visitor) error {
	return show(w, v, "Catalogue", "catalogue.html", goods)
}

func cart(w http.ResponseWriter, _ *http.Request, _ *gateway.Session, v *visitor) error {
	return show(w, v, "Cart", "cart.html", nil)
}

// changeCart adds one of the article in the field add, or sets the count of
// another.
func changeCart(w http.ResponseWriter, r *http.Request, session *gateway.Session, v *visitor) error {
	sku, count := r.PostFormValue("sku"), 1
	if added := r.PostFormValue("add"); added != "" {
		sku = added
		if line := v.Cart.find(sku); line != nil {
			count = line.Count + 1
		}
	} else {
		var err error
		if count, err = strconv.Atoi(strings.TrimSpace(r.PostFormValue("count"))); err != nil {
			return fmt.Errorf("%w: that is no number", errInput)
		}
	}
	if _, known := articles[sku]; !known || count < 0 || count > 99 {
		return fmt.Errorf("%w: we do not have that", errInput)
	}
	v.Cart.setCount(sku, count)
	if err := session.Set("cart", v.Cart); err != nil {
		return err
	}
	return goTo(w, r, "/cart/")
}
