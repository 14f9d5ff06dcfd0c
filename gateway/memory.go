package gateway

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// A groupProcess is a process with its resident set.
type groupProcess struct {
	pid      int
	resident int64 // bytes
}

// processesByGroup finds the processes of each process group, which has the
// number of its first: a stock scgi_server answers in children that it forks.
func processesByGroup() map[int][]groupProcess {
	paths, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil
	}
	groups := map[int][]groupProcess{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// proc(5): the name is in parentheses, and may have some in it.
		end := bytes.LastIndexByte(data, ')')
		fields := bytes.Fields(data[end+1:])
		if len(fields) < 22 {
			continue
		}
		pid, _ := strconv.Atoi(string(data[:bytes.IndexByte(data, ' ')]))
		group, _ := strconv.Atoi(string(fields[2]))
		pages, _ := strconv.ParseInt(string(fields[21]), 10, 64)
		groups[group] = append(groups[group], groupProcess{pid, pages * int64(os.Getpagesize())})
	}
	return groups
}

// residentBytes adds up what processes occupy.
func residentBytes(processes []groupProcess) (sum int64) {
	for _, p := range processes {
		sum += p.resident
	}
	return sum
}

// privateBytes adds up what memory processes share with no other.
func privateBytes(processes []groupProcess) (sum int64) {
	for _, p := range processes {
		sum += privateOf(p.pid)
	}
	return sum
}

// privateOf reads what memory a process shares with no other, the Private
// lines of proc(5), smaps_rollup: of a forked worker, what it has added to the
// preloaded application. 0 when it has gone. The kernel walks all of the
// process's pages for it.
func privateOf(pid int) int64 {
	file, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	defer file.Close()
	var kilobytes int64
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var kind string
		var n int64
		if _, err := fmt.Sscanf(lines.Text(), "Private_%s %d kB", &kind, &n); err == nil {
			kilobytes += n
		}
	}
	return kilobytes << 10
}
