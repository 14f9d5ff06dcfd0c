package gateway

import (
	"net/http"
	"strings"
)

// RefuseMalformed returns a handler that answers 400 to requests that no
// application is meant to see: a path that is not absolute (CONNECT) or holds a
// NUL, which would forge variables in the SCGI block; a method that is no token, or
// a host that cannot be one, which net/http refuses in HTTP/1.1 and lets pass in
// HTTP/2. "OPTIONS *" asks the server itself (RFC 9110 section 9.3.7), and is
// answered 200. The connection is closed behind a request whose end another server
// may see elsewhere.
func RefuseMalformed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// net/http hides a Content-Length beside a Transfer-Encoding, and a
		// Transfer-Encoding in HTTP/1.0: a server before us may have seen
		// another end of this request, so what follows it is not trusted.
		if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {
			w.Header().Set("Connection", "close")
		}
		if r.URL.Path == "" && r.Method != http.MethodConnect {
			r.URL.Path = "/" // RFC 9112 section 3.2.2: "GET http://host"
		}
		if r.Method == http.MethodOptions && r.URL.Path == "*" {
			w.WriteHeader(http.StatusOK)
			return
		}
		what := ""
		switch {
		case !strings.HasPrefix(r.URL.Path, "/") || strings.IndexByte(r.URL.Path, 0) >= 0:
			what = "path"
		case strings.ContainsFunc(r.Method, notInToken):
			what = "method"
		case strings.ContainsFunc(r.Host, notInHost):
			what = "host"
		}
		if what != "" {
			w.Header().Set("Connection", "close")
			fail(w, http.StatusBadRequest, "malformed "+what)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// notInToken tells what RFC 9110 section 5.6.2 leaves out of a token.
func notInToken(c rune) bool {
	return !isAlphanumeric(c) && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}

// notInHost tells what RFC 3986 section 3.2.2 leaves out of a host, with its
// port behind it.
func notInHost(c rune) bool {
	return !isAlphanumeric(c) && !strings.ContainsRune("-._~%!$&'()*+,;=:[]", c)
}

func isAlphanumeric(c rune) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
