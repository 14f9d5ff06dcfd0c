package scgi

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

const serverSoftware = "alforja"

// A blockWriter appends the variables of one request to a netstring.
type blockWriter struct {
	buf   []byte
	extra map[string]string // of NewContext, in place of others
	err   error             // the first, after which nothing is added
}

// add appends a variable unless the caller of Transport sends its own.
func (w *blockWriter) add(name, value string) {
	if _, replaced := w.extra[name]; !replaced {
		w.put(name, value)
	}
}

// put appends a variable. A NUL in it, such as "%00" in a path, decoded, would
// end it there, and what follows would be read as variables of the
// attacker's making.
func (w *blockWriter) put(name, value string) {
	switch {
	case w.err != nil:
	case name == "" || strings.IndexByte(name, 0) >= 0:
		w.err = badRequest("invalid variable %.40q", name)
	case strings.IndexByte(value, 0) >= 0:
		w.err = badRequest("NUL in the value of %.40q", name)
	default:
		w.buf = append(w.buf, name...)
		w.buf = append(w.buf, 0)
		w.buf = append(w.buf, value...)
		w.buf = append(w.buf, 0)
	}
}

// addHeader appends a header as an HTTP_* variable (RFC 3875, 4.1.18).
func (w *blockWriter) addHeader(key string, values []string) {
	switch {
	case w.err != nil || len(values) == 0:
		return
	case strings.IndexByte(key, '_') >= 0:
		// "X_User" would become HTTP_X_USER, which is "X-User": a client
		// could forge what the front sets.
		return
	case !validToken(key):
		w.err = badRequest("invalid header name %.40q", key)
		return
	}
	key = textproto.CanonicalMIMEHeaderKey(key)
	if !forwarded(key) {
		return
	}
	start := len(w.buf)
	w.buf = append(w.buf, "HTTP_"...)
	for i := range len(key) {
		c := key[i]
		switch {
		case c == '-':
			c = '_'
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		}
		w.buf = append(w.buf, c)
	}
	if _, replaced := w.extra[string(w.buf[start:])]; replaced {
		w.buf = w.buf[:start]
		return
	}
	w.buf = append(w.buf, 0)
	for i, v := range values {
		if strings.IndexByte(v, 0) >= 0 {
			w.err = badRequest("NUL in the header %.40q", key)
			return
		}
		if i > 0 {
			w.buf = append(w.buf, separator(key)...)
		}
		w.buf = append(w.buf, v...)
	}
	w.buf = append(w.buf, 0)
}

// forwarded reports whether a header, by its canonical key, may go to a
// worker.
//
// Headers that the client's Connection header names are forwarded: removing
// them would let a client take away what the front has vouched for, such as
// X-Forwarded-For (CVE-2022-31813).
func forwarded(key string) bool {
	switch key {
	case "Content-Length", "Content-Type", "Host": // have variables of their own
		return false
	case "Proxy": // httpoxy, CVE-2016-5385
		return false
	}
	return !hopByHop(key) && !strings.HasPrefix(key, "Alforja-")
}

// appendHeader returns the netstring of req's variables, in buf's memory if
// that is large enough; keep is the token of a connection that may be kept, or
// "". Errors are *RequestError.
//
// The numbers are the sections of RFC 3875.
func appendHeader(buf []byte, req *http.Request, length int64, scriptName, keep string) ([]byte, error) {
	ctx := req.Context()
	env := Env(ctx)
	path := req.URL.Path
	if path == "" {
		path = "/"
	}
	script, info, err := splitPath(path, scriptName, env)
	if err != nil {
		return nil, err
	}
	w := &blockWriter{buf: beginNetstring(buf), extra: extra(ctx)}
	w.put("CONTENT_LENGTH", strconv.FormatInt(length, 10)) // 4.1.2; SCGI wants it first
	w.put("SCGI", "1")
	w.add("GATEWAY_INTERFACE", "CGI/1.1") // 4.1.4
	w.add("REQUEST_METHOD", method(req))  // 4.1.12
	w.add("SCRIPT_NAME", script)          // 4.1.13
	w.add("PATH_INFO", info)              // 4.1.5, decoded
	w.add("QUERY_STRING", req.URL.RawQuery)
	w.add("REQUEST_URI", requestURI(req)) // not in the RFC: as the client sent it
	w.add("SERVER_PROTOCOL", "HTTP/1.0")  // 4.1.16; with 1.1, Quixote would send chunks
	w.add("SERVER_SOFTWARE", serverSoftware)
	w.addServer(req, env)
	w.addRemote(req)
	if ct := req.Header["Content-Type"]; len(ct) > 0 {
		w.add("CONTENT_TYPE", ct[0]) // 4.1.3
	}
	if host := host(req); host != "" {
		w.add("HTTP_HOST", host)
	}
	for key, values := range req.Header {
		w.addHeader(key, values)
	}
	// What the front said about the request beyond HTTP: REMOTE_USER (4.1.11),
	// AUTH_TYPE (4.1.1), DOCUMENT_ROOT, SSL_*, an application's own.
	for name, value := range env {
		if !computed(name) {
			w.add(name, value)
		}
	}
	for name, value := range w.extra {
		if name != "CONTENT_LENGTH" && name != "SCGI" && name != keepVariable {
			w.put(name, value)
		}
	}
	if keep != "" {
		w.put(keepVariable, keep)
	}
	if w.err != nil {
		return nil, w.err
	}
	return endNetstring(w.buf), nil
}

