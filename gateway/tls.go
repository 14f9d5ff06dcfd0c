package gateway

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateCheck is how often, at most, the certificate's files are looked
// at: a stat of both costs microseconds, and handshakes can be many.
const certificateCheck = time.Second

// A certificate is a pair of PEM files that is read again when it has changed.
type certificate struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu      sync.Mutex
	checked time.Time
	seen    [2]fileVersion // at the last look: what the log has been told of
	loaded  [2]fileVersion // what current was made of
	current *tls.Certificate
}

// fileVersion tells one version of a file from another.
type fileVersion struct {
	modified time.Time
	size     int64
}

// loadCertificate reads a certificate, with the chain behind it, and its key.
func loadCertificate(certFile, keyFile string, logger *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, logger: logger}
	seen, err := c.versions()
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate %s with key %s: %w", certFile, keyFile, err)
	}
	c.seen, c.loaded, c.current, c.checked = seen, seen, &pair, time.Now()
	return c, nil
}

func (c *certificate) versions() (v [2]fileVersion, err error) {
	for i, path := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(path)
		if err != nil {
			return v, fmt.Errorf("TLS certificate: %w", err)
		}
		v[i] = fileVersion{info.ModTime(), info.Size()}
	}
	return v, nil
}

// get returns the certificate for a handshake. Files that have changed and are
// no pair are logged, once for each version of them, and the last good pair stays
// in use: whoever replaces two files does so one after the other. They are tried
// again at each look: a chmod that makes them readable changes no version.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.checked) < certificateCheck {
		return c.current, nil
	}
	c.checked = now
	seen, err := c.versions()
	told := seen == c.seen
	c.seen = seen
	if err == nil && seen == c.loaded {
		return c.current, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.certFile, c.keyFile)
	}
	switch {
	case err == nil:
		c.loaded, c.current = seen, &pair
		c.logger.Info("new TLS certificate", "cert", c.certFile, "not_after", pair.Leaf.NotAfter)
	case !told:
		c.logger.Error("new TLS certificate not usable, the old one stays", "cert", c.certFile, "key", c.keyFile, "err", err)
	}
	return c.current, nil
}

// config returns what a listener for HTTPS needs. HTTP/2 is offered first.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		GetCertificate: c.get,
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"h2", "http/1.1"},
	}
}
