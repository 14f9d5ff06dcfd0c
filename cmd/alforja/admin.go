package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"alforja/gateway"
)

// adminVariable names the admin address for commands that get none.
const adminVariable = "ALFORJA_ADMIN"

// adminClient speaks to a running gateway's admin address.
type adminClient struct {
	address string
	client  http.Client
}

func newAdminClient(address string) (*adminClient, error) {
	if address == "" {
		address = os.Getenv(adminVariable)
	}
	if address == "" {
		return nil, usageError{fmt.Errorf("which gateway? Give --admin ADDRESS, as its own --admin has it, or set %s", adminVariable)}
	}
	network, place, err := gateway.ParseAddress(address)
	if err != nil {
		return nil, usageError{err}
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, place)
	}
	return &adminClient{address: address, client: http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
}

// do sends a request and returns the answer's body. An answer that is no
// success is an error with its text.
func (c *adminClient) do(ctx context.Context, method, path string) ([]byte, error) {
	// Over TCP the gateway answers only those who ask for this machine.
	request, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := c.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no gateway answers at %s: %w", c.address, errors.Unwrap(err))
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.address, err)
	}
	if answer.StatusCode >= 400 {
		return nil, errors.New(strings.TrimSpace(string(body)))
	}
	return body, nil
}

// adminCommand makes a command that speaks to a running gateway.
func adminCommand(use, short, long, example string, run func(cmd *cobra.Command, c *adminClient) error) *cobra.Command {
	var address string
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Example: example, Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := newAdminClient(address)
			if err != nil {
				return err
			}
			return run(cmd, c)
		},
	}
	cmd.Flags().StringVar(&address, "admin", "", "the gateway's admin `address` (default: $"+adminVariable+")")
	return cmd
}

func statusCommand() *cobra.Command {
	var asJSON bool
	cmd := adminCommand("status", "Say how a running gateway is",
		`status asks a running gateway for its pools, their queues and their workers.

The exit code is 1 when the gateway should get no requests: it drains, has no
worker that can answer, or its session store fails.`,
		"  alforja status --admin unix:/run/alforja/admin.sock\n  alforja status --admin 127.0.0.1:9000 --json | jq .pools",
		func(cmd *cobra.Command, c *adminClient) error {
			body, err := c.do(cmd.Context(), http.MethodGet, "/status")
			if err != nil {
				return err
			}
			if asJSON {
				if _, err := cmd.OutOrStdout().Write(body); err != nil {
					return err
				}
			} else if err := printStatus(cmd.OutOrStdout(), body); err != nil {
				return err
			}
			if _, err := c.do(cmd.Context(), http.MethodGet, "/readyz"); err != nil {
				return fmt.Errorf("not ready: %w", err)
			}
			return nil
		})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what GET /status answers")
	return cmd
}

func printStatus(to io.Writer, body []byte) error {
	var status gateway.Status
	if err := json.Unmarshal(body, &status); err != nil {
		return fmt.Errorf("the gateway's answer: %w", err)
	}
	state := "running"
	if status.Draining {
		state = "draining"
	}
	fmt.Fprintf(to, "%s since %s, pid %d\n", state, status.Started.Local().Format(time.DateTime), status.PID)
	for _, p := range status.Pools {
		count := map[gateway.WorkerState]int{}
		for _, w := range p.Workers {
			count[w.State]++
		}
		fmt.Fprintf(to, "pool %s%s: %d workers", p.Prefix, strings.TrimSuffix(" ("+p.Name+")", " ()"), len(p.Workers))
		for _, s := range []gateway.WorkerState{gateway.Idle, gateway.Busy, gateway.Starting, gateway.Draining, gateway.Dead} {
			if count[s] > 0 {
				fmt.Fprintf(to, ", %d %s", count[s], s)
			}
		}
		fmt.Fprintf(to, "; %d requests wait\n", p.Waiting)
	}
	return nil
}

func workersCommand() *cobra.Command {
	var asJSON bool
	cmd := adminCommand("workers", "List the workers of a running gateway",
		`workers lists the workers of a running gateway: what each is at, the requests that
it was given, its process, how many MiB of memory that and what it has forked occupy,
how many of them are its own (a worker that --preload has forked shares the rest),
and why one that is dead is.`,
		"  alforja workers --admin unix:/run/alforja/admin.sock\n  alforja workers --admin unix:/run/alforja/admin.sock --json",
		func(cmd *cobra.Command, c *adminClient) error {
			body, err := c.do(cmd.Context(), http.MethodGet, "/status")
			if err != nil {
				return err
			}
			var status gateway.Status
			if err := json.Unmarshal(body, &status); err != nil {
				return fmt.Errorf("the gateway's answer: %w", err)
			}
			if asJSON {
				lines := json.NewEncoder(cmd.OutOrStdout())
				for _, p := range status.Pools {
					for _, w := range p.Workers {
						if err := lines.Encode(w); err != nil {
							return err
						}
					}
				}
				return nil
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintln(table, "worker\tstate\tbusy\trequests\tpid\tMiB\town\t  reason")
			for _, p := range status.Pools {
				for _, w := range p.Workers {
					reason := strings.TrimSuffix("  "+w.Reason, "  ")
					process := "-\t-\t-" // a backend's, of which nothing is known
					if w.PID > 0 {
						process = fmt.Sprintf("%d\t%.1f\t%.1f", w.PID, mebibytes(w.Resident), mebibytes(w.Private))
					}
					fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\t%s\n", w.Name, w.State, w.Busy, w.Requests, process, reason)
				}
			}
			return table.Flush()
		})
	cmd.Flags().BoolVar(&asJSON, "json", false, "print an object a line")
	return cmd
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

func reloadCommand() *cobra.Command {
	return adminCommand("reload", "Have a running gateway read its configuration again",
		`reload has a running gateway read its configuration again and replace its workers:
the new ones are up before the old ones finish what they are at. When the
configuration is wrong, or the new workers do not start, everything stays as it
was and the exit code is 1. SIGHUP does the same, but tells only the log.

Where a gateway listens, its store and a few other keys need a restart: when they
have changed, the log names them. docs/configuration.md has the list.`,
		"  alforja reload --admin unix:/run/alforja/admin.sock",
		func(cmd *cobra.Command, c *adminClient) error {
			_, err := c.do(cmd.Context(), http.MethodPost, "/reload")
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), "reloaded")
			}
			return err
		})
}

func drainCommand() *cobra.Command {
	return adminCommand("drain", "Have a running gateway finish its requests and end",
		"drain has a running gateway take no further connections, finish the requests that\nrun, for at most its --drain-timeout, and end, as SIGTERM does.",
		"  alforja drain --admin unix:/run/alforja/admin.sock",
		func(cmd *cobra.Command, c *adminClient) error {
			_, err := c.do(cmd.Context(), http.MethodPost, "/drain")
			if err == nil {
				fmt.Fprintln(cmd.OutOrStdout(), "draining")
			}
			return err
		})
}
