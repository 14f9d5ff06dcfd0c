package gateway

import "strings"

// maxCookieBackslashes bounds what Quixote's cookie expression is made to
// backtrack over. An unclosed quoted value is tried in 2^n ways, n being the
// backslashes in it: 24 of them keep a worker busy for two seconds, a header
// of 8,000 bytes for ever.
const maxCookieBackslashes = 8

// A cookie is one match of Quixote's cookie expression.
type cookie struct {
	name, value string
	start, end  int // the bytes of the header that it takes, separator included
}

// A cookieHeader is a Cookie header as Quixote reads it.
type cookieHeader struct {
	text        string
	cookies     []cookie
	backslashes int // see maxCookieBackslashes
}

// parseCookies finds the cookies in text, the value of a Cookie header, just
// as quixote.http_request.parse_cookies does: commas separate as semicolons
// do, quoted values are unescaped, names that begin with '$' are left out. It
// is not net/http's parser, because two parsers that disagree about one header
// are a hole: the gateway would check one session and the worker open another.
func parseCookies(text string) cookieHeader {
	header := cookieHeader{text: text}
	for at := 0; at < len(text); {
		start := at
		for at < len(text) && !isCookieName(text[at]) {
			at++
		}
		nameStart := at
		for at < len(text) && isCookieName(text[at]) {
			at++
		}
		if nameStart == at {
			break
		}
		c := cookie{name: text[nameStart:at], start: start}
		if eq := skipSpace(text, at); eq < len(text) && text[eq] == '=' {
			c.value, at = header.value(skipSpace(text, eq+1))
		}
		at = skipSpace(text, at)
		if at < len(text) && (text[at] == ';' || text[at] == ',') {
			at++
		}
		c.end = at
		if c.name[0] != '$' {
			header.cookies = append(header.cookies, c)
		}
	}
	return header
}

// value reads the value that begins at offset at and returns it with the
// offset behind it.
func (h *cookieHeader) value(at int) (value string, end int) {
	if at < len(h.text) && h.text[at] == '"' {
		closing, backslashes := closingQuote(h.text, at)
		h.backslashes = max(h.backslashes, backslashes)
		if closing >= 0 {
			return unescapeCookie(h.text[at+1 : closing]), closing + 1
		}
	}
	end = at
	for end < len(h.text) && isCookieValue(h.text[end]) {
		end++
	}
	return h.text[at:end], end
}

// closingQuote finds the quote that ends the quoted value opened at
// text[open], or -1. A value that no bare quote ends is ended by its last
// escaped one: that is where the expression's backtracking arrives, after
// trying what stands behind it in 2^backslashes ways.
func closingQuote(text string, open int) (closing, backslashes int) {
	closing = -1
	for at := open + 1; at < len(text); at++ {
		switch text[at] {
		case '"':
			return at, 0
		case '\\':
			if at+1 < len(text) && text[at+1] <= 0x7f {
				at++
				backslashes++
				if text[at] == '"' {
					closing, backslashes = at, 0
				}
			}
		}
	}
	return closing, backslashes
}

// unescapeCookie takes one level of backslashes away, as
// re.sub(r'\\(.)', r'\1') does; its dot does not match a newline.
func unescapeCookie(quoted string) string {
	if strings.IndexByte(quoted, '\\') < 0 {
		return quoted
	}
	var b strings.Builder
	for at := 0; at < len(quoted); at++ {
		if quoted[at] == '\\' && at+1 < len(quoted) && quoted[at+1] != '\n' {
			at++
		} else if quoted[at] == '\\' && at+1 == len(quoted) {
			break // the backslash before the quote that had to end the value
		}
		b.WriteByte(quoted[at])
	}
	return b.String()
}

// get returns the value that Quixote takes the cookie to have: the last one.
func (h cookieHeader) get(name string) (value string, found bool) {
	for i := len(h.cookies) - 1; i >= 0; i-- {
		if h.cookies[i].name == name {
			return h.cookies[i].value, true
		}
	}
	return "", false
}

// without returns the header with every cookie of that name taken out. Where
// that cannot be done so that Quixote no longer sees one, nothing is left.
func (h cookieHeader) without(name string) string {
	var kept []string
	for _, c := range h.cookies {
		if c.name != name {
			kept = append(kept, strings.Trim(h.text[c.start:c.end], " \t;,"))
		}
	}
	rest := strings.Join(kept, "; ")
	if _, still := parseCookies(rest).get(name); still {
		return ""
	}
	return rest
}

// bomb reports whether the header would keep Quixote's parser busy out of all
// proportion; see maxCookieBackslashes.
func (h cookieHeader) bomb() bool { return h.backslashes > maxCookieBackslashes }

func isCookieName(c byte) bool {
	return c != '=' && c != ';' && c != ',' && !isPythonSpace(c)
}

func isCookieValue(c byte) bool {
	return c != '"' && c != ';' && c != ',' && !isPythonSpace(c)
}

// isPythonSpace says what \s matches in a Python string that was decoded from
// Latin-1, as scgi decodes every variable.
func isPythonSpace(c byte) bool {
	return c == ' ' || '\t' <= c && c <= '\r' || 0x1c <= c && c <= 0x1f || c == 0x85 || c == 0xa0
}

func skipSpace(text string, at int) int {
	for at < len(text) && isPythonSpace(text[at]) {
		at++
	}
	return at
}
