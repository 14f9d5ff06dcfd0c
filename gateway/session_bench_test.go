package gateway

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"alforja/store/memory"
)

// BenchmarkSession is a request of a Go handler, from the cookie to the commit
// in memory: one that counts, and one that does not ask for the session.
func BenchmarkSession(b *testing.B) {
	state, err := os.ReadFile("../store/view/testdata/shop-4.pickle")
	if err != nil {
		b.Fatal(err)
	}
	for name, page := range map[string]http.HandlerFunc{
		"counts": func(w http.ResponseWriter, r *http.Request) {
			session, err := SessionOf(r.Context())
			if err != nil {
				b.Fatal(err)
			}
			n, err := Get[int](session, "counter")
			if err != nil {
				b.Fatal(err)
			}
			if err := session.Set("counter", n+1); err != nil {
				b.Fatal(err)
			}
		},
		"ignores": func(http.ResponseWriter, *http.Request) {},
	} {
		b.Run(name, func(b *testing.B) {
			sessions := Sessions{Store: memory.New(), Logger: slog.New(slog.DiscardHandler)}
			if err := sessions.Store.Create(b.Context(), "own", state); err != nil {
				b.Fatal(err)
			}
			handler := sessions.Handler(page)
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Cookie", "QX_session=own")
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
