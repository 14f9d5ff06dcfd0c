package gateway

import (
	"net/http"
	"strings"
)

// forwardedHops reads the Forwarded header (RFC 7239 section 4). A list that
// breaks its syntax counts from its last well-formed element on: that is the
// one that the nearest proxy has written.
func forwardedHops(header http.Header) []hop {
	var hops []hop
	// Line by line: a quote that a client leaves open must not swallow what
	// the proxy has added.
	for _, line := range header["Forwarded"] {
		for _, element := range splitQuoted(line, ',') {
			h, ok := parseForwarded(element)
			if !ok {
				hops = hops[:0]
				continue
			}
			hops = append(hops, h)
		}
	}
	return hops
}

// parseForwarded reads one element: for=192.0.2.43;proto=https;host=example.org
func parseForwarded(element string) (h hop, ok bool) {
	seen := map[string]bool{}
	for _, pair := range splitQuoted(element, ';') {
		name, value, found := strings.Cut(pair, "=")
		name = strings.ToLower(name)
		if !found || seen[name] { // each at most once
			return hop{}, false
		}
		seen[name] = true
		value, ok := unquote(value)
		if !ok {
			return hop{}, false
		}
		switch name {
		case "for":
			h.client = parseNodePort(value)
		case "proto":
			h.proto = parseProto(value)
		case "host":
			h.host = parseHost(value)
		}
	}
	return h, true
}

// splitQuoted splits a header's value where sep stands outside of quotes, and
// trims the parts.
func splitQuoted(text string, sep byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\' && quoted:
			i++
		case c == sep && !quoted:
			parts = append(parts, strings.Trim(text[start:i], " \t"))
			start = i + 1
		}
	}
	return append(parts, strings.Trim(text[start:], " \t"))
}

// unquote returns the text of a token or of a quoted string (RFC 9110 section
// 5.6.4).
func unquote(value string) (string, bool) {
	if !strings.HasPrefix(value, `"`) {
		return value, value != "" && !strings.ContainsAny(value, "\" \t")
	}
	var b strings.Builder
	for i := 1; i < len(value); i++ {
		switch value[i] {
		case '"':
			return b.String(), i == len(value)-1
		case '\\':
			i++
			if i == len(value) {
				return "", false
			}
		}
		b.WriteByte(value[i])
	}
	return "", false
}
