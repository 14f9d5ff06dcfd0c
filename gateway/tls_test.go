package gateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// writeCertificate makes a self-signed certificate for name.
func writeCertificate(t *testing.T, dir, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{name},
		NotAfter:     time.Now().Add(time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: cert},
		keyFile:  {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

// useHTTP2 sends some requests by HTTP/2 and leaves.
func useHTTP2(t *testing.T, address string) string {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	var text string
	for range 3 {
		resp, err := (&http.Client{Transport: transport}).Get("https://" + address + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || resp.ProtoMajor != 2 {
			t.Fatalf("%v %v %v", resp.Status, resp.Proto, err)
		}
		text = string(body)
	}
	return text
}

func TestHTTPS(t *testing.T) {
	cert, key := writeCertificate(t, t.TempDir(), "localhost")
	addrs := openTestFronts(t, FrontOptions{HTTPS: []string{"127.0.0.1:0"}, TLSCert: cert, TLSKey: key}, nil, sayPeer)
	if said := useHTTP2(t, addrs[0].String()); !strings.Contains(said, "tls=true HTTP/2.0") {
		t.Error(said)
	}
	conn, err := tls.Dial("tcp", addrs[0].String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11})
	if err == nil {
		conn.Close()
		t.Error("TLS 1.1 was spoken")
	}
}

func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := writeCertificate(t, dir, "first")
	synctest.Test(t, func(t *testing.T) {
		log := new(lockedBuffer)
		c, err := loadCertificate(cert, key, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		name := func() string {
			t.Helper()
			pair, err := c.get(nil)
			if err != nil {
				t.Fatal(err)
			}
			return pair.Leaf.DNSNames[0]
		}
		if name() != "first" {
			t.Errorf("at first %q", name())
		}
		writeCertificate(t, dir, "second")
		if name() != "first" {
			t.Error("looked at within the second")
		}
		time.Sleep(certificateCheck)
		if name() != "second" {
			t.Errorf("afterwards %q", name())
		}

		// Half of a pair, then nonsense, then nothing, then a pair again.
		other := t.TempDir()
		otherCert, _ := writeCertificate(t, other, "third")
		pem, err := os.ReadFile(otherCert)
		if err != nil {
			t.Fatal(err)
		}
		for i, change := range []func() error{
			func() error { return os.WriteFile(cert, pem, 0o600) },
			func() error { return os.WriteFile(cert, []byte("nonsense"), 0o600) },
			func() error { return os.Remove(cert) },
		} {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				time.Sleep(certificateCheck)
				if name() != "second" {
					t.Errorf("after bad change %d: %q", i, name())
				}
			}
			if n := strings.Count(log.String(), "not usable"); n != i+1 {
				t.Errorf("after bad change %d, %d log lines:\n%s", i, n, log)
			}
		}
		writeCertificate(t, dir, "fourth")
		time.Sleep(certificateCheck)
		if name() != "fourth" {
			t.Errorf("in the end %q", name())
		}

		// What was not to be read for a moment, as before a chmod: neither length
		// nor time tells that now it is.
		if pem, err = os.ReadFile(otherCert); err != nil {
			t.Fatal(err)
		}
		otherKey, err := os.ReadFile(filepath.Join(other, filepath.Base(key)))
		if err != nil {
			t.Fatal(err)
		}
		written := time.Now()
		write := func(text []byte) {
			t.Helper()
			if err := errors.Join(os.WriteFile(cert, text, 0o600), os.WriteFile(key, otherKey, 0o600), os.Chtimes(cert, written, written), os.Chtimes(key, written, written)); err != nil {
				t.Fatal(err)
			}
		}
		write(make([]byte, len(pem)))
		time.Sleep(certificateCheck)
		if name() != "fourth" {
			t.Errorf("unreadable: %q", name())
		}
		write(pem)
		time.Sleep(certificateCheck)
		if name() != "third" {
			t.Errorf("readable again: %q", name())
		}
	})
}

func TestCertificateMissing(t *testing.T) {
	g := &Gateway{opts: Options{Logger: slog.New(slog.DiscardHandler), FrontOptions: FrontOptions{
		HTTPS: []string{"127.0.0.1:0"}, TLSCert: "/nonexistent/cert", TLSKey: "/nonexistent/key",
	}}}
	if err := g.openFronts(context.Background(), &generation{opts: g.opts}); err == nil || !strings.Contains(err.Error(), "/nonexistent/cert") {
		t.Errorf("%v", err)
	}
}

func TestPROXYProtocol(t *testing.T) {
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xcb\x00\x71\x01\x04\xd2\x01\xbb"
	request := "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
	for _, trusted := range []string{"127.0.0.0/8", "10.0.0.0/8"} {
		addrs := openTestFronts(t, FrontOptions{
			HTTP: []string{"127.0.0.1:0"}, ProxyProtocol: []string{"127.0.0.1:0"},
			TrustedProxies: []string{trusted}, HeaderTimeout: 300 * time.Millisecond,
		}, nil, sayPeer)
		tests := []struct{ name, header, want string }{
			{"v1", "PROXY TCP4 192.0.2.7 203.0.113.1 1234 443\r\n", "192.0.2.7:1234 tls=false HTTP/1.1 local=203.0.113.1:443"},
			{"v1 of IPv6", "PROXY TCP6 2001:db8::7 2001:db8::1 1234 443\r\n", "[2001:db8::7]:1234 tls=false HTTP/1.1 local=[2001:db8::1]:443"},
			{"v1, unknown", "PROXY UNKNOWN\r\n", "127.0.0.1:"},
			{"v2", v2, "192.0.2.7:1234 tls=false HTTP/1.1 local=203.0.113.1:443"},
			{"v2, local", "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00", "127.0.0.1:"},
			{"none", "", ""},
			{"cut", "PROXY TCP4 192.0.2.7", ""},
			{"too long", "PROXY TCP4 " + strings.Repeat("1", 200) + "\r\n", ""},
			{"nonsense", "PROXY TCP4 a b c d\r\n", ""},
			{"v2, cut", v2[:20], ""},
		}
		for _, test := range tests {
			send := test.header + request
			if strings.Contains(test.name, "cut") {
				send = test.header
			}
			answer := answerTo(t, addrs[0].String(), send)
			want := test.want
			if trusted == "10.0.0.0/8" {
				want = ""
			}
			if want == "" && strings.Contains(answer, " 200 ") || want != "" && !strings.Contains(answer, "\r\n\r\n"+want) {
				t.Errorf("%s, trusting %s: %q", test.name, trusted, answer)
			}
		}
	}
}

// TestPROXYProtocolThenTLS: the header comes first, in the clear.
func TestPROXYProtocolThenTLS(t *testing.T) {
	cert, key := writeCertificate(t, t.TempDir(), "localhost")
	addrs := openTestFronts(t, FrontOptions{
		HTTPS: []string{"127.0.0.1:0"}, TLSCert: cert, TLSKey: key,
		ProxyProtocol: []string{"127.0.0.1:0"}, TrustedProxies: []string{"127.0.0.1"},
	}, nil, sayPeer)
	raw, err := net.Dial("tcp", addrs[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	io.WriteString(raw, "PROXY TCP4 192.0.2.7 203.0.113.1 1234 443\r\n")
	conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.Contains(string(answer), "192.0.2.7:1234 tls=true") {
		t.Errorf("%q, %v", answer, err)
	}
}
