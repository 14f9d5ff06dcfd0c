package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"

	"alforja/gateway/scgi"
)

// LogCombined has the access log written to w in the combined format of
// Apache and nginx, one Write a line:
//
//	192.0.2.7 - sancho [24/Dec/2025:18:00:00 +0100] "GET /page?a=b HTTP/1.1" 200 512 "http://example.org/" "Mozilla/5.0"
//
// The user is the front server's REMOTE_USER. What is not printable ASCII, and
// quotes, are written as \xhh.
func LogCombined(w io.Writer) RequestLog {
	var mu sync.Mutex
	var line []byte
	return func(ctx context.Context, a *Access) {
		mu.Lock()
		defer mu.Unlock()
		r := a.Request
		line = appendWord(line[:0], clientHost(r.RemoteAddr))
		line = append(line, " - "...)
		line = appendWord(line, scgi.Env(ctx)["REMOTE_USER"])
		line = a.Start.AppendFormat(line, " [02/Jan/2006:15:04:05 -0700] \"")
		line = appendField(line, r.Method)
		line = append(line, ' ')
		line = appendField(line, shorten(r.RequestURI, 8192))
		line = append(line, ' ')
		line = appendField(line, r.Proto)
		line = append(line, `" `...)
		line = strconv.AppendInt(line, int64(a.Status), 10)
		line = append(line, ' ')
		line = strconv.AppendInt(line, a.Bytes, 10)
		for _, name := range []string{"Referer", "User-Agent"} {
			line = append(line, ` "`...)
			line = appendField(line, shorten(r.Header.Get(name), 1024))
			line = append(line, '"')
		}
		_, _ = w.Write(append(line, '\n')) // there is nowhere to say that it failed
	}
}

func clientHost(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return host
	}
	return remote
}

// appendWord appends a field that stands without quotes: a blank would end it.
func appendWord(line []byte, text string) []byte { return appendFrom(line, text, ' '+1) }

// appendField appends a field that stands in quotes.
func appendField(line []byte, text string) []byte { return appendFrom(line, text, ' ') }

// appendFrom appends a client's text such that it can end neither its field nor
// its line, or "-" for none. Bytes below first are not left as they are.
func appendFrom(line []byte, text string, first byte) []byte {
	if text == "" {
		return append(line, '-')
	}
	const hex = "0123456789abcdef"
	for i := range len(text) {
		switch c := text[i]; {
		case c < first, c > '~', c == '"', c == '\\':
			line = append(line, '\\', 'x', hex[c>>4], hex[c&15])
		default:
			line = append(line, c)
		}
	}
	return line
}

// traceparent returns the header of that name (W3C Trace Context, section
// 3.2), or "" for one that is malformed: nobody could look for it.
func traceparent(header http.Header) string {
	values := header["Traceparent"]
	if len(values) != 1 {
		return ""
	}
	text := values[0]
	if len(text) < 55 || len(text) > 55 && (text[:2] == "00" || text[55] != '-') || len(text) > 256 {
		return ""
	}
	for i := range 55 {
		c := text[i]
		switch {
		case i == 2 || i == 35 || i == 52:
			if c != '-' {
				return ""
			}
		case '0' <= c && c <= '9', 'a' <= c && c <= 'f':
		default:
			return ""
		}
	}
	return text
}
