package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"alforja/gateway/scgi"
)

// openTestFronts serves handler at the fronts that options describe.
func openTestFronts(t *testing.T, opts FrontOptions, log *lockedBuffer, handler http.Handler) []net.Addr {
	t.Helper()
	if err := opts.check(); err != nil {
		t.Fatal(err)
	}
	opts.setDefaults()
	logger := slog.New(slog.DiscardHandler)
	if log != nil {
		logger = slog.New(slog.NewTextHandler(log, nil))
	}
	trusted, err := ParseTrustedProxies(opts.TrustedProxies)
	if err != nil {
		t.Fatal(err)
	}
	g := &Gateway{opts: Options{FrontOptions: opts, Logger: logger}}
	by := &generation{opts: g.opts, trusted: trusted, handler: trusted.Handler(opts.ForwardedHeader, handler)}
	g.now.Store(by)
	if err := g.openFronts(t.Context(), by); err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	for _, f := range g.fronts {
		serving.Go(func() { f.server.Serve(f.listener) })
	}
	t.Cleanup(func() {
		g.shutDown(context.Background(), func(*front) bool { return true })
		serving.Wait()
	})
	return g.Addrs()
}

// sayPeer answers with what the application would be told of the peer.
var sayPeer = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	fmt.Fprintf(w, "%s tls=%v %s local=%v", r.RemoteAddr, r.TLS != nil, r.Proto, local)
})

