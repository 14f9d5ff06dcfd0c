package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"alforja/gateway/scgi"
)

// newRawWorker answers each SCGI request by what respond writes.
func newRawWorker(t testing.TB, respond func(io.Writer)) *Worker {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "w"))
	if err != nil {
		t.Fatal(err)
	}
	serveConnections(t, listener, func(conn net.Conn) {
		if _, err := readVariables(bufio.NewReader(conn)); err == nil {
			respond(conn)
		}
	})
	return &Worker{Name: "1", Transport: &scgi.Transport{Network: "unix", Address: listener.Addr().String()}}
}

func newRawProxy(t testing.TB, respond func(io.Writer)) *Proxy {
	return &Proxy{Pool: NewPool([]*Worker{newRawWorker(t, respond)}, PoolOptions{}), Logger: slog.New(slog.DiscardHandler)}
}

// busy is how many requests the pool's workers are at.
func busy(p *Pool) (n int) {
	workers, _ := p.Status()
	for _, w := range workers {
		n += w.Busy
	}
	return n
}

// noteWriter is a client that notes what reaches it, and may stop taking more.
type noteWriter struct {
	*httptest.ResponseRecorder
	writes  int
	flushes int
	before  func() // each write
}

func (w *noteWriter) Write(p []byte) (int, error) {
	w.writes++
	if w.before != nil {
		w.before()
	}
	return w.ResponseRecorder.Write(p)
}

func (w *noteWriter) Flush() { w.flushes++ }

func TestResponsesArriveWhole(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, size := range []int{0, 1, 4096, 64<<10 - 1, 64 << 10, 64<<10 + 1, 1 << 20} {
		for _, known := range []bool{true, false} {
			for _, limits := range []ResponseLimits{{}, {Memory: 100}, {Memory: 1000, File: 5000}, {Memory: 1 << 20}} {
				body := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
				p := newRawProxy(t, func(w io.Writer) {
					io.WriteString(w, "Status: 201 Made\r\nX-A: b\r\n")
					if known {
						fmt.Fprintf(w, "Content-Length: %d\r\n", size)
					}
					io.WriteString(w, "\r\n")
					w.Write(body)
				})
				p.Buffer = limits
				w := &noteWriter{ResponseRecorder: httptest.NewRecorder()}
				p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
				if w.Code != 201 || w.Header().Get("X-A") != "b" || !bytes.Equal(w.Body.Bytes(), body) {
					t.Errorf("%d bytes, known %v, %+v: status %d, %d bytes", size, known, limits, w.Code, w.Body.Len())
				}
				if known && limits.Memory == 0 && size <= 64<<10-1 && (w.writes > 1 || w.flushes > 0) {
					t.Errorf("%d bytes: %d writes, %d flushes", size, w.writes, w.flushes)
				}
				if n := busy(p.Pool); n != 0 {
					t.Errorf("%d bytes: %d workers busy afterwards", size, n)
				}
			}
		}
	}
}

// TestSlowReadersHoldNoWorker: when the first byte is on its way to the client,
// the worker is free already; a stream holds it as long as it is more than Memory
// ahead.
func TestSlowReadersHoldNoWorker(t *testing.T) {
	tests := []struct {
		name   string
		header string
		size   int
		limits ResponseLimits
		busy   int
	}{
		{"page", "Content-Length: 5000\r\n", 5000, ResponseLimits{}, 0},
		{"page in a file", "Content-Length: 5000000\r\n", 5000000, ResponseLimits{}, 0},
		{"page too long for a file", "Content-Length: 5000000\r\n", 5000000, ResponseLimits{File: 4000000}, 1},
		{"long stream", "", 5000000, ResponseLimits{}, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := newRawProxy(t, func(w io.Writer) {
				fmt.Fprintf(w, "Status: 200 OK\r\n%s\r\n%s", test.header, strings.Repeat("x", test.size))
			})
			p.Buffer = test.limits
			w := &noteWriter{ResponseRecorder: httptest.NewRecorder()}
			w.before = func() {
				if w.writes == 1 && busy(p.Pool) != test.busy {
					t.Errorf("%d workers busy while the client has nothing, want %d", busy(p.Pool), test.busy)
				}
			}
			p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
			if w.Body.Len() != test.size || busy(p.Pool) != 0 {
				t.Errorf("%d bytes of %d, %d workers busy afterwards", w.Body.Len(), test.size, busy(p.Pool))
			}
		})
	}
}

