package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// BenchmarkResponse is a page through Proxy, over a real SCGI connection, to a
// client that takes it at once.
func BenchmarkResponse(b *testing.B) {
	for _, size := range []int{500, 20_000, 60_000, 1_000_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			page := fmt.Sprintf("Status: 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
			p := newRawProxy(b, func(w io.Writer) { io.WriteString(w, page) })
			r := httptest.NewRequest("GET", "/", nil)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				p.ServeHTTP(&discardWriter{header: http.Header{}}, r)
			}
		})
	}
}

type discardWriter struct{ header http.Header }

func (w *discardWriter) Header() http.Header         { return w.header }
func (w *discardWriter) WriteHeader(int)             {}
func (w *discardWriter) Write(p []byte) (int, error) { return len(p), nil }
