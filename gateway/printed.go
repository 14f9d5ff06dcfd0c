package gateway

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"
)

// idsBehind finds session ids that stand behind the name of their cookie: in a
// Cookie header, a Python dict, or the table of an error page, all of which
// Quixote prints (HTTPRequest.dump) when a page fails.
func idsBehind(cookieName string) *regexp.Regexp {
	return regexp.MustCompile(regexp.QuoteMeta(cookieName) + `["']?\s*[=:\s]\s*["']?([A-Za-z0-9_-]{11,128})`)
}

// hideIDs leaves of each id that is found what may be shown of one: whoever
// has all of it has the session.
func hideIDs(found *regexp.Regexp, line []byte) []byte {
	var shown []byte
	end := 0
	for _, at := range found.FindAllSubmatchIndex(line, -1) {
		shown = append(shown, line[end:at[2]]...)
		shown = append(shown, shortID(string(line[at[2]:at[3]]))...)
		shown = append(shown, "..."...)
		end = at[3]
	}
	if end == 0 {
		return line
	}
	return append(shown, line[end:]...)
}

// lastLines keeps the end of what a process has printed.
type lastLines struct {
	mu    sync.Mutex
	lines []printedLine
}

type printedLine struct {
	text string
	at   time.Time
}

const (
	// keepLines is enough for the end of a Python traceback.
	keepLines = 20
	// keepTime is how long before the end of a process its words may have to do with that.
	// What it printed earlier, the error of another request say, does not explain it.
	keepTime = 5 * time.Second
)

// readFrom logs what the process prints, a line at a time. Of what hides finds in
// a line only the beginning is kept.
func (l *lastLines) readFrom(output io.ReadCloser, hides *regexp.Regexp, log *slog.Logger) {
	defer output.Close()
	lines := bufio.NewReaderSize(output, 8<<10)
	for {
		line, _, err := lines.ReadLine()
		if err != nil {
			return
		}
		if hides != nil {
			line = hideIDs(hides, line)
		}
		log.LogAttrs(context.Background(), slog.LevelInfo, "worker says", slog.String("line", string(line)))
		l.mu.Lock()
		if len(l.lines) == keepLines {
			l.lines = l.lines[1:]
		}
		l.lines = append(l.lines, printedLine{string(line), time.Now()})
		l.mu.Unlock()
	}
}

func (l *lastLines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var recent []string
	for _, line := range l.lines {
		if time.Since(line.at) < keepTime {
			recent = append(recent, line.text)
		}
	}
	return strings.Join(recent, "\n")
}
