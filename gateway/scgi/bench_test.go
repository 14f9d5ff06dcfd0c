package scgi

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

var browserHeader = http.Header{
	"Accept":          {"text/html,application/xhtml+xml"},
	"Accept-Encoding": {"gzip, deflate"},
	"Accept-Language": {"en"},
	"Cookie":          {`QX_session="0123456789abcdef0123456789abcdef"`},
	"User-Agent":      {"Mozilla/5.0 (X11; Linux x86_64)"},
}

// One request and its response over a Unix socket, Transport to Server.
func BenchmarkRoundTrip(b *testing.B) {
	for _, size := range []int{0, 4 << 10, 1 << 20} {
		b.Run("body="+strconv.Itoa(size), func(b *testing.B) {
			path := serve(b, &Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				io.WriteString(w, "<html>a page</html>")
			})})
			tr := transport(path)
			body := make([]byte, size)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				req := newTestRequest(b, "POST", "http://example.com/counter?x=1", bytes.NewReader(body))
				req.Header = browserHeader
				resp, err := tr.RoundTrip(req)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}

func BenchmarkReadRequest(b *testing.B) {
	raw := readEscaped(b, "testdata/requests/nginx_stock_params.scgi")
	r := bufio.NewReaderSize(nil, readBufferBytes)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(strings.NewReader(raw))
		if _, _, err := readRequest(r, 1<<20, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendHeader(b *testing.B) {
	req := newTestRequest(b, "GET", "http://example.com/counter?x=1", nil)
	req.Header = browserHeader
	buf := make([]byte, 0, copyBytes)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := appendHeader(buf, req, 0, "", ""); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadResponse(b *testing.B) {
	raw := "Status: 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nExpires: -1\r\nCache-Control: max-age=0, no-cache\r\n" +
		"Content-Type: text/html; charset=utf-8\r\nContent-Length: 4\r\n\r\npage"
	r := bufio.NewReaderSize(nil, readBufferBytes)
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(strings.NewReader(raw))
		if _, _, err := readResponse(r, "GET", 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
