package scgi

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the .want files instead of comparing with them")

// Limits of the golden tests, small enough to be met in a file.
const (
	goldenRequestLimit  = 65536
	goldenResponseLimit = 4096
)

// readEscaped reads a golden input: newlines are there for the eye, and what
// cannot be seen is written as in Go, with \0 for NUL.
func readEscaped(t testing.TB, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(raw), "\n", "")
	text = strings.ReplaceAll(text, `\0`, `\x00`)
	text = strings.ReplaceAll(text, `"`, `\"`)
	s, err := strconv.Unquote(`"` + text + `"`)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return s
}

// golden runs show on every input and compares with the .want file beside it.
func golden(t *testing.T, pattern string, show func(input string) string) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	for _, file := range files {
		base := strings.TrimSuffix(file, filepath.Ext(file))
		t.Run(filepath.Base(base), func(t *testing.T) {
			got := show(readEscaped(t, file))
			if *update {
				if err := os.WriteFile(base+".want", []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(base + ".want")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestGoldenRequests(t *testing.T) {
	golden(t, "testdata/requests/*.scgi", func(input string) string {
		r := bufio.NewReader(strings.NewReader(input))
		req, env, err := readRequest(r, goldenRequestLimit, nil)
		if err != nil {
			return showError(err)
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s %s\n", req.Method, req.RequestURI, req.Proto)
		fmt.Fprintf(&b, "path %q raw %q query %q\n", req.URL.Path, req.URL.RawPath, req.URL.RawQuery)
		fmt.Fprintf(&b, "host %q remote %q tls %t\n", req.Host, req.RemoteAddr, req.TLS != nil)
		showHeader(&b, req.Header)
		for _, name := range slices.Sorted(maps.Keys(env)) {
			fmt.Fprintf(&b, "env %s=%q\n", name, env[name])
		}
		rest, _ := io.ReadAll(r)
		fmt.Fprintf(&b, "body of %d in %q\n", req.ContentLength, rest)
		return b.String()
	})
}

func TestGoldenResponses(t *testing.T) {
	golden(t, "testdata/responses/*.cgi", func(input string) string {
		resp, body, err := readResponse(bufio.NewReaderSize(strings.NewReader(input), 64), "GET", goldenResponseLimit)
		if err != nil {
			return showError(err)
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%d %q length %d\n", resp.StatusCode, resp.Status, resp.ContentLength)
		showHeader(&b, resp.Header)
		data, err := io.ReadAll(body)
		fmt.Fprintf(&b, "body %q error %v\n", data, err)
		return b.String()
	})
}

func showHeader(b *strings.Builder, h http.Header) {
	for _, key := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[key] {
			if len(v) > 1000 {
				v = strconv.Itoa(len(v)) + " bytes"
			}
			fmt.Fprintf(b, "header %s: %q\n", key, v)
		}
	}
}

func showError(err error) string {
	var bad *RequestError
	if errors.As(err, &bad) {
		return fmt.Sprintf("error %d %v\n", bad.Status, err)
	}
	var resp *ResponseError
	if errors.As(err, &resp) {
		return fmt.Sprintf("error %v\n", err)
	}
	return fmt.Sprintf("untyped error %v\n", err)
}
