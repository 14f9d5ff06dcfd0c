package gateway

import "strings"

// SessionCookie says how Go handlers set the session cookie. Give it what
// Quixote's configuration has (session_cookie_...), so that both sides set the
// same cookie: two of one name with different paths are two cookies.
type SessionCookie struct {
	// Path. Default: "/"; Quixote's is SCRIPT_NAME and a slash.
	Path string
	// Domain. Default: none, the host alone.
	Domain string
	// Secure has it sent over HTTPS only. Default: false, as in
	// quixote.config.
	Secure bool
	// HTTPOnly hides it from scripts. Default: false, as in quixote.config.
	HTTPOnly bool
	// SameSite is Lax, Strict or None. Default: none is said.
	SameSite string
}

// set returns the Set-Cookie line by which a session's cookie is set.
func (c SessionCookie) set(name, id string) string { return c.line(name, id, "") }

// revoke returns the line that takes it away.
func (c SessionCookie) revoke(name string) string { return c.line(name, "", "max-age=0") }

// line writes what session3's _set_cookie has Quixote's
// HTTPResponse._gen_cookie_headers write: the value in quotes, then the
// attributes in this order. Ids hold no quotes to escape.
func (c SessionCookie) line(name, value, maxAge string) string {
	var line strings.Builder
	line.WriteString(name + `="` + value + `"`)
	if c.Domain != "" {
		line.WriteString("; domain=" + c.Domain)
	}
	path := c.Path
	if path == "" {
		path = "/"
	}
	line.WriteString("; path=" + path)
	if maxAge != "" {
		line.WriteString("; " + maxAge)
	}
	if c.Secure {
		line.WriteString("; secure")
	}
	if c.HTTPOnly {
		line.WriteString("; httponly")
	}
	if c.SameSite != "" {
		line.WriteString("; samesite=" + c.SameSite)
	}
	return line.String()
}
