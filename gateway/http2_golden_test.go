package gateway

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestGoldenHTTP2 sends what stands in testdata/http2 to the HTTPS front, frame
// by frame, and compares what a worker was asked and what the client was told;
// the files are named by the section of RFC 9113. A stream that is reset must
// not have reached a worker.
//
// A file has paragraphs, each a frame: "HEADERS" or "DATA", and "end" for the
// last one; then a field a line, its name, a blank, its value, or the data. What
// cannot be seen is written as in Go.
func TestGoldenHTTP2(t *testing.T) {
	discard := slog.New(slog.DiscardHandler)
	proxy := &Proxy{Pool: NewPool([]*Worker{newEchoWorker(t)}, PoolOptions{}), Logger: discard}
	var asked, answered atomic.Int32
	t.Cleanup(func() { // when the front has ended
		if asked.Load() != answered.Load() {
			t.Errorf("%d requests were given to a worker, %d of them answered", asked.Load(), answered.Load())
		}
	})
	cert, key := writeCertificate(t, t.TempDir(), "localhost")
	addr := openTestFronts(t, FrontOptions{HTTPS: []string{"127.0.0.1:0"}, TLSCert: cert, TLSKey: key}, nil,
		RefuseMalformed(BufferBodies(1000, nil, discard, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			proxy.ServeHTTP(w, r)
		}))))[0].String()
	golden(t, "testdata/http2/*.h2", 30, func(t *testing.T, file string) string {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		out := append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frame(frameSettings, 0, 0, nil)...)
		for paragraph := range strings.SplitSeq(strings.TrimSpace(string(raw)), "\n\n") {
			out = append(out, parseFrame(t, paragraph)...)
		}
		if _, err := conn.Write(out); err != nil {
			t.Fatal(err)
		}
		said := readStream(t, conn)
		if strings.Contains(said, "REQUEST_METHOD") {
			answered.Add(1)
		}
		return said
	})
}

// The frames and flags of RFC 9113 section 6 that are used here.
const (
	frameData      = 0
	frameHeaders   = 1
	frameReset     = 3
	frameSettings  = 4
	frameGoAway    = 7
	flagEndStream  = 1
	flagEndHeaders = 4
)

func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	header := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	header = binary.BigEndian.AppendUint32(append(header, flags), stream)
	return append(header, payload...)
}

// parseFrame makes a paragraph the frame that it describes, on stream 1.
func parseFrame(t *testing.T, paragraph string) []byte {
	lines := strings.Split(paragraph, "\n")
	kind, end, _ := strings.Cut(lines[0], " ")
	var flags byte
	if end == "end" {
		flags = flagEndStream
	}
	if kind == "DATA" {
		return frame(frameData, flags, 1, []byte(unescape(t, strings.Join(lines[1:], ""))))
	}
	return frame(frameHeaders, flags|flagEndHeaders, 1, fields(t, lines[1:]...))
}

// fields writes fields as RFC 7541 section 6.2.2 has them: literal, not indexed.
func fields(t *testing.T, lines ...string) []byte {
	var block []byte
	for _, line := range lines {
		name, value, _ := strings.Cut(line, " ")
		block = append(block, 0)
		for _, text := range []string{name, value} {
			text = unescape(t, text)
			block = append(append(block, byte(len(text))), text...) // shorter than 127
		}
	}
	return block
}

func unescape(t *testing.T, text string) string {
	s, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return s
}

// readStream reads until stream 1 or the connection ends, and says how.
func readStream(t *testing.T, conn net.Conn) (said string) {
	header := make([]byte, 9)
	for {
		if _, err := io.ReadFull(conn, header); err != nil {
			t.Fatalf("neither answered nor reset: %v\n%s", err, said)
		}
		payload := make([]byte, binary.BigEndian.Uint32(header)>>8)
		if _, err := io.ReadFull(conn, payload); err != nil {
			t.Fatal(err)
		}
		switch header[3] {
		case frameHeaders:
			said += status(payload) + "\n"
		case frameData:
			said += strings.TrimSpace(string(payload)) + "\n"
		case frameReset:
			return said + fmt.Sprintf("reset, error %d\n", binary.BigEndian.Uint32(payload))
		case frameGoAway:
			if code := binary.BigEndian.Uint32(payload[4:]); code != 0 {
				return said + fmt.Sprintf("connection ended, error %d\n", code)
			}
		}
		if header[4]&flagEndStream != 0 && header[3] <= frameHeaders {
			return said
		}
	}
}

// status reads a response's first field, :status, from the table of RFC 7541
// appendix A.
func status(block []byte) string {
	known := map[byte]string{0x88: "200", 0x8c: "400", 0x8d: "404", 0x8e: "500"}
	if text, ok := known[block[0]]; ok {
		return text
	}
	return fmt.Sprintf("another status, %.4x", block)
}