// computed reports whether a front's variable is replaced by what the request
// itself says, which a handler in between may have changed, or never forwarded.
func computed(name string) bool {
	switch name {
	case "CONTENT_LENGTH", "SCGI", "GATEWAY_INTERFACE", "REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO",
		"QUERY_STRING", "REQUEST_URI", "SERVER_PROTOCOL", "SERVER_SOFTWARE", "SERVER_NAME", "SERVER_PORT",
		"REQUEST_SCHEME", "HTTPS", "REMOTE_ADDR", "REMOTE_PORT", "CONTENT_TYPE":
		return true
	}
	return strings.HasPrefix(name, "HTTP_") || reserved(name)
}

// addServer says where the client came in. A front knows; otherwise it is the
// name that the client used and the port that it reached.
func (w *blockWriter) addServer(req *http.Request, env map[string]string) {
	scheme, port := "http", "80"
	if req.TLS != nil {
		scheme, port = "https", "443"
		w.add("HTTPS", "on") // Quixote's get_scheme
	}
	w.add("REQUEST_SCHEME", scheme)

	name, hostPort := splitHost(host(req))
	if hostPort != "" {
		port = hostPort
	}
	if local, ok := req.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		port = strconv.Itoa(local.Port)
		if name == "" {
			name = bracket(local.IP.String())
		}
	}
	if v := env["SERVER_NAME"]; v != "" {
		name = v
	}
	if v := env["SERVER_PORT"]; v != "" {
		port = v
	}
	if name == "" {
		name = "localhost" // it must not be missing, and over a Unix socket it is
	}
	w.add("SERVER_NAME", name) // 4.1.14
	w.add("SERVER_PORT", port) // 4.1.15
}

// addRemote says where the client is (4.1.8). REMOTE_PORT is not in the RFC.
func (w *blockWriter) addRemote(req *http.Request) {
	addr, port, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		addr, port = req.RemoteAddr, "" // "@": a Unix socket
	}
	w.add("REMOTE_ADDR", addr)
	if port != "" && port != "0" {
		w.add("REMOTE_PORT", port)
	}
}

// ScriptName returns where the application is mounted, without a slash at the
// end, for a request that came in by a [Server]: the SCRIPT_NAME of its [Env], if
// the path is below that, as [Transport] has it. Of any other request it is "".
func ScriptName(req *http.Request) string {
	script, _, _ := splitPath(req.URL.Path, "", Env(req.Context()))
	return script
}

// splitPath splits a decoded path into SCRIPT_NAME, where the application is
// mounted, and PATH_INFO, which together are the path. What is configured
// counts before what the front says.
func splitPath(path, configured string, env map[string]string) (script, info string, err error) {
	script = configured
	if configured == "" {
		script = env["SCRIPT_NAME"]
	}
	script = strings.TrimRight(script, "/")
	info, below := strings.CutPrefix(path, script)
	if below && (info == "" || info[0] == '/' || script == "") {
		return script, info, nil
	}
	if configured == "" {
		return "", path, nil
	}
	return "", "", &RequestError{Status: http.StatusNotFound, Err: ErrOutsideScriptName}
}

func method(req *http.Request) string {
	if req.Method == "" {
		return http.MethodGet
	}
	return req.Method
}

func host(req *http.Request) string {
	if req.Host == "" {
		return req.URL.Host
	}
	return req.Host
}

// requestURI is the request's target in origin form, as the client spelled it.
func requestURI(req *http.Request) string {
	if strings.HasPrefix(req.RequestURI, "/") || req.RequestURI == "*" {
		return req.RequestURI
	}
	return req.URL.RequestURI()
}

// splitHost splits a Host header; the brackets of an IPv6 address stay, as
// 4.1.14 asks.
func splitHost(host string) (name, port string) {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.HasSuffix(host, "]") {
		return host, ""
	}
	return host[:i], host[i+1:]
}

func bracket(ip string) string {
	if strings.Contains(ip, ":") {
		return "[" + ip + "]"
	}
	return ip
}

var errLengthUnknown = errors.New("the length of the body is not known")

// contentLength returns the length of req's body. SCGI cannot say "unknown".
func contentLength(req *http.Request) (int64, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return 0, nil
	}
	if req.ContentLength == 0 {
		// Unknown for a request made by NewRequest; for a server's it is
		// no body, in a wrapper perhaps.
		switch _, err := io.ReadFull(req.Body, make([]byte, 1)); err {
		case nil: // unknown, that is
		case io.EOF:
			return 0, nil
		default:
			return 0, bodyError(err)
		}
	}
	if req.ContentLength <= 0 {
		return 0, &RequestError{Status: http.StatusLengthRequired, Err: errLengthUnknown}
	}
	return req.ContentLength, nil
}
