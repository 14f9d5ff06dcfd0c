package gateway

import (
	"testing"
	"time"
)

// What a worker printed long before its end, about another request say, does
// not explain that.
func TestLastWordsAreRecent(t *testing.T) {
	now := time.Now()
	last := lastLines{lines: []printedLine{
		{"an earlier request's traceback", now.Add(-keepTime)},
		{"Fatal Python error", now.Add(-keepTime / 2)},
		{"Aborted", now},
	}}
	if got, want := last.text(), "Fatal Python error\nAborted"; got != want {
		t.Errorf("last words %q, want %q", got, want)
	}
}
