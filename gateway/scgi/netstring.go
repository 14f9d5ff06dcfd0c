package scgi

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// readNetstring reads one netstring, the length in decimal, a colon, that many
// bytes and a comma, of at most limit bytes. Errors are *RequestError, but for
// those of the connection.
func readNetstring(r *bufio.Reader, limit int) (string, error) {
	n, err := readNetstringLength(r, limit)
	if err != nil {
		return "", err
	}
	var s string
	if n < r.Size() {
		b, err := r.Peek(n)
		if err != nil {
			return "", headerReadError(err)
		}
		s = string(b)
		r.Discard(n)
	} else {
		// Grown as bytes arrive: a length is only a claim.
		var b strings.Builder
		if _, err := io.CopyN(&b, r, int64(n)); err != nil {
			return "", headerReadError(err)
		}
		s = b.String()
	}
	end, err := r.ReadByte()
	if err != nil {
		return "", headerReadError(err)
	}
	if end != ',' {
		return "", badRequest("no comma after the header")
	}
	return s, nil
}

// readNetstringLength reads "123:". No web server sends a sign, blanks or
// leading zeros; what does is no web server.
func readNetstringLength(r *bufio.Reader, limit int) (int, error) {
	n := 0
	for i := 0; ; i++ {
		c, err := r.ReadByte()
		if err != nil {
			return 0, headerReadError(err)
		}
		switch {
		case c == ':' && i > 0:
			return n, nil
		case c < '0' || c > '9':
			return 0, badRequest("the header does not begin with its length")
		case i == 1 && n == 0:
			return 0, badRequest("the header's length has a leading zero")
		}
		if n = n*10 + int(c-'0'); n > limit {
			return 0, &RequestError{
				Status: http.StatusRequestHeaderFieldsTooLarge,
				Err:    errors.New("the header is longer than " + strconv.Itoa(limit) + " bytes"),
			}
		}
	}
}

func headerReadError(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return &RequestError{Status: http.StatusBadRequest, Err: errHeaderCut}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &RequestError{Status: http.StatusRequestTimeout, Err: errors.New("the header took too long")}
	}
	return err
}

// netstringRoom is what beginNetstring leaves free for the length.
const netstringRoom = len("9223372036854775807:")

// beginNetstring starts a netstring in b, whose contents are lost; append its
// bytes, then call endNetstring.
func beginNetstring(b []byte) []byte {
	return append(b[:0], make([]byte, netstringRoom)...)
}

// endNetstring returns the finished netstring, a part of b.
func endNetstring(b []byte) []byte {
	var digits [netstringRoom]byte
	length := append(strconv.AppendInt(digits[:0], int64(len(b)-netstringRoom), 10), ':')
	start := netstringRoom - len(length)
	copy(b[start:], length)
	return append(b, ',')[start:]
}
