package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/activation"

	"alforja/gateway/scgi"
)

// FrontOptions say where and how a Gateway listens for clients. An address is
// host:port, unix:PATH, or systemd:NAME for the sockets that systemd passes under
// that name (FileDescriptorName= in the .socket unit).
type FrontOptions struct {
	// HTTP, HTTPS and SCGI are the addresses to listen at. At least one.
	HTTP, HTTPS, SCGI []string
	// TLSCert and TLSKey are PEM files: the certificate with the chain behind
	// it, and its key. They are read again when they have changed. Required
	// with HTTPS.
	TLSCert, TLSKey string
	// ProxyProtocol are those of HTTP and HTTPS whose connections begin with
	// a header of the PROXY protocol. Only TrustedProxies may connect there.
	ProxyProtocol []string
	// TrustedProxies may say where a request came from: addresses, networks
	// such as 10.0.0.0/8, or "unix". Default: none.
	TrustedProxies []string
	// ForwardedHeader is how they say it. Default: XForwarded.
	ForwardedHeader ForwardedHeader
	// SocketMode is the mode of the Unix sockets; who may write to one may
	// send requests. Default: what the umask leaves of 0777; 0660 with a
	// SocketGroup, 0600 with a SocketOwner alone.
	SocketMode os.FileMode
	// SocketOwner and SocketGroup are whose the Unix sockets are, by name or
	// number. Default: the process's own.
	SocketOwner, SocketGroup string
	// MaxHeader is how long a request's header may be, or the variables of an
	// SCGI request, in bytes. Default: 64 KiB.
	MaxHeader int
	// MaxConnections is how many connections one address serves at a time;
	// more wait. Default: 10,000.
	MaxConnections int
	// HeaderTimeout is how long a request's header may take, from its first
	// byte or the connection's start, TLS included. Default: 10 s.
	HeaderTimeout time.Duration
	// StallTimeout is how long a client may send nothing of a body, and how
	// long it may take for 64 KiB of one that it gets, beyond what the kernel
	// buffers. Default: 1 min.
	StallTimeout time.Duration
	// IdleTimeout is how long a connection is kept for another request.
	// Default: 2 min.
	IdleTimeout time.Duration
}

func (o *FrontOptions) setDefaults() {
	if o.MaxHeader == 0 {
		o.MaxHeader = 64 << 10
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 10_000
	}
	if o.HeaderTimeout == 0 {
		o.HeaderTimeout = 10 * time.Second
	}
	if o.StallTimeout == 0 {
		o.StallTimeout = time.Minute
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 2 * time.Minute
	}
}

// check refuses options that make no fronts.
func (o *FrontOptions) check() error {
	for name, value := range map[string]int64{
		"max header":      int64(o.MaxHeader),
		"max connections": int64(o.MaxConnections),
		"header timeout":  int64(o.HeaderTimeout),
		"stall timeout":   int64(o.StallTimeout),
		"idle timeout":    int64(o.IdleTimeout),
	} {
		if value < 0 {
			return &OptionsError{name + " is negative"}
		}
	}
	addresses := slices.Concat(o.HTTP, o.HTTPS, o.SCGI)
	for _, address := range addresses {
		if _, activated := strings.CutPrefix(address, systemdPrefix); activated {
			continue
		}
		if _, _, err := ParseAddress(address); err != nil {
			return &OptionsError{err.Error()}
		}
	}
	switch {
	case len(addresses) == 0:
		return &OptionsError{"no address to listen at: set http, https or scgi"}
	case len(o.HTTPS) > 0 && (o.TLSCert == "" || o.TLSKey == ""):
		return &OptionsError{"https needs a certificate: set tls-cert and tls-key"}
	case len(o.HTTPS) == 0 && (o.TLSCert != "" || o.TLSKey != ""):
		return &OptionsError{"a certificate without an address: set https"}
	case !slices.Contains([]ForwardedHeader{"", XForwarded, Forwarded}, o.ForwardedHeader):
		return &OptionsError{fmt.Sprintf("forwarded header %q: want %q or %q", o.ForwardedHeader, XForwarded, Forwarded)}
	case len(o.ProxyProtocol) > 0 && len(o.TrustedProxies) == 0:
		return &OptionsError{"the PROXY protocol needs to know who may speak it: set trusted-proxy"}
	}
	for _, address := range o.ProxyProtocol {
		if !slices.Contains(o.HTTP, address) && !slices.Contains(o.HTTPS, address) {
			return &OptionsError{fmt.Sprintf("proxy protocol at %q, which is no address of http or https", address)}
		}
	}
	if _, err := ParseTrustedProxies(o.TrustedProxies); err != nil {
		return &OptionsError{err.Error()}
	}
	if _, err := o.socketAccess(); err != nil {
		return &OptionsError{err.Error()}
	}
	if len(o.HTTPS) > 0 {
		_, err := loadCertificate(o.TLSCert, o.TLSKey, slog.Default())
		return err
	}
	return nil
}

