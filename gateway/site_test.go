package gateway

import (
	"bufio"
	"encoding/base64"
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

	"alforja/gateway/scgi"
	"alforja/store"
	"alforja/store/memory"
)

// pickled returns a protocol-4 pickle of a short string.
func pickled(text string) []byte {
	return append(append([]byte{0x80, 4, 0x8c, byte(len(text))}, text...), '.')
}

// worker is one request's view of the protocol, from the worker's side.
type worker struct {
	env    map[string]string
	state  []byte // what ALFORJA_SESSION holds
	header http.Header
}

func (w worker) say(words ...string) {
	w.header.Add(DirectiveHeader, w.env["ALFORJA_NONCE"]+" "+strings.Join(words, " "))
}

func (w worker) save(action, id, text string) {
	w.say(action, id, base64.StdEncoding.EncodeToString(pickled(text)))
}

// serveConnections has do serve each connection, until the test ends.
func serveConnections(t testing.TB, listener net.Listener, do func(net.Conn)) {
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() {
				defer conn.Close()
				do(conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		connections.Wait()
	})
}

// readVariables reads the variables of an SCGI request, as they are.
func readVariables(from *bufio.Reader) (map[string]string, error) {
	var length int
	if _, err := fmt.Fscanf(from, "%d:", &length); err != nil {
		return nil, err
	}
	block := make([]byte, length+1)
	if _, err := io.ReadFull(from, block); err != nil {
		return nil, err
	}
	env := map[string]string{}
	words := strings.Split(string(block[:length]), "\x00")
	for i := 0; i+1 < len(words); i += 2 {
		env[words[i]] = words[i+1]
	}
	return env, nil
}

// serveWorker answers SCGI requests with an empty page and what do puts into
// the header. It is no scgi.Server: that drops the variables that this is about.
func serveWorker(t *testing.T, listener net.Listener, do func(worker)) {
	serveConnections(t, listener, func(conn net.Conn) {
		env, err := readVariables(bufio.NewReader(conn))
		if err != nil {
			t.Error(err)
			return
		}
		w := worker{env: env, header: http.Header{}}
		if text, ok := w.env["ALFORJA_SESSION"]; ok {
			if w.state, err = base64.StdEncoding.DecodeString(text); err != nil {
				t.Error(err)
			}
		}
		do(w)
		io.WriteString(conn, "Status: 200 OK\r\n")
		w.header.Write(conn)
		io.WriteString(conn, "\r\n")
	})
}

// site is a gateway's handlers around workers that run do, over a real SCGI
// connection.
type site struct {
	sessions Sessions
	store    store.Store
	log      *lockedBuffer
	handler  http.Handler
}

func newSite(t *testing.T, do func(worker), change func(*Sessions)) *site {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "w"))
	if err != nil {
		t.Fatal(err)
	}
	serveWorker(t, listener, do)

	s := &site{store: memory.New(), log: new(lockedBuffer)}
	logger := slog.New(slog.NewTextHandler(s.log, nil))
	s.sessions = Sessions{Store: s.store, Logger: logger}
	if change != nil {
		change(&s.sessions)
	}
	var workers []*Worker
	for i := range 4 {
		workers = append(workers, &Worker{
			Name:      fmt.Sprint(i),
			Transport: &scgi.Transport{Network: "unix", Address: listener.Addr().String()},
		})
	}
	proxy := &Proxy{Pool: NewPool(workers, PoolOptions{}), APIPath: "/run/api.sock", Logger: logger}
	s.handler = AccessLog(LogRequests(logger), s.sessions.Handler(proxy))
	return s
}

// get sends a request with a Cookie header, or none where cookie is "".
func (s *site) get(cookie string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/page", nil)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func (s *site) state(t *testing.T, id string) string {
	t.Helper()
	state, found, err := s.store.Load(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if !found {
		return ""
	}
	return string(state[4 : len(state)-1])
}

func (s *site) put(t *testing.T, id, text string) {
	t.Helper()
	if err := s.store.Create(t.Context(), id, pickled(text)); err != nil {
		t.Fatal(err)
	}
}
