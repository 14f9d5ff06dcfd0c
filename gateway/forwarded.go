package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"alforja/gateway/scgi"
)

// ForwardedHeader says in which headers the proxies before the gateway tell
// where a request came from. Only one kind is read: a proxy that writes one
// passes the other on as its client sent it.
type ForwardedHeader string

const (
	// XForwarded is X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host.
	XForwarded ForwardedHeader = "x-forwarded"
	// Forwarded is the header of RFC 7239.
	Forwarded ForwardedHeader = "forwarded"
)

// TrustedProxies are the peers that are believed when they say where a
// request came from.
type TrustedProxies struct {
	prefixes []netip.Prefix
	unix     bool
}

// ParseTrustedProxies reads addresses (192.0.2.1), networks (192.0.2.0/24) and
// "unix", which stands for every peer on a Unix socket.
func ParseTrustedProxies(texts []string) (*TrustedProxies, error) {
	t := &TrustedProxies{}
	for _, text := range texts {
		if text == "unix" {
			t.unix = true
			continue
		}
		if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
			addr = addr.Unmap()
			t.prefixes = append(t.prefixes, netip.PrefixFrom(addr, addr.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("trusted proxy %q is no address, no network such as 10.0.0.0/8, and not unix", text)
		}
		t.prefixes = append(t.prefixes, prefix.Masked())
	}
	return t, nil
}

// trusts reports whether what an address says is believed.
func (t *TrustedProxies) trusts(addr netip.Addr) bool {
	for _, prefix := range t.prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// trustsPeer is trusts for an http.Request's RemoteAddr. On a Unix socket that
// is "@", "" or, from nginx by SCGI, "unix:".
func (t *TrustedProxies) trustsPeer(remote string) bool {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		if addr, ok := parseNode(host); ok {
			return t.trusts(addr)
		}
		remote = host
	}
	return t.unix && (remote == "" || remote == "@" || remote == "unix" || strings.HasPrefix(remote, "unix:"))
}

// A hop is what one proxy says of the request that it got.
type hop struct {
	client netip.AddrPort // invalid when it does not say, or not in numbers
	proto  string         // "http", "https" or ""
	host   string         // or ""
}

// Handler returns a handler that serves by next. When the peer is trusted, the
// request's RemoteAddr, TLS and Host become those of the client as the header
// has them, and so do REMOTE_ADDR, HTTPS, SERVER_NAME and SERVER_PORT. Of
// several proxies, the last that is not trusted is the client, as with nginx's
// real_ip_recursive. From other peers, and in any case as headers, what they
// say is passed on as it is: an application that reads these headers itself
// sees what it saw before.
func (t *TrustedProxies) Handler(header ForwardedHeader, next http.Handler) http.Handler {
	if len(t.prefixes) == 0 && !t.unix {
		return next
	}
	read := xForwardedHops
	if header == Forwarded {
		read = forwardedHops
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if t.trustsPeer(r.RemoteAddr) {
			r = t.seenFrom(r, read(r.Header))
		}
		next.ServeHTTP(w, r)
	})
}

// seenFrom returns the request as the outermost trusted proxy got it. The hops
// are in the order of the headers: the nearest proxy's is the last.
func (t *TrustedProxies) seenFrom(r *http.Request, hops []hop) *http.Request {
	var seen hop
	for i := len(hops) - 1; i >= 0; i-- {
		h := hops[i]
		if h.proto != "" {
			seen.proto = h.proto
		}
		if h.host != "" {
			seen.host = h.host
		}
		if !h.client.IsValid() {
			break // "unknown", or nonsense: nobody vouches for what is before it
		}
		seen.client = h.client
		if !t.trusts(h.client.Addr()) {
			break
		}
	}
	if seen == (hop{}) {
		return r
	}
	ctx := r.Context()
	if seen.proto != "" || seen.host != "" {
		// The address at which the proxy reached the gateway is none of the
		// client's: the port follows from the host and the scheme.
		ctx = context.WithValue(ctx, http.LocalAddrContextKey, nil)
		ctx = withoutServer(ctx, seen.host != "")
	}
	r = r.WithContext(ctx)
	if seen.client.IsValid() {
		r.RemoteAddr = seen.client.String()
	}
	switch seen.proto {
	case "http":
		r.TLS = nil
	case "https":
		if r.TLS == nil {
			r.TLS = &tls.ConnectionState{HandshakeComplete: true}
		}
	}
	if seen.host != "" {
		r.Host = seen.host
	}
	return r
}

// withoutServer takes out where an SCGI front says that the client came in.
func withoutServer(ctx context.Context, name bool) context.Context {
	env := scgi.Env(ctx)
	if env == nil {
		return ctx
	}
	env = maps.Clone(env)
	delete(env, "SERVER_PORT")
	if name {
		delete(env, "SERVER_NAME")
	}
	return scgi.WithEnv(ctx, env)
}

// xForwardedHops reads X-Forwarded-*. Each proxy appends to -For; -Proto and
// -Host have one value each, or one a proxy.
func xForwardedHops(header http.Header) []hop {
	clients := list(header["X-Forwarded-For"])
	protos := list(header["X-Forwarded-Proto"])
	hosts := list(header["X-Forwarded-Host"])
	hops := make([]hop, max(len(clients), min(1, len(protos)+len(hosts))))
	for i := range hops {
		h := &hops[len(hops)-1-i]
		if i < len(clients) {
			h.client = parseNodePort(clients[len(clients)-1-i])
		}
		if n := len(protos); n > 0 {
			h.proto = parseProto(protos[max(n-1-i, 0)])
		}
		if n := len(hosts); n > 0 {
			h.host = parseHost(hosts[max(n-1-i, 0)])
		}
	}
	return hops
}

// list splits the values of a header at their commas.
func list(values []string) []string {
	var items []string
	for _, value := range values {
		for item := range strings.SplitSeq(value, ",") {
			items = append(items, strings.Trim(item, " \t"))
		}
	}
	return items
}

// parseNodePort reads an address with or without a port. The port is 0 where
// there is none.
func parseNodePort(text string) netip.AddrPort {
	if addr, ok := parseNode(text); ok {
		return netip.AddrPortFrom(addr, 0)
	}
	if withPort, err := netip.ParseAddrPort(text); err == nil && withPort.Addr().Zone() == "" {
		return netip.AddrPortFrom(withPort.Addr().Unmap(), withPort.Port())
	}
	if host, _, err := net.SplitHostPort(text); err == nil { // an obfuscated port: "_gazonk"
		if addr, ok := parseNode(host); ok {
			return netip.AddrPortFrom(addr, 0)
		}
	}
	return netip.AddrPort{}
}

// parseNode reads an address, that of IPv6 with brackets or without.
func parseNode(text string) (netip.Addr, bool) {
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		text = text[1 : len(text)-1]
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return netip.Addr{}, false
	}
	return addr.Unmap(), true
}

func parseProto(text string) string {
	for _, known := range []string{"http", "https"} {
		if strings.EqualFold(text, known) {
			return known
		}
	}
	return ""
}

// parseHost returns a Host header's value, or "" for what is none: it ends up
// in the URLs that the application writes.
func parseHost(text string) string {
	for i := range len(text) {
		switch c := text[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-._~:[]%!$&'()*+;=", c) >= 0: // RFC 3986 section 3.2.2
		default:
			return ""
		}
	}
	return text
}
