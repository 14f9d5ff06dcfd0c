package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// mayAsk returns the error of a command that needs a yes, has no --yes, and
// has nobody to ask.
func (o *operator) mayAsk(cmd *cobra.Command) error {
	if o.yes || canAsk(cmd) {
		return nil
	}
	return usageError{fmt.Errorf("%s changes sessions and there is no terminal to ask at: give --yes", nameOf(cmd))}
}

func canAsk(cmd *cobra.Command) bool {
	in, ok := cmd.InOrStdin().(*os.File)
	return ok && isTerminal(in) && isTerminal(cmd.ErrOrStderr())
}

// confirm says what is about to be done and waits for a yes.
func (o *operator) confirm(cmd *cobra.Command, what string) error {
	if o.yes {
		return nil
	}
	if err := o.mayAsk(cmd); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s Go on? [y/N] ", what)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case text := <-answer:
		if text == "y" || text == "yes" {
			return nil
		}
		return errors.New("nothing was changed")
	case <-cmd.Context().Done(): // the reader ends with the program
		fmt.Fprintln(cmd.ErrOrStderr())
		return errors.New("interrupted: nothing was changed")
	}
}

// progress shows on a terminal how far a job is. On anything else, and as a
// nil pointer, it shows nothing.
type progress struct {
	to          io.Writer
	total, done int // sessions; a total of 0 is not known
	start, last time.Time
	shown       bool
}

// newProgress returns nil where standard error is no terminal. What prints on
// the way clears the line first: standard output may be the same terminal.
func newProgress(cmd *cobra.Command, total int) *progress {
	if !isTerminal(cmd.ErrOrStderr()) {
		return nil
	}
	now := time.Now()
	return &progress{to: cmd.ErrOrStderr(), total: total, start: now, last: now}
}

// step counts one session.
func (p *progress) step() {
	if p == nil {
		return
	}
	p.at(p.done + 1)
}

// at says how many sessions are done with.
func (p *progress) at(done int) {
	p.done = max(done, 0)
	now := time.Now()
	if now.Sub(p.last) < 200*time.Millisecond {
		return
	}
	p.last, p.shown = now, true
	fmt.Fprintf(p.to, "\r\x1b[K%s", p.line(now.Sub(p.start)))
}

// line is what is shown after a time.
func (p *progress) line(elapsed time.Duration) string {
	rate := float64(p.done) / max(elapsed.Seconds(), 1e-3)
	text := fmt.Sprintf("%d sessions, %.0f a second", p.done, rate)
	if p.total == 0 {
		return text + ", " + elapsed.Round(time.Second).String()
	}
	const width = 20
	part := min(float64(p.done)/float64(p.total), 1)
	filled := int(part * width)
	left := time.Duration(float64(max(p.total-p.done, 0)) / max(rate, 1e-3) * float64(time.Second))
	return fmt.Sprintf("[%s%s] %3.0f %%, %s, %s left", strings.Repeat("#", filled), strings.Repeat(".", width-filled),
		100*part, text, left.Round(time.Second))
}

// clear takes the progress line away, for another line or at the end.
func (p *progress) clear() {
	if p != nil && p.shown {
		fmt.Fprint(p.to, "\r\x1b[K")
		p.shown = false
	}
}

// complain prints what is wrong with one session.
func complain(cmd *cobra.Command, p *progress, place string, err error) {
	p.clear()
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", place, printable(err.Error()))
}
