package gateway

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"alforja/gateway/scgi"
	"alforja/store/memory"
)

// TestUploadsLeaveNothing: net/http keeps long parts of a form in files, and
// removes those of the request that it has made, not those of a copy.
func TestUploadsLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(1000); err != nil {
			t.Error(err)
		}
		if files, _ := filepath.Glob(filepath.Join(dir, "multipart-*")); len(files) != 1 {
			t.Errorf("while the page runs: %q", files)
		}
	})
	var form bytes.Buffer
	parts := multipart.NewWriter(&form)
	part, err := parts.CreateFormFile("upload", "photo.jpg")
	if err != nil {
		t.Fatal(err)
	}
	part.Write(make([]byte, 20_000))
	parts.Close()

	sessions := &Sessions{Store: memory.New(), Logger: slog.New(slog.DiscardHandler)}
	silent := func(context.Context, *Access) {}
	for name, handler := range map[string]http.Handler{
		"sessions":   sessions.Handler(page),
		"access log": AccessLog(silent, page),
		"both":       AccessLog(silent, sessions.Handler(page)),
	} {
		server := httptest.NewServer(handler)
		resp, err := http.Post(server.URL, parts.FormDataContentType(), bytes.NewReader(form.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		server.Close()
		if left, _ := filepath.Glob(filepath.Join(dir, "multipart-*")); len(left) > 0 {
			t.Fatalf("%s: left %q", name, left)
		}
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &scgi.Server{Handler: page}
	go server.Serve(l)
	r := httptest.NewRequest("POST", "/", bytes.NewReader(form.Bytes()))
	r.Header.Set("Content-Type", parts.FormDataContentType())
	resp, err := (&scgi.Transport{Network: "tcp", Address: l.Addr().String()}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if err := server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "multipart-*")); len(left) > 0 {
		t.Errorf("by SCGI: left %q", left)
	}
}