// TestShortStreamsFreeTheWorker: what fits into memory is taken from the worker
// although the client takes nothing.
func TestShortStreamsFreeTheWorker(t *testing.T) {
	p := newRawProxy(t, func(w io.Writer) {
		io.WriteString(w, "Status: 200 OK\r\n\r\n")
		for range 30 {
			io.WriteString(w, strings.Repeat("x", 1000))
		}
	})
	w := &noteWriter{ResponseRecorder: httptest.NewRecorder()}
	w.before = func() {
		for start := time.Now(); busy(p.Pool) != 0; time.Sleep(time.Millisecond) {
			if time.Since(start) > 10*time.Second {
				t.Error("the worker waits for the client")
				return
			}
		}
	}
	p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Body.Len() != 30000 {
		t.Errorf("%d bytes", w.Body.Len())
	}
}

// TestStreamsStream: each part is flushed before the worker makes the next.
func TestStreamsStream(t *testing.T) {
	next := make(chan struct{})
	p := newRawProxy(t, func(w io.Writer) {
		io.WriteString(w, "Status: 200 OK\r\n\r\n")
		for i := range 5 {
			fmt.Fprintf(w, "line %d\n", i)
			<-next
		}
	})
	server := httptest.NewServer(p)
	defer server.Close()
	resp, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for i := range 5 {
		if line, err := lines.ReadString('\n'); err != nil || line != fmt.Sprintf("line %d\n", i) {
			t.Fatalf("%q, %v", line, err)
		}
		next <- struct{}{}
	}
}

// The header of a stream does not wait for its first line.
func TestStreamsBeginAtOnce(t *testing.T) {
	more := make(chan struct{})
	p := newRawProxy(t, func(w io.Writer) {
		io.WriteString(w, "Status: 200 OK\r\nX-First: 1\r\n\r\n")
		<-more
		io.WriteString(w, "line\n")
	})
	server := httptest.NewServer(p)
	defer server.Close()
	defer sync.OnceFunc(func() { close(more) })()
	resp, err := (&http.Client{Timeout: 10 * time.Second}).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	more <- struct{}{}
	if line, err := io.ReadAll(resp.Body); string(line) != "line\n" || resp.Header.Get("X-First") != "1" || err != nil {
		t.Errorf("%q, %v, %v", line, resp.Header, err)
	}
}

