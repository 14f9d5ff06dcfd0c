package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"alforja/gateway"
)

func demoCommand() *cobra.Command {
	s := settings{pool: defaultPool()}
	var host, python string
	var port int
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the demonstration application",
		Long: `demo serves a small Quixote application over HTTP: log in, count, log out,
over several worker processes, with sessions in files that session3 reads too.
Its sessions outlive it: start it again and you are still logged in.

It needs a Python with the packages alforja, quixote and session3.`,
		Example: "  alforja demo\n  alforja demo --host 0.0.0.0 --port 9000 --python .venv/bin/python3",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkPython(python); err != nil {
				return err
			}
			if s.store == "" {
				cache, err := os.UserCacheDir()
				if err != nil {
					return fmt.Errorf("no place for the demo's sessions: %w; give --store directory:PATH", err)
				}
				home := filepath.Join(cache, "alforja-demo")
				if err := os.MkdirAll(home, 0o700); err != nil {
					return err
				}
				s.store = "directory:" + filepath.Join(home, "sessions")
			}
			s.mode = "managed"
			s.http = []string{net.JoinHostPort(host, strconv.Itoa(port))}
			s.pool.command = []string{python, "-m", "alforja.worker", "--factory", "alforja.demo.create_publisher"}
			return serve(cmd.Context(), &s, cmd.ErrOrStderr(), nil, func(g *gateway.Gateway) {
				_, listening, _ := net.SplitHostPort(g.Addrs()[0].String())
				fmt.Fprintf(cmd.OutOrStdout(), "Open http://%s/ in a browser. Sessions are in %s. Ctrl-C ends it.\n",
					net.JoinHostPort(host, listening), s.store)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&host, "host", "localhost", "host name or address to listen at")
	flags.IntVar(&port, "port", 8080, "port to listen at; 0 takes a free one")
	flags.StringVar(&python, "python", "python3", "Python `interpreter` to run the application with")
	addSharedFlags(flags, &s)
	s.flags = flags
	return cmd
}

// checkPython tells early, and in one line, what a worker would say in a
// traceback.
func checkPython(python string) error {
	output, err := exec.Command(python, "-c", "import alforja.demo").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s cannot run the demo (%w): it needs the packages alforja, quixote and session3; `make demo` in the source tree installs them\n%s", python, err, output)
	}
	return nil
}
