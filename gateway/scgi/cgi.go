package scgi

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"strconv"
	"strings"
)

// maxInterim is how many 1xx responses may come before the real one.
const maxInterim = 5

// readResponse reads the header of a CGI response (RFC 3875, 6), and returns
// it with a reader of the body that it announces. That reader is r itself
// when the body ends with the connection. Errors are *ResponseError but for
// those of the connection.
//
// A Location without a Status is a redirect by the client, 302; there are no
// local redirects (6.2.2): the worker's answer is all that there is.
func readResponse(r *bufio.Reader, method string, limit int) (*http.Response, io.Reader, error) {
	for range maxInterim + 1 {
		block, err := readHeaderBlock(r, limit)
		if err != nil {
			return nil, nil, err
		}
		resp, err := parseResponse(block)
		if err != nil {
			return nil, nil, err
		}
		switch {
		case resp.StatusCode == http.StatusSwitchingProtocols:
			return nil, nil, badResponse("the worker wants to switch protocols")
		case resp.StatusCode < 200:
			continue
		}
		body, err := frame(resp, r, method)
		if err != nil {
			return nil, nil, err
		}
		removeHopByHop(resp.Header)
		return resp, body, nil
	}
	return nil, nil, badResponse("more than %d interim responses", maxInterim)
}

// readHeaderBlock reads lines up to the first empty one, which is left out.
// Lines may end with CRLF or LF: scripts print either (RFC 3875, 6.2, "NL").
func readHeaderBlock(r *bufio.Reader, limit int) (string, error) {
	buf := buffers.Get().(*[]byte)
	defer putBuffer(buf)
	block := (*buf)[:0]
	lineStart := 0
	for {
		part, err := r.ReadSlice('\n')
		if len(block)+len(part) > limit {
			return "", badResponse("header longer than %d bytes", limit)
		}
		block = append(block, part...)
		*buf = block
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(block) == 0:
			return "", &ResponseError{Err: errNoAnswer}
		case errors.Is(err, io.EOF):
			return "", &ResponseError{Err: errHeaderCut}
		case err != nil && len(block) == 0:
			return "", fmt.Errorf("%w: %w", errNoAnswer, err)
		case err != nil:
			return "", fmt.Errorf("header cut short: %w", err)
		}
		if line := block[lineStart:]; len(line) == 1 || len(line) == 2 && line[0] == '\r' {
			return string(block[:lineStart]), nil
		}
		lineStart = len(block)
	}
}

// parseResponse makes a response of header lines.
func parseResponse(block string) (*http.Response, error) {
	resp := &http.Response{
		Proto:         "HTTP/1.0",
		ProtoMajor:    1,
		ContentLength: -1,
	}
	if block == "" {
		return nil, badResponse("no header")
	}
	if strings.HasPrefix(block, "HTTP/") { // NPH (RFC 3875, 5)
		var line string
		line, block = cutLine(block)
		_, status, _ := strings.Cut(line, " ")
		if err := setStatus(resp, strings.TrimLeft(status, " ")); err != nil {
			return nil, err
		}
	}
	lines := strings.Count(block, "\n")
	resp.Header = make(http.Header, lines)
	values := make([]string, lines) // one allocation for all
	for block != "" {
		var line string
		line, block = cutLine(block)
		name, value, ok := strings.Cut(line, ":")
		if !ok || !validToken(name) {
			return nil, badResponse("malformed header line %.40q", line)
		}
		value, block = unfold(value, block)
		if !validFieldValue(value) {
			return nil, badResponse("control character in the header %.40q", name)
		}
		key := textproto.CanonicalMIMEHeaderKey(name)
		if key == "Status" {
			if err := setStatus(resp, value); err != nil {
				return nil, err
			}
			continue
		}
		if have := resp.Header[key]; have != nil {
			resp.Header[key] = append(have, value)
			continue
		}
		values[0] = value
		resp.Header[key], values = values[:1:1], values[1:]
	}
	if resp.StatusCode == 0 {
		resp.StatusCode = http.StatusOK
		if resp.Header.Get("Location") != "" {
			resp.StatusCode = http.StatusFound
		}
		resp.Status = strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)
	}
	return resp, nil
}

