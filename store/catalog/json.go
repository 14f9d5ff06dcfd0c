package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// MarshalJSON writes e as an object with the keys id, user, class, protocol,
// size (bytes), modified and created (RFC 3339, UTC), and error where there is one. What
// is not known is null, and so is the user None.
func (e Entry) MarshalJSON() ([]byte, error) {
	line := make([]byte, 0, 256)
	for _, field := range []struct{ key, text string }{
		{`{"id":`, e.ID}, {`,"user":`, e.User}, {`,"class":`, e.Class},
	} {
		line = appendKnown(append(line, field.key...), field.text)
	}
	line = append(line, `,"protocol":`...)
	if e.Protocol >= 0 {
		line = strconv.AppendInt(line, int64(e.Protocol), 10)
	} else {
		line = append(line, "null"...)
	}
	line = strconv.AppendInt(append(line, `,"size":`...), e.Size, 10)
	line = appendTimeText(append(line, `,"modified":`...), e.Modified)
	line = appendTimeText(append(line, `,"created":`...), e.Created)
	if e.Err != nil {
		line = appendKnown(append(line, `,"error":`...), e.Err.Error())
	}
	return append(line, '}'), nil
}

// appendKnown appends a string, or null for one that is not known.
func appendKnown(line []byte, text string) []byte {
	if text == "" {
		return append(line, "null"...)
	}
	if isPlain(text) { // a million lines take a tenth less time for it
		return append(append(append(line, '"'), text...), '"')
	}
	quoted, err := MarshalLine(text)
	if err != nil { // there is no string that JSON has no form for
		return append(line, "null"...)
	}
	return append(line, quoted...)
}

// isPlain reports whether JSON has a text as it is.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

func appendTimeText(line []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(line, "null"...)
	}
	line = append(line, '"')
	line = t.UTC().AppendFormat(line, time.RFC3339Nano)
	return append(line, '"')
}

// MarshalLine is json.Marshal with HTML left as it is, and with all that a terminal
// would not print escaped: users choose their names.
func MarshalLine(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, err
	}
	return escapeUnprintable(bytes.TrimSuffix(b.Bytes(), []byte("\n"))), nil
}

// escapeUnprintable escapes characters beyond ASCII, which in JSON stand in
// strings only.
func escapeUnprintable(text []byte) []byte {
	var out []byte
	kept := 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == 0x7f || r > 0x7f && !strconv.IsPrint(r) {
			out = append(out, text[kept:i]...)
			for _, unit := range utf16.Encode([]rune{r}) {
				out = fmt.Appendf(out, `\u%04x`, unit)
			}
			kept = i + size
		}
		i += size
	}
	if out == nil {
		return text
	}
	return append(out, text[kept:]...)
}
