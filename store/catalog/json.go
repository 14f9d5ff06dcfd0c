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
	fields := struct {
		ID       string  `json:"id"`
		User     *string `json:"user"`
		Class    *string `json:"class"`
		Protocol *int    `json:"protocol"`
		Size     int64   `json:"size"`
		Modified *string `json:"modified"`
		Created  *string `json:"created"`
		Error    string  `json:"error,omitempty"`
	}{
		ID: e.ID, User: known(e.User), Class: known(e.Class), Size: e.Size,
		Modified: known(timeText(e.Modified)), Created: known(timeText(e.Created)),
	}
	if e.Protocol >= 0 {
		fields.Protocol = &e.Protocol
	}
	if e.Err != nil {
		fields.Error = e.Err.Error()
	}
	return MarshalLine(fields)
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

func known(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// timeText is RFC 3339 with all the digits that t has, or "" for the zero time.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