func TestBrokenResponses(t *testing.T) {
	cut := func(w io.Writer, header string, n int) {
		io.WriteString(w, "Status: 200 OK\r\n"+header+"\r\n"+strings.Repeat("x", n))
	}
	t.Run("cut, in memory", func(t *testing.T) {
		p := newRawProxy(t, func(w io.Writer) { cut(w, "Content-Length: 100\r\nSet-Cookie: a=b\r\n", 99) })
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != 502 || w.Header().Get("Set-Cookie") != "" || busy(p.Pool) != 0 {
			t.Errorf("status %d, %v", w.Code, w.Header())
		}
	})
	t.Run("cut, in a file", func(t *testing.T) {
		p := newRawProxy(t, func(w io.Writer) { cut(w, "Content-Length: 1000000\r\n", 999999) })
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != 502 || busy(p.Pool) != 0 {
			t.Errorf("status %d", w.Code)
		}
	})
	t.Run("cut stream", func(t *testing.T) {
		p := newRawProxy(t, func(w io.Writer) { cut(w, "Transfer-Encoding: chunked\r\n", 0) })
		defer func() {
			if v := recover(); v != http.ErrAbortHandler || busy(p.Pool) != 0 {
				t.Errorf("panic %v", v)
			}
		}()
		p.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	})
	t.Run("hangs in mid-body", func(t *testing.T) {
		hang := make(chan struct{})
		p := newRawProxy(t, func(w io.Writer) { cut(w, "Content-Length: 100\r\n", 99); <-hang })
		defer close(hang)
		p.RequestTimeout = 50 * time.Millisecond
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != 504 || busy(p.Pool) != 0 {
			t.Errorf("status %d, %d busy", w.Code, busy(p.Pool))
		}
		if workers, _ := p.Pool.Status(); workers[0].State != Dead {
			t.Errorf("the worker is %v", workers[0].State)
		}
	})
	t.Run("a stream may take longer", func(t *testing.T) {
		p := newRawProxy(t, func(w io.Writer) {
			cut(w, "", 1)
			for range 10 {
				time.Sleep(150 * time.Millisecond)
				io.WriteString(w, "y")
			}
		})
		p.RequestTimeout = 1400 * time.Millisecond // of which a busy machine takes some for a pause
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Body.String() != "xyyyyyyyyyy" {
			t.Errorf("%q", w.Body)
		}
	})
	t.Run("a stream that its client takes slowly", func(t *testing.T) {
		p := newRawProxy(t, func(w io.Writer) { cut(w, "", 400) })
		p.RequestTimeout, p.Buffer.Memory = 300*time.Millisecond, 100
		w := &noteWriter{ResponseRecorder: httptest.NewRecorder()}
		w.before = func() { time.Sleep(400 * time.Millisecond) }
		p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Body.Len() != 400 || w.writes < 3 {
			t.Errorf("%d bytes in %d writes", w.Body.Len(), w.writes)
		}
	})
	t.Run("hangs in a stream", func(t *testing.T) {
		hang := make(chan struct{})
		p := newRawProxy(t, func(w io.Writer) { cut(w, "", 1); <-hang })
		defer close(hang)
		p.RequestTimeout = 500 * time.Millisecond // in which a busy machine has begun the stream
		w := httptest.NewRecorder()
		defer func() {
			if v := recover(); v != http.ErrAbortHandler || w.Body.String() != "x" || busy(p.Pool) != 0 {
				t.Errorf("panic %v, %q, %d busy", v, w.Body, busy(p.Pool))
			}
			if workers, _ := p.Pool.Status(); workers[0].State != Dead {
				t.Errorf("the worker is %v", workers[0].State)
			}
		}()
		p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	})
	t.Run("client gone, stream goes on", func(t *testing.T) {
		p := newRawProxy(t, func(w io.Writer) { cut(w, "", 1000000) })
		w := &failingWriter{httptest.NewRecorder()}
		p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if busy(p.Pool) != 0 {
			t.Error("the worker is still busy")
		}
	})
	t.Run("no room on the disk", func(t *testing.T) {
		t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
		p := newRawProxy(t, func(w io.Writer) { cut(w, "Content-Length: 1000000\r\n", 1000000) })
		w := httptest.NewRecorder()
		p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Code != 200 || w.Body.Len() != 1000000 || busy(p.Pool) != 0 {
			t.Errorf("status %d, %d bytes", w.Code, w.Body.Len())
		}
	})
}

type failingWriter struct{ *httptest.ResponseRecorder }

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("gone") }

// TestReadAhead: whatever the sizes of reads and the pace of both sides, what
// goes in comes out, and no more than the limit and one read is held.
func TestReadAhead(t *testing.T) {
	rapid.Check(t, func(draw *rapid.T) {
		data := make([]byte, rapid.IntRange(0, 5000).Draw(draw, "length"))
		for i := range data {
			data[i] = byte(i % 251)
		}
		limit := rapid.IntRange(1, 2000).Draw(draw, "limit")
		step := rapid.IntRange(10, 700).Draw(draw, "step")
		pauses := rapid.SliceOfN(rapid.IntRange(0, 3), 1, 8).Draw(draw, "pauses")
		waits := rapid.SliceOfN(rapid.IntRange(0, 30), 1, 8).Draw(draw, "waits")
		var got []byte
		most := 0
		body := &pacedBody{data: data, step: step, pauses: pauses}
		synctest.Test(t, func(*testing.T) {
			ahead := newReadAhead(body, limit)
			for i := 0; ; i++ {
				time.Sleep(time.Duration(waits[i%len(waits)]) * time.Millisecond)
				part, err := ahead.next()
				got = append(got, part...)
				most = max(most, len(part))
				if err != nil {
					break
				}
			}
			ahead.wait()
		})
		if !bytes.Equal(got, data) || !body.closed {
			draw.Errorf("%d bytes of %d, closed %v", len(got), len(data), body.closed)
		}
		if most >= limit+step {
			draw.Errorf("%d bytes held, of %d", most, limit)
		}
	})
}

type pacedBody struct {
	data   []byte
	step   int
	pauses []int
	reads  int
	closed bool
}

func (b *pacedBody) Read(p []byte) (int, error) {
	b.reads++
	time.Sleep(time.Duration(b.pauses[b.reads%len(b.pauses)]) * time.Millisecond)
	n := copy(p[:min(len(p), b.step)], b.data)
	b.data = b.data[n:]
	if len(b.data) == 0 {
		return n, io.EOF
	}
	return n, nil
}

func (b *pacedBody) Close() error {
	b.closed = true
	return nil
}
