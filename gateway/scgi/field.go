package scgi

import (
	"net/textproto"
	"strings"
)

// reserved reports whether a CGI variable's name is one that only NewContext
// may send. Case does not count: a header's does not either.
func reserved(name string) bool {
	const prefix = "ALFORJA_"
	if hasPrefixFold(name, "HTTP_") {
		name = name[len("HTTP_"):]
	}
	return hasPrefixFold(name, prefix)
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// headerKey turns the part of a CGI variable's name after HTTP_ into a key of
// http.Header: "USER_AGENT" into "User-Agent". It returns "" if the result is
// no valid field name.
func headerKey(name string) string {
	if !validToken(name) {
		return ""
	}
	return textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
}

// separator is what joins the values of a repeated header to one (RFC 9110,
// 5.3, and for cookies RFC 6265, 5.4).
func separator(key string) string {
	if key == "Cookie" {
		return "; "
	}
	return ", "
}

// hopByHop reports whether a header, by its canonical key, concerns one
// connection only and is not passed on (RFC 9110, 7.6.1, and the older ones of
// RFC 2616, 13.5.1).
func hopByHop(key string) bool {
	switch key {
	case "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// validToken reports whether s is a token (RFC 9110, 5.6.2), as methods and
// field names are.
func validToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// validFieldValue reports whether s holds no control byte but tabs (RFC 9110,
// 5.5).
func validFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