// cutLine cuts the first line off a block in which each is ended.
func cutLine(block string) (line, rest string) {
	line, rest, _ = strings.Cut(block, "\n")
	return strings.TrimSuffix(line, "\r"), rest
}

// unfold trims a value and joins the lines to it that continue it, by one
// blank each (RFC 9112, 5.2).
func unfold(value, block string) (string, string) {
	value = textproto.TrimString(value)
	if !folded(block) {
		return value, block
	}
	parts := []string{value}
	for folded(block) {
		var line string
		line, block = cutLine(block)
		parts = append(parts, textproto.TrimString(line))
	}
	return strings.Join(parts, " "), block
}

func folded(block string) bool {
	return block != "" && (block[0] == ' ' || block[0] == '\t')
}

// setStatus takes "200 OK" or "200" (RFC 3875, 6.3.3).
func setStatus(resp *http.Response, value string) error {
	if resp.StatusCode != 0 {
		return badResponse("two status lines")
	}
	digits, reason, _ := strings.Cut(value, " ")
	code, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || len(digits) != 3 || code < 100 {
		return badResponse("malformed status %.40q", value)
	}
	if !validFieldValue(reason) {
		return badResponse("control character in the status")
	}
	if reason == "" {
		reason = http.StatusText(int(code))
	}
	resp.StatusCode = int(code)
	resp.Status = digits + " " + reason
	return nil
}

// frame finds out where the body of resp ends (RFC 9112, 6.3, whose rules NPH
// scripts and Quixote's streams follow).
func frame(resp *http.Response, r *bufio.Reader, method string) (io.Reader, error) {
	chunked, err := transferCoding(resp.Header["Transfer-Encoding"])
	if err != nil {
		return nil, err
	}
	if lengths := resp.Header["Content-Length"]; len(lengths) > 0 {
		for _, l := range lengths[1:] {
			if l != lengths[0] {
				return nil, badResponse("two different Content-Length headers")
			}
		}
		n, err := parseLength(lengths[0])
		if err != nil {
			return nil, badResponse("Content-Length %w", err)
		}
		resp.Header["Content-Length"] = lengths[:1]
		resp.ContentLength = n
	}
	switch {
	case resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified:
		if resp.StatusCode == http.StatusNoContent {
			resp.Header.Del("Content-Length") // RFC 9110, 8.6
		}
		resp.ContentLength = 0
		return http.NoBody, nil
	case method == http.MethodHead:
		return http.NoBody, nil
	case chunked:
		resp.Header.Del("Content-Length")
		resp.ContentLength = -1
		return httputil.NewChunkedReader(r), nil
	case resp.ContentLength >= 0:
		return &lengthReader{r: r, left: resp.ContentLength}, nil
	}
	return r, nil
}

func transferCoding(values []string) (chunked bool, err error) {
	for _, v := range values {
		switch {
		case strings.EqualFold(v, "identity"):
		case strings.EqualFold(v, "chunked") && !chunked:
			chunked = true
		default:
			return false, badResponse("unknown Transfer-Encoding %.40q", v)
		}
	}
	return chunked, nil
}

// lengthReader reads a body of known length; what comes after is ignored.
type lengthReader struct {
	r    io.Reader
	left int64
}

func (l *lengthReader) Read(p []byte) (int, error) {
	if l.left == 0 {
		return 0, io.EOF
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	switch {
	case l.left == 0:
		err = io.EOF // with the last byte: no need to wait for the worker to close
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// removeHopByHop removes the headers that concern the worker's connection,
// and those that its Connection header names (RFC 9110, 7.6.1).
func removeHopByHop(h http.Header) {
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			h.Del(textproto.TrimString(name))
		}
	}
	for key := range h {
		if hopByHop(key) {
			delete(h, key)
		}
	}
}
