package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alforja/gateway/scgi"
)

var update = flag.Bool("update", false, "write the .want files instead of comparing with them")

// TestGoldenHTTP sends what stands in testdata/http to the HTTP front, named by
// the section of the RFC, and compares what a worker was asked and what the
// client was told. Most inputs end with a second request, whose answer tells
// where the gateway saw the first one end; a worker must never get a byte more
// than the length that it was told.
func TestGoldenHTTP(t *testing.T) {
	worker := newEchoWorker(t)
	discard := slog.New(slog.DiscardHandler)
	proxy := &Proxy{Pool: NewPool([]*Worker{worker}, PoolOptions{}), Logger: discard}
	addr := openTestFronts(t, FrontOptions{HTTP: []string{"127.0.0.1:0"}}, nil,
		RefuseMalformed(BufferBodies(1000, nil, discard, proxy)))[0].String()
	golden(t, "testdata/http/*.http", 90, func(t *testing.T, file string) string {
		return converse(t, addr, readEscaped(t, file))
	})
}

// golden runs show on every file, of which there are many, and compares with the
// .want file beside it.
func golden(t *testing.T, pattern string, many int, show func(t *testing.T, file string) string) {
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) < many {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		base := strings.TrimSuffix(file, filepath.Ext(file))
		t.Run(filepath.Base(base), func(t *testing.T) {
			got := show(t, file)
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

// readEscaped reads a golden input: newlines are there for the eye, and what
// cannot be seen is written as in Go, with \0 for NUL.
func readEscaped(t testing.TB, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("\n", "", `\0`, `\x00`, `"`, `\"`).Replace(string(raw))
	s, err := strconv.Unquote(`"` + text + `"`)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return s
}

// converse sends all of input at once, ends its side, and returns what each
// response said.
func converse(t *testing.T, addr, input string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, input); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	reader := bufio.NewReader(conn)
	for {
		if _, err := reader.Peek(1); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal("no answer, and the connection stays open")
			}
			return b.String()
		}
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%d close %t\n%s\n", resp.StatusCode, resp.Close, bytes.TrimSpace(body))
	}
}

// newEchoWorker answers with what it was asked.
func newEchoWorker(t *testing.T) *Worker {
	path := filepath.Join(t.TempDir(), "w")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	serveConnections(t, listener, func(conn net.Conn) {
		answer := echo(conn)
		fmt.Fprintf(conn, "Content-Length: %d\r\n\r\n%s", len(answer), answer)
	})
	return &Worker{Name: "1", Transport: &scgi.Transport{Network: "unix", Address: path}}
}

// echo reads one SCGI request and describes it.
func echo(conn net.Conn) string {
	reader := bufio.NewReader(conn)
	env, err := readVariables(reader)
	if err != nil {
		return err.Error()
	}
	size, _ := strconv.Atoi(env["CONTENT_LENGTH"])
	body := make([]byte, size)
	if _, err := io.ReadFull(reader, body); err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(env)) {
		switch name {
		case "REMOTE_ADDR", "REMOTE_PORT", "SERVER_PORT", "GATEWAY_INTERFACE", "SCGI", "SERVER_SOFTWARE", "REQUEST_SCHEME":
		default:
			fmt.Fprintf(&b, "  %s=%q\n", name, env[name])
		}
	}
	if size > 0 {
		fmt.Fprintf(&b, "  body %q\n", body)
	}
	if n := reader.Buffered(); n > 0 {
		fmt.Fprintf(&b, "  and %d bytes more\n", n)
	}
	return b.String()
}