func TestFrontOptionsRefused(t *testing.T) {
	for name, opts := range map[string]FrontOptions{
		"no address":                     {},
		"no host:port":                   {HTTP: []string{"localhost"}},
		"no path":                        {HTTP: []string{"unix:"}},
		"https without a certificate":    {HTTPS: []string{":0"}},
		"certificate without https":      {HTTP: []string{":0"}, TLSCert: "a", TLSKey: "b"},
		"proxy protocol, nobody trusted": {HTTP: []string{":0"}, ProxyProtocol: []string{":0"}},
		"proxy protocol elsewhere":       {HTTP: []string{":0"}, ProxyProtocol: []string{":1"}, TrustedProxies: []string{"unix"}},
		"proxy protocol by SCGI":         {SCGI: []string{":0"}, ProxyProtocol: []string{":0"}, TrustedProxies: []string{"unix"}},
		"trusted name":                   {HTTP: []string{":0"}, TrustedProxies: []string{"localhost"}},
		"forwarded by another header":    {HTTP: []string{":0"}, ForwardedHeader: "x-real-ip"},
		"negative limit":                 {HTTP: []string{":0"}, MaxConnections: -1},
		"no such user":                   {HTTP: []string{":0"}, SocketOwner: "nobody-of-that-name"},
		"no such group":                  {HTTP: []string{":0"}, SocketGroup: "no-group-of-that-name"},
	} {
		if err := opts.check(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestSocketAccess: mode and owner are as asked for, and nobody else could have
// connected before that.
func TestSocketAccess(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	tests := []struct {
		name string
		opts FrontOptions
		mode os.FileMode
		gid  int
	}{
		{"by the umask", FrontOptions{}, 0o777, os.Getgid()},
		{"mode", FrontOptions{SocketMode: 0o620}, 0o620, os.Getgid()},
		{"owner", FrontOptions{SocketOwner: fmt.Sprint(os.Getuid())}, 0o600, os.Getgid()},
		{"group", FrontOptions{SocketGroup: "daemon"}, 0o660, 1},
		{"group and mode", FrontOptions{SocketGroup: "1", SocketMode: 0o666}, 0o666, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			access, err := test.opts.socketAccess()
			if err != nil {
				t.Fatal(err)
			}
			l, err := listenAs(t.Context(), "unix:"+path, access)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if gid := int(info.Sys().(*syscall.Stat_t).Gid); info.Mode().Perm() != test.mode || gid != test.gid {
				t.Errorf("mode %o, group %d", info.Mode().Perm(), gid)
			}
		})
	}
}

// TestSocketIsBornClosed: nobody can connect before owner and mode are set.
func TestSocketIsBornClosed(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	path := filepath.Join(t.TempDir(), "s")
	l, err := (&net.ListenConfig{Control: ownerOnly}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	first, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	access := socketAccess{uid: -1, gid: -1, mode: 0o600}
	if _, err := listenAs(t.Context(), "unix:"+path, access); err == nil {
		t.Error("one that answers was replaced")
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	first.Close()
	second, err := listenAs(t.Context(), "unix:"+path, access)
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}

// TestMaxConnections: what is over the limit waits, over HTTP, HTTPS with
// HTTP/2 and SCGI alike, and is served when another has gone.
func TestMaxConnections(t *testing.T) {
	cert, key := writeCertificate(t, t.TempDir(), "localhost")
	addrs := openTestFronts(t, FrontOptions{
		HTTP: []string{"127.0.0.1:0"}, HTTPS: []string{"127.0.0.1:0"}, SCGI: []string{"127.0.0.1:0"},
		TLSCert: cert, TLSKey: key, MaxConnections: 2,
	}, nil, sayPeer)
	dial := map[string]func() (net.Conn, error){
		"http": func() (net.Conn, error) { return net.Dial("tcp", addrs[0].String()) },
		"https": func() (net.Conn, error) {
			return tls.Dial("tcp", addrs[1].String(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
		},
		"scgi": func() (net.Conn, error) { return net.Dial("tcp", addrs[2].String()) },
	}
	for name, dial := range dial {
		t.Run(name, func(t *testing.T) {
			if name == "https" {
				useHTTP2(t, addrs[1].String())
			}
			request := "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
			if name == "scgi" {
				request = "70:CONTENT_LENGTH\x000\x00SCGI\x001\x00REQUEST_METHOD\x00GET\x00REQUEST_URI\x00/\x00SERVER_PROTOCOL\x00HTTP/1.1\x00,"
				request = strings.Replace(request, "70", fmt.Sprint(len(request)-4), 1)
			}
			var held []net.Conn
			for range 2 {
				conn, err := dial()
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				held = append(held, conn)
			}
			answered := make(chan error, 1)
			go func() {
				conn, err := dial()
				if err == nil {
					defer conn.Close()
					io.WriteString(conn, request)
					_, err = bufio.NewReader(conn).ReadString('\n')
				}
				answered <- err
			}()
			select {
			case err := <-answered:
				t.Fatalf("answered beside two others: %v", err)
			case <-time.After(200 * time.Millisecond):
			}
			held[0].Close()
			select {
			case err := <-answered:
				if err != nil {
					t.Fatal(err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("not answered when there was room")
			}
		})
	}
}

// TestHeaderLimits: too long is 431, too slow is cut off, by HTTP and SCGI.
func TestHeaderLimits(t *testing.T) {
	addrs := openTestFronts(t, FrontOptions{
		HTTP: []string{"127.0.0.1:0"}, SCGI: []string{"127.0.0.1:0"}, MaxHeader: 8000, HeaderTimeout: 200 * time.Millisecond,
	}, nil, sayPeer)
	long := strings.Repeat("x", 20_000)
	variables := "CONTENT_LENGTH\x000\x00SCGI\x001\x00REQUEST_METHOD\x00GET\x00REQUEST_URI\x00/\x00HTTP_A\x00" + long + "\x00"
	tests := []struct {
		name, request, want string
		addr                net.Addr
	}{
		{"http, long", "GET / HTTP/1.1\r\nHost: a\r\nA: " + long + "\r\n\r\n", "HTTP/1.1 431 ", addrs[0]},
		{"scgi, long", fmt.Sprintf("%d:%s,", len(variables), variables), "Status: 431 ", addrs[1]},
		{"http, slow", "GET / HTTP/1.1\r\nHost", "", addrs[0]},
		{"scgi, slow", "50:CONTENT_LENGTH", "", addrs[1]},
		{"http, silent", "", "", addrs[0]},
		{"scgi, silent", "", "", addrs[1]},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			start := time.Now()
			answer := answerTo(t, test.addr.String(), test.request)
			if !strings.HasPrefix(answer, test.want) || test.want == "" && strings.Contains(answer, " 200 ") {
				t.Errorf("%.80q", answer)
			}
			if time.Since(start) > 5*time.Second {
				t.Errorf("after %v", time.Since(start))
			}
		})
	}
}

// TestSocketActivation: the addresses of systemd:NAME are the descriptors of
// that name, in a process of its own, as sd_listen_fds(3) has it.
func TestSocketActivation(t *testing.T) {
	source := &socketSource{options: &FrontOptions{}}
	if _, err := source.open(t.Context(), "systemd:http"); err == nil || !strings.Contains(err.Error(), "http") {
		t.Errorf("without systemd: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	unasked, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	source.activated = map[string][]net.Listener{"http": {l}, "other": {unasked}}
	got, err := source.open(t.Context(), "systemd:http")
	if err != nil || len(got) != 1 || got[0] != l {
		t.Errorf("%v, %v", got, err)
	}
	source.closeRest()
	if _, err := unasked.Accept(); err == nil {
		t.Error("what nobody asked for is still open")
	}
	l.Close()
}

var _ server = (*scgi.Server)(nil)

// answerTo sends bytes and returns all that comes back until the peer closes.
func answerTo(t *testing.T, address, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, request) // the peer may have closed already
	answer, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the peer does not close")
	}
	return string(answer)
}

// shortListener lacks memory for its first connection.
type shortListener struct {
	net.Listener
	accepts int
}

func (l *shortListener) Accept() (net.Conn, error) {
	if l.accepts++; l.accepts == 1 {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.ENOMEM)}
	}
	return nil, io.EOF
}

func (*shortListener) Close() error { return nil }

// TestLackOfMemory: net/http would give the listener up, and the gateway with it.
func TestLackOfMemory(t *testing.T) {
	short := &shortListener{}
	server := httpServer(nil, slog.New(slog.DiscardHandler))
	if err := server.Serve(&lentListener{Listener: short}); err != io.EOF || short.accepts != 2 {
		t.Errorf("Serve = %v after %d", err, short.accepts)
	}
}
