package scgi

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// readRequest reads the header of an SCGI request and returns it as a server's
// request, without a body or context, and with its variables. Reserved ones go
// into kept, or nowhere when that is nil. Errors are *RequestError, but for
// those of the connection.
func readRequest(r *bufio.Reader, maxHeaderBytes int, kept map[string]string) (*http.Request, map[string]string, error) {
	block, err := readNetstring(r, maxHeaderBytes)
	if err != nil {
		return nil, nil, err
	}
	env, header, err := parseVariables(block, kept)
	if err != nil {
		return nil, nil, err
	}
	req, err := newRequest(env, header)
	if err != nil {
		return nil, nil, err
	}
	return req, env, nil
}

// parseVariables splits the block of NUL-ended names and values. HTTP_* ones
// go into header too, under their HTTP names.
//
// The specification forbids duplicates; web servers send them. A repeated
// header comes as a duplicate from nginx before 1.23, and "X-User" beside
// "X_User" from lighttpd: values are joined, so that what a client adds never
// hides what the web server vouches for. Of other duplicates (nginx, when a
// scgi_param is set twice) the last counts, as in Python's scgi. HTTP_HOST is one
// of those: web servers refuse a second Host header (RFC 9112, 3.2), and
// Debian's scgi_params set it to $host, which sites with a port set anew.
func parseVariables(block string, kept map[string]string) (env map[string]string, header http.Header, err error) {
	n := strings.Count(block, "\x00") / 2
	env = make(map[string]string, n)
	headers := strings.Count(block, "\x00HTTP_")
	header = make(http.Header, headers+1) // Content-Type may come to it
	values := make([]string, 0, headers)  // one allocation for all
	var declared string                   // HTTP_CONTENT_LENGTH
	for len(block) > 0 {
		name, rest, _ := strings.Cut(block, "\x00")
		value, rest, ended := strings.Cut(rest, "\x00")
		if !ended || name == "" {
			return nil, nil, badRequest("malformed header block")
		}
		block = rest

		field, isHeader := strings.CutPrefix(name, "HTTP_")
		if !isHeader {
			if _, twice := env[name]; twice && name == "CONTENT_LENGTH" {
				return nil, nil, badRequest("CONTENT_LENGTH twice")
			}
			if !reserved(name) {
				env[name] = value
			} else if kept != nil {
				kept[name] = value
			}
			continue
		}
		key := headerKey(field)
		if key == "" || !validFieldValue(value) {
			return nil, nil, badRequest("invalid variable %.40q", name)
		}
		switch {
		case key == "Proxy":
			// httpoxy, CVE-2016-5385: programs take HTTP_PROXY in a CGI
			// environment for the address of a proxy.
			continue
		case key == "Content-Length":
			if declared != "" && declared != value {
				return nil, nil, badRequest("two different Content-Length headers")
			}
			declared = value
			continue
		case key == "Content-Type" || reserved(name) || strings.HasPrefix(key, "Alforja-"):
			continue
		}
		if old, twice := header[key]; twice && key != "Host" {
			value = old[0] + separator(key) + value
		}
		values = append(values, value)
		header[key] = values[len(values)-1 : len(values) : len(values)]
		env[name] = value
	}
	// nginx with scgi_request_buffering off announces only the bytes of the
	// body that it has so far: the upload would be cut.
	if declared != "" && declared != env["CONTENT_LENGTH"] {
		return nil, nil, badRequest("CONTENT_LENGTH differs from the Content-Length header; is scgi_request_buffering off?")
	}
	return env, header, nil
}

