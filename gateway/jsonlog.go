package gateway

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

// accessLines are lines of the log while they are written.
var accessLines = sync.Pool{New: func() any {
	line := make([]byte, 0, 512)
	return &line
}}

// LogJSON has the access log written to w as LogRequests does it by a
// slog.JSONHandler, for a sixth of the processor time. Each line is one Write;
// several may be under way at a time, as an *os.File allows.
func LogJSON(w io.Writer) RequestLog {
	return func(_ context.Context, a *Access) {
		buf := accessLines.Get().(*[]byte)
		defer accessLines.Put(buf)
		line := append((*buf)[:0], `{"time":"`...)
		line = a.Start.Add(a.Duration).AppendFormat(line, time.RFC3339Nano)
		line = append(line, `","level":"INFO","msg":"`+accessMessage+`"`...)
		var attrs [maxAttrs]slog.Attr
		for _, attr := range a.attrs(attrs[:0]) {
			line = append(line, `,"`...)
			line = append(line, attr.Key...)
			line = append(line, `":`...)
			line = appendJSON(line, attr.Value)
		}
		line = append(line, "}\n"...)
		*buf = line
		_, _ = w.Write(line) // there is nowhere to say that it failed
	}
}

func appendJSON(line []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return appendJSONString(line, v.String())
	case slog.KindInt64:
		return strconv.AppendInt(line, v.Int64(), 10)
	case slog.KindFloat64:
		return strconv.AppendFloat(line, v.Float64(), 'f', -1, 64)
	}
	return strconv.AppendBool(line, v.Bool())
}

func appendJSONString(line []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(text) // never fails for a string
			return append(line, quoted...)
		}
	}
	line = append(line, '"')
	line = append(line, text...)
	return append(line, '"')
}
