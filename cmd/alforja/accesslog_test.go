package main

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"alforja/gateway"
)

// TestAccessLogKeepsTheFormat: a log-format that changed needs a restart, for the
// lines of requests too.
func TestAccessLogKeepsTheFormat(t *testing.T) {
	var log bytes.Buffer
	s := settings{logFormat: "json"}
	access, err := s.openAccessLog(slog.New(slog.NewTextHandler(&log, nil)), &log, "text")
	if err != nil {
		t.Fatal(err)
	}
	access.request(t.Context(), &gateway.Access{Request: httptest.NewRequest(http.MethodGet, "/", nil)})
	if !strings.HasPrefix(log.String(), "time=") {
		t.Errorf("%s", &log)
	}
}