// newRequest makes a request of variables, as net/http would have made it had
// the client come directly.
func newRequest(env map[string]string, header http.Header) (*http.Request, error) {
	if env["SCGI"] != "1" {
		return nil, badRequest("SCGI is not 1")
	}
	length, err := parseLength(env["CONTENT_LENGTH"])
	if err != nil {
		return nil, badRequest("CONTENT_LENGTH %w", err)
	}
	method := env["REQUEST_METHOD"]
	if !validToken(method) {
		return nil, badRequest("invalid REQUEST_METHOD")
	}
	u, err := requestURL(env)
	if err != nil {
		return nil, err
	}
	req := &http.Request{
		Method:        method,
		URL:           u,
		Header:        header,
		ContentLength: length,
		RequestURI:    env["REQUEST_URI"],
		Close:         true,
	}
	if req.RequestURI == "" {
		req.RequestURI = u.RequestURI()
	}
	if req.Proto, req.ProtoMajor, req.ProtoMinor, err = protocol(env["SERVER_PROTOCOL"]); err != nil {
		return nil, err
	}
	if host := header["Host"]; host != nil {
		req.Host = host[0]
		delete(header, "Host")
	}
	// The front has decoded it: CONTENT_LENGTH is the truth about the body.
	delete(header, "Transfer-Encoding")
	if ct := env["CONTENT_TYPE"]; ct != "" {
		if !validFieldValue(ct) {
			return nil, badRequest("invalid CONTENT_TYPE")
		}
		header["Content-Type"] = []string{ct}
	}
	if addr := env["REMOTE_ADDR"]; addr != "" {
		port := env["REMOTE_PORT"]
		if port == "" {
			port = "0"
		}
		req.RemoteAddr = net.JoinHostPort(addr, port)
	}
	if secure(env) {
		req.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	return req, nil
}

// requestURL finds the path that the web server means, after its rewrites,
// and the query.
func requestURL(env map[string]string) (*url.URL, error) {
	rawPath, rawQuery, _ := strings.Cut(env["REQUEST_URI"], "?")
	if q, ok := env["QUERY_STRING"]; ok {
		rawQuery = q
	}
	// SCRIPT_NAME and PATH_INFO say what to serve (RFC 3875, 4.1.5). nginx's
	// stock scgi_params have neither, but DOCUMENT_URI. Both are decoded, and
	// both come before REQUEST_URI, in which rewrites (and the access rules
	// that they are part of) do not show.
	path := ""
	if info, ok := env["PATH_INFO"]; ok {
		path = env["SCRIPT_NAME"] + info
	}
	if path == "" {
		path = env["DOCUMENT_URI"]
	}
	if path == "" {
		u, err := url.ParseRequestURI(env["REQUEST_URI"])
		if err != nil {
			return nil, badRequest("no PATH_INFO, no DOCUMENT_URI and no valid REQUEST_URI")
		}
		path = u.Path
		if path == "" && u.Host != "" {
			path = "/" // "GET http://example.com", RFC 9112, 3.2.2
		}
	}
	if path != "*" && !strings.HasPrefix(path, "/") {
		return nil, badRequest("the path does not begin with a slash")
	}
	if strings.IndexByte(path, 0) >= 0 {
		return nil, badRequest("NUL in the path")
	}
	u := &url.URL{Path: path, RawQuery: rawQuery}
	if strings.IndexByte(rawPath, '%') >= 0 {
		// The client's own spelling, where it is one of the same path.
		if same, err := url.PathUnescape(rawPath); err == nil && same == path && rawPath != u.EscapedPath() {
			u.RawPath = rawPath
		}
	}
	return u, nil
}

// protocol parses SERVER_PROTOCOL (RFC 3875, 4.1.16). SCGI itself does not ask
// for it, so it may be missing.
func protocol(s string) (proto string, major, minor int, err error) {
	if s == "" || s == "INCLUDED" {
		s = "HTTP/1.0"
	}
	major, minor, ok := http.ParseHTTPVersion(s)
	if !ok {
		return "", 0, 0, badRequest("invalid SERVER_PROTOCOL")
	}
	return s, major, minor, nil
}

// secure reports whether the client came by TLS: the words are those that
// Quixote knows.
func secure(env map[string]string) bool {
	switch strings.ToLower(env["HTTPS"]) {
	case "on", "yes", "1":
		return true
	}
	return strings.EqualFold(env["REQUEST_SCHEME"], "https")
}

var errNotALength = errors.New("is missing or not a plain decimal number")

// parseLength parses a number of bytes: digits, nothing else.
func parseLength(s string) (int64, error) {
	if s == "" {
		return 0, errNotALength
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, errNotALength
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, errNotALength
	}
	return n, nil
}
