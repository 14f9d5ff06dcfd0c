package gateway

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

func TestBufferBodies(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 20<<16)
	tests := []struct {
		name     string
		body     io.Reader
		announce int64
		status   int
		want     string
	}{
		{"none", nil, 0, 200, ""},
		{"small", strings.NewReader("abc"), 3, 200, "abc"},
		{"to the last byte of memory", strings.NewReader(big[:bodyInMemory]), bodyInMemory, 200, big[:bodyInMemory]},
		{"one more", strings.NewReader(big[:bodyInMemory+1]), bodyInMemory + 1, 200, big[:bodyInMemory+1]},
		{"20 MB", strings.NewReader(big), int64(len(big)), 200, big},
		{"chunked", strings.NewReader("abc"), -1, 200, "abc"},
		{"chunked 20 MB", strings.NewReader(big), -1, 200, big},
		{"byte by byte", iotest.OneByteReader(strings.NewReader(big[:9000])), 9000, 200, big[:9000]},
		{"announced too large", strings.NewReader(""), 1 << 40, 413, ""},
		{"turns out too large", io.MultiReader(strings.NewReader(big), strings.NewReader(big)), -1, 413, ""},
		{"breaks off", io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(io.ErrUnexpectedEOF)), 3, 400, ""},
		{"chunked breaks off", io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(io.ErrUnexpectedEOF)), -1, 400, ""},
		{"breaks off late", io.MultiReader(strings.NewReader(big[1:]), iotest.ErrReader(io.ErrUnexpectedEOF)), int64(len(big)), 400, ""},
		{"stops coming", iotest.ErrReader(os.ErrDeadlineExceeded), 3, 408, ""},
		{"disk full", iotest.ErrReader(&os.PathError{Op: "write", Err: errors.New("no space")}), 3, 503, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			handler := BufferBodies(int64(len(big)), nil, slog.New(slog.DiscardHandler), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				if string(got) != test.want || r.ContentLength != int64(len(test.want)) {
					t.Errorf("%d bytes, ContentLength %d; want %d", len(got), r.ContentLength, len(test.want))
				}
			}))
			r := httptest.NewRequest("POST", "/", test.body)
			r.ContentLength = test.announce
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != test.status {
				t.Errorf("status %d, want %d", w.Code, test.status)
			}
			if closes := w.Header().Get("Connection") == "close"; closes != (test.status != 200) {
				t.Errorf("status %d and Connection: close %v", w.Code, closes)
			}
		})
	}
}

// TestBodyFilesHaveNoName: nothing is left of a spooled body, even while it is
// in use.
func TestBodyFilesHaveNoName(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	body, length, err := (*Spool)(nil).keep(bytes.NewReader(make([]byte, 1<<20)))
	if err != nil || length != 1<<20 {
		t.Fatal(length, err)
	}
	defer body.Close()
	if names, err := os.ReadDir(dir); err != nil || len(names) != 0 {
		t.Errorf("left in the directory: %v, %v", names, err)
	}
}

// TestUntrustedFraming: where net/http may have hidden how a request was
// framed, the connection is not used again.
func TestUntrustedFraming(t *testing.T) {
	var closes string
	server := httptest.NewServer(RefuseMalformed(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		closes = w.Header().Get("Connection")
	})))
	defer server.Close()
	tests := []struct{ request, want string }{
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", ""},
		{"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "close"},
		{"POST / HTTP/1.0\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\nabc", "close"},
	}
	for _, test := range tests {
		closes = "not called"
		exchange(t, server.Listener.Addr().String(), test.request)
		if closes != test.want {
			t.Errorf("%q: Connection %q, want %q", test.request, closes, test.want)
		}
	}
}
