package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/signal"
	"syscall"

	"alforja/gateway"
	"alforja/pickle"
	"alforja/store/memory"
)

// A login page and a counter; Quixote pages with the same store would see the
// same session.
func ExampleSessionOf() {
	mux := http.NewServeMux()
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) {
		session, err := gateway.SessionOf(r.Context())
		if err == nil {
			err = errors.Join(session.Renew(), session.SetUser(r.FormValue("name")))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintln(w, "welcome")
	})
	mux.HandleFunc("/count", func(w http.ResponseWriter, r *http.Request) {
		session, err := gateway.SessionOf(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		n, err := gateway.Get[int](session, "counter") // session.counter in Python
		if err == nil || errors.Is(err, gateway.ErrNoValue) {
			err = session.Set("counter", n+1)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "%v: %d\n", session.User(), n+1)
	})
	sessions := gateway.Sessions{Store: memory.New(), Logger: slog.New(slog.DiscardHandler)}
	handler := sessions.Handler(mux)

	var cookie string
	for _, path := range []string{"/login?name=quijote", "/count", "/count"} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if set := w.Header().Get("Set-Cookie"); set != "" {
			cookie = set
		}
		fmt.Print(w.Body)
	}
	// Output:
	// welcome
	// quijote: 1
	// quijote: 2
}

// A program that alforja serve starts for a [[pool]] of its configuration.
func ExampleServeWorker() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := gateway.SessionOf(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprintf(w, "Good morning, %v.\n", session.User())
	})
	err := gateway.ServeWorker(ctx, pages, gateway.WorkerOptions{
		Sessions: gateway.Sessions{Class: gateway.SessionClass{Import: pickle.Import{Module: "shop", Name: "ShopSession"}}},
	})
	if err != nil {
		log.Fatal(err)
	}
}