// openFronts opens every address of a generation's options, which are checked.
func (g *Gateway) openFronts(ctx context.Context, by *generation) error {
	o := &by.opts.FrontOptions
	sockets := &socketSource{options: o, inherited: &g.inherited}
	defer sockets.closeRest()
	for _, kind := range []struct {
		name      string
		addresses []string
	}{{"http", o.HTTP}, {"https", o.HTTPS}, {"scgi", o.SCGI}} {
		for _, address := range kind.addresses {
			name := kind.name + " " + address
			listeners, err := sockets.at(ctx, name, address)
			if err != nil {
				return fmt.Errorf("listening for %s: %w", kind.name, err)
			}
			for _, socket := range listeners {
				g.fronts = append(g.fronts, &front{kind: kind.name, name: name, socket: socket, address: address})
			}
		}
	}
	return g.equip(g.fronts, by)
}

// equip gives fronts their servers, by the options of a generation.
func (g *Gateway) equip(fronts []*front, by *generation) error {
	o := &by.opts.FrontOptions
	var cert *certificate
	if len(o.HTTPS) > 0 {
		var err error
		if cert, err = loadCertificate(o.TLSCert, o.TLSKey, g.opts.Logger); err != nil {
			return err
		}
	}
	for _, f := range fronts {
		if !f.isForClients() {
			continue
		}
		f.lent = &lentListener{Listener: f.socket}
		f.listener = f.lent
		if slices.Contains(o.ProxyProtocol, f.address) {
			f.listener = acceptPROXY(f.listener, by.trusted, o.HeaderTimeout)
		}
		var config *tls.Config // one for each server, which changes it
		if f.kind == "https" {
			config = cert.config()
			f.listener = tls.NewListener(f.listener, config)
		}
		f.server = o.server(f.kind, g.handlerOf(f), config, g.opts.Logger)
	}
	return nil
}

func (o *FrontOptions) server(kind string, handler http.Handler, config *tls.Config, logger *slog.Logger) server {
	if kind == "scgi" {
		return &scgi.Server{
			Handler:        handler,
			HeaderTimeout:  o.HeaderTimeout,
			BodyTimeout:    o.StallTimeout,
			WriteTimeout:   o.StallTimeout,
			MaxHeaderBytes: o.MaxHeader,
			MaxConns:       o.MaxConnections,
			Logger:         logger,
		}
	}
	s := httpServer(handler, logger)
	s.ReadHeaderTimeout = o.HeaderTimeout
	s.IdleTimeout = o.IdleTimeout
	s.MaxHeaderBytes = o.MaxHeader
	s.TLSConfig = config // net/http wants it for HTTP/2
	return newPatientServer(s, o.MaxConnections)
}

const systemdPrefix = "systemd:"

// A socketSource opens sockets, or takes those that systemd has opened. It
// follows sd_listen_fds(3).
type socketSource struct {
	options   *FrontOptions
	inherited *inheritance
	activated map[string][]net.Listener // what systemd has passed and nobody has taken; nil before the first look
}

// at returns the listeners of a front: those of the gateway that this one
// replaces, or else one, or as many as systemd has passed under the address's
// name.
func (s *socketSource) at(ctx context.Context, name, address string) ([]net.Listener, error) {
	if listeners, err := s.inherited.takeAll(name); len(listeners) > 0 || err != nil {
		return listeners, err
	}
	return s.open(ctx, address)
}

func (s *socketSource) open(ctx context.Context, address string) ([]net.Listener, error) {
	name, activated := strings.CutPrefix(address, systemdPrefix)
	if !activated {
		access, err := s.options.socketAccess()
		if err != nil {
			return nil, err
		}
		listener, err := listenAs(ctx, address, access)
		return []net.Listener{listener}, err
	}
	if s.activated == nil {
		var err error
		if s.activated, err = activation.ListenersWithNames(); err != nil {
			return nil, err
		}
	}
	listeners := s.activated[name]
	if len(listeners) == 0 {
		return nil, fmt.Errorf("systemd has passed no socket named %q: is FileDescriptorName=%s in the .socket unit?", name, name)
	}
	delete(s.activated, name)
	return listeners, nil
}

// closeRest closes what systemd has passed and no address asks for: clients
// that connect there shall be refused, not left waiting.
func (s *socketSource) closeRest() {
	for _, listeners := range s.activated {
		for _, listener := range listeners {
			listener.Close()
		}
	}
}
