package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"alforja/store/memory"
)

// runTestGateway runs a gateway until the test ends.
func runTestGateway(t *testing.T, opts Options) *Gateway {
	t.Helper()
	opts.Sessions.Store, opts.RunDir, opts.Logger = memory.New(), t.TempDir(), slog.New(slog.DiscardHandler)
	g, err := New(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Run(context.Background()) }()
	t.Cleanup(func() {
		g.Drain()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return g
}

func reloadTo(t *testing.T, g *Gateway, opts Options) error {
	return g.Reload(t.Context(), func() (Options, error) { return opts, nil })
}

// A keptConnection is a client's.
type keptConnection struct {
	t *testing.T
	net.Conn
	answers *bufio.Reader
}

func keepConnection(t *testing.T, network, address string) *keptConnection {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &keptConnection{t, conn, bufio.NewReader(conn)}
}

func (c *keptConnection) send(path, more string) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n", path, more); err != nil {
		c.t.Fatal(err)
	}
}

func (c *keptConnection) answer() (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp, string(body)
}

// TestReload: what arrives afterwards goes by the new options, what runs by the
// old, at sockets that stay, and no client is thrown out.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "http")
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("static"), 0o600); err != nil {
		t.Fatal(err)
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	say := func(text string) map[string]http.Handler {
		return map[string]http.Handler{"/": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/wait" {
				entered <- struct{}{}
				<-leave
			}
			io.WriteString(w, text)
		})}
	}
	opts := Options{FrontOptions: FrontOptions{HTTP: []string{"unix:" + socket}}, Handlers: say("old")}
	g := runTestGateway(t, opts)

	idle, busy := keepConnection(t, "unix", socket), keepConnection(t, "unix", socket)
	idle.send("/", "")
	if _, text := idle.answer(); text != "old" {
		t.Errorf("at first %q", text)
	}
	busy.send("/wait", "")
	<-entered

	opts.Handlers, opts.Static, opts.MaxHeader = say("new"), map[string]string{"/static": dir}, 1<<10
	opts.HTTP = []string{"127.0.0.1:0"} // which stays as it was
	if err := reloadTo(t, g, opts); err != nil {
		t.Fatal(err)
	}
	close(leave)
	if _, text := busy.answer(); text != "old" {
		t.Errorf("a request that ran: %q", text)
	}
	idle.send("/static/file", "")
	if resp, text := idle.answer(); text != "static" || !resp.Close {
		t.Errorf("on an old connection: %q, close %v", text, resp.Close)
	}
	fresh := keepConnection(t, "unix", socket)
	fresh.send("/", "")
	if resp, text := fresh.answer(); text != "new" || resp.Close {
		t.Errorf("on a new connection: %q, close %v", text, resp.Close)
	}
	fresh.send("/", "X: "+strings.Repeat("x", 16<<10)+"\r\n") // net/http adds some KiB of its own
	if resp, _ := fresh.answer(); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header longer than the new limit: %d", resp.StatusCode)
	}
	if addrs := g.Addrs(); len(addrs) != 1 || addrs[0].String() != socket {
		t.Errorf("it listens at %v", addrs)
	}
}

// TestReloadAgain: a server that was replaced goes when its connections have.
func TestReloadAgain(t *testing.T) {
	opts := Options{FrontOptions: FrontOptions{HTTP: []string{"127.0.0.1:0"}, SCGI: []string{"127.0.0.1:0"}}, Handlers: map[string]http.Handler{
		"/": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "page") }),
	}}
	g := runTestGateway(t, opts)
	address := g.Addrs()[0].String()
	for i := range 5 {
		opts.MaxConnections = 10 + i
		if err := reloadTo(t, g, opts); err != nil {
			t.Fatal(err)
		}
		if resp := exchange(t, address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); resp.StatusCode != 200 {
			t.Errorf("after reload %d: %d", i, resp.StatusCode)
		}
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		g.mu.Lock()
		left := len(g.replaced)
		g.mu.Unlock()
		if left == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d servers are left", left)
		}
	}
}

// TestReloadCertificate: by another path, and behind the PROXY protocol, who may
// speak which is another one too.
func TestReloadCertificate(t *testing.T) {
	opts := Options{
		FrontOptions: FrontOptions{HTTPS: []string{"127.0.0.1:0"}, ProxyProtocol: []string{"127.0.0.1:0"}, TrustedProxies: []string{"127.0.0.1"}},
		Handlers:     map[string]http.Handler{"/": sayPeer},
	}
	opts.TLSCert, opts.TLSKey = writeCertificate(t, t.TempDir(), "first")
	g := runTestGateway(t, opts)
	name := func() (string, error) {
		raw, err := net.Dial("tcp", g.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		io.WriteString(raw, "PROXY TCP4 192.0.2.7 203.0.113.1 1234 443\r\n")
		conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
		if err := conn.HandshakeContext(t.Context()); err != nil {
			return "", err
		}
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName, nil
	}
	if is, err := name(); is != "first" {
		t.Errorf("at first %q, %v", is, err)
	}
	opts.TLSCert, opts.TLSKey = writeCertificate(t, t.TempDir(), "second")
	if err := reloadTo(t, g, opts); err != nil {
		t.Fatal(err)
	}
	if is, err := name(); is != "second" {
		t.Errorf("then %q, %v", is, err)
	}
	opts.TrustedProxies = []string{"192.0.2.1"}
	if err := reloadTo(t, g, opts); err != nil {
		t.Fatal(err)
	}
	if is, err := name(); err == nil {
		t.Errorf("who is no longer trusted was shown %q", is)
	}
}

func TestReloadRefused(t *testing.T) {
	page := map[string]http.Handler{"/": http.NotFoundHandler()}
	opts := Options{FrontOptions: FrontOptions{HTTP: []string{"127.0.0.1:0"}}, Handlers: page}
	g := runTestGateway(t, opts)
	before := g.now.Load()
	for name, change := range map[string]func(*Options){
		"is negative":           func(o *Options) { o.MaxBody = -1 },
		"trusted proxy":         func(o *Options) { o.TrustedProxies = []string{"everybody"} },
		"another mode":          func(o *Options) { o.Sessions.Mode = Shared },
		"another key":           func(o *Options) { o.Sessions.Key = []byte("0123456789abcdef") },
		"pools were added":      func(o *Options) { o.Pools = []WorkerPool{{Backends: []string{"unix:/nowhere"}}} },
		"certificate":           func(o *Options) { o.TLSCert = "/nonexistent" },
		"does not begin with a": func(o *Options) { o.Sessions.Skip = []string{"static"} },
	} {
		wrong := opts
		change(&wrong)
		if err := reloadTo(t, g, wrong); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if g.now.Load() != before {
		t.Error("a reload that was refused has changed something")
	}
}
