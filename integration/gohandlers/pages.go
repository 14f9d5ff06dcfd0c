package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"alforja/gateway"
)

// A line is one of the cart's: the Python class migrating.Line.
type line struct {
	SKU string `pickle:"sku"`
	N   int    `pickle:"n"`
}

// pages are the ones that have moved to Go.
func pages() http.Handler {
	mux := http.NewServeMux()
	for path, page := range map[string]func(*gateway.Session, *http.Request) (string, error){
		"login":   login,
		"logout":  func(s *gateway.Session, _ *http.Request) (string, error) { return "bye", s.Expire() },
		"counter": counter,
		"note": func(s *gateway.Session, r *http.Request) (string, error) {
			return "noted", s.Set("note", r.FormValue("text"))
		},
		"new": func(s *gateway.Session, _ *http.Request) (string, error) { return "set", s.Set("seen", "today") },
		"list": func(s *gateway.Session, _ *http.Request) (string, error) {
			return "set", s.Set("note", []string{"a", "b"})
		},
		"delete": func(s *gateway.Session, _ *http.Request) (string, error) { return "deleted", s.Delete("seen") },
		"lines":  lines,
		"token":  func(s *gateway.Session, _ *http.Request) (string, error) { return s.CreateFormToken() },
		"use": func(s *gateway.Session, r *http.Request) (string, error) {
			return "used", s.RemoveFormToken(r.FormValue("token"))
		},
		"whoami": whoami,
	} {
		mux.HandleFunc("/go/"+path, func(w http.ResponseWriter, r *http.Request) {
			session, err := gateway.SessionOf(r.Context())
			var text string
			if err == nil {
				text, err = page(session, r)
			}
			switch {
			case errors.Is(err, gateway.ErrNoFormToken):
				http.Error(w, err.Error(), http.StatusForbidden)
			case err != nil:
				http.Error(w, err.Error(), http.StatusInternalServerError)
			default:
				fmt.Fprint(w, text)
			}
		})
	}
	return mux
}

// login gives the session a new id, whatever id the browser came with.
func login(s *gateway.Session, r *http.Request) (string, error) {
	return "welcome", errors.Join(s.Renew(), s.SetUser(r.FormValue("name")))
}

// countOf finds the counter where the Python half has it.
func countOf(s *gateway.Session) (count int, set func(string, any) error, err error) {
	var values gateway.Values = s
	set = s.Set
	if items, ok := s.Items(); ok {
		values, set = items, items.Set
	}
	count, err = gateway.Get[int](values, "counter")
	if errors.Is(err, gateway.ErrNoValue) {
		err = nil
	}
	return count, set, err
}

func counter(s *gateway.Session, r *http.Request) (string, error) {
	count, set, err := countOf(s)
	if err != nil {
		return "", err
	}
	if ms, err := strconv.Atoi(r.FormValue("ms")); err == nil {
		time.Sleep(time.Duration(ms) * time.Millisecond)
	}
	return strconv.Itoa(count + 1), set("counter", count+1)
}

func lines(s *gateway.Session, _ *http.Request) (string, error) {
	cart, err := gateway.Get[struct {
		Lines []line `pickle:"lines"`
	}](s, "cart")
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(cart.Lines)
	return string(text), err
}

func whoami(s *gateway.Session, _ *http.Request) (string, error) {
	count, _, err := countOf(s)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(map[string]any{
		"id": s.ID(), "user": s.User(), "counter": count, "type": s.Class().Name,
		"address": s.RemoteAddr(), "age": time.Since(s.Created()).Seconds(),
	})
	return string(text), err
}
