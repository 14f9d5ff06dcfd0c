package gateway

import (
	"net/http"
	"slices"
	"strings"

	"alforja/gateway/scgi"
)

// SessionCookie says how Go handlers set the session cookie. Give it what
// Quixote's configuration has (session_cookie_...), so that both sides set the
// same cookie: two of one name with different paths are two cookies.
type SessionCookie struct {
	// Path. Default: SCRIPT_NAME and a slash, as in Quixote: where the front,
	// and to a worker the gateway, says that the application is mounted.
	Path string
	// Domain. Default: none, the host alone.
	Domain string
	// Secure has it sent over HTTPS only. Default: false, as in
	// quixote.config.
	Secure bool
	// HTTPOnly hides it from scripts. Default: false, as in quixote.config.
	HTTPOnly bool
	// SameSite is Lax, Strict or None. Default: none is said. An application
	// says it by set_session_cookie of its own manager.
	SameSite string
}

// setCookie sets the session's cookie, or takes it away by an empty value and a
// maxAge.
func (s *Session) setCookie(header http.Header, value, maxAge string) {
	sessions, cookie := s.visit.sessions, s.visit.sessions.Cookie
	if cookie.Path == "" {
		cookie.Path = scgi.ScriptName(s.visit.request) + "/"
	}
	header.Add("Set-Cookie", cookie.line(sessions.CookieName, value, maxAge))
}

// takeBack takes the cookie of a session that there is not after all out of a
// worker's response.
func (s *Sessions) takeBack(header http.Header, id string) {
	lines := slices.DeleteFunc(header["Set-Cookie"], func(line string) bool {
		pair, _, _ := strings.Cut(line, ";")
		return pair == s.CookieName+`="`+id+`"`
	})
	if header["Set-Cookie"] = lines; len(lines) == 0 {
		delete(header, "Set-Cookie")
	}
}

// line writes what session3's _set_cookie has Quixote's
// HTTPResponse._gen_cookie_headers write: the value in quotes, then the
// attributes in this order, as they are. Ids hold no quotes to escape.
func (c SessionCookie) line(name, value, maxAge string) string {
	line := name + `="` + value + `"`
	if c.Domain != "" {
		line += "; domain=" + c.Domain
	}
	line += "; path=" + c.Path
	if maxAge != "" {
		line += "; " + maxAge
	}
	if c.SameSite != "" {
		line += "; samesite=" + c.SameSite
	}
	if c.Secure {
		line += "; secure"
	}
	if c.HTTPOnly {
		line += "; httponly"
	}
	return line
}
