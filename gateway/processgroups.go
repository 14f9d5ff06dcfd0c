package gateway

import (
	"fmt"
	"io"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"syscall"
)

// processGroups has the process groups of the workers killed when the gateway
// is gone, whatever way it went. The parent-death signal reaches a child of
// ours but not what that child has forked; a small process can do it, which
// learns of our end by the end of its standard input.
type processGroups struct {
	mu      sync.Mutex
	pids    map[int]struct{}
	toWatch io.WriteCloser // nil where there is no watcher
	watcher *exec.Cmd
}

// watchScript remembers the last line that it was told. Signals that a
// terminal sends to all of us, and the gateway's own, are not for it.
const watchScript = `trap '' INT TERM HUP QUIT
groups=
while read -r line; do groups=$line; done
[ -z "$groups" ] || kill -s KILL -- $groups`

// watchGroups starts the watcher. Without one, what workers fork may outlive a
// gateway that is killed, which is logged.
func watchGroups(log *slog.Logger) *processGroups {
	g := &processGroups{pids: map[int]struct{}{}, watcher: exec.Command("/bin/sh", "-c", watchScript)}
	g.watcher.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, err := g.watcher.StdinPipe()
	if err == nil {
		err = g.watcher.Start()
	}
	if err != nil {
		log.Warn("no watcher: what workers fork may outlive a gateway that is killed", "err", err)
		return g
	}
	g.toWatch = in
	return g
}

// add has a group killed in time; remove takes that back, soon after the
// group's first process has ended, before its number comes round again.
func (g *processGroups) add(pid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pids[pid] = struct{}{}
	g.tell()
}

func (g *processGroups) remove(pid int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.pids, pid)
	g.tell()
}

// tell sends all groups in one line. g.mu is held.
func (g *processGroups) tell() {
	if g.toWatch == nil {
		return
	}
	var line strings.Builder
	for pid := range g.pids {
		fmt.Fprintf(&line, "-%d ", pid)
	}
	line.WriteByte('\n')
	_, _ = io.WriteString(g.toWatch, line.String()) // without the watcher we go on
}

// close ends the watcher, when no group is left.
func (g *processGroups) close() {
	if g.toWatch != nil {
		g.toWatch.Close()
		_ = g.watcher.Wait()
	}
}
