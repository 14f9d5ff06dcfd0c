package main

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"alforja/gateway"
)

// reloadOnHangup reloads at each SIGHUP.
func reloadOnHangup(ctx context.Context, reload func(context.Context) error) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			_ = reload(ctx) // it is logged
		}
	}
}

// A serving is a gateway at work, with what it was started by.
type serving struct {
	gateway  *gateway.Gateway
	settings *settings // of the start
	access   *accessLog
	logger   *slog.Logger
	logTo    io.Writer // that logger writes to
}

// reload has the gateway go on by the settings that again returns, with fresh
// workers. When those are wrong, or the workers do not start, all stays as it was.
// Which settings differ that need a restart is logged.
func (s *serving) reload(ctx context.Context, again func() (*settings, error)) error {
	s.logger.Info("reloading")
	var now *settings
	var access *accessLog
	err := s.gateway.Reload(ctx, func() (opts gateway.Options, err error) {
		if now, err = again(); err != nil {
			return opts, err
		}
		if err := now.check(); err != nil {
			return opts, err
		}
		if opts, err = now.options(s.logger); err != nil {
			return opts, err
		}
		opts.AccessLog = s.access.request
		access, err = now.openAccessLog(s.logger, s.logTo)
		return opts, err
	})
	if err != nil {
		if access != nil {
			access.close()
		}
		s.logger.Error("not reloaded, everything stays as it was", "err", err)
		return err
	}
	s.access.become(access)
	s.logger.Info("reloaded")
	if keys := s.settings.restartKeys(now); len(keys) > 0 {
		s.logger.Warn("these keys have changed, which needs a restart, or SIGUSR2", "keys", keys)
	}
	return nil
}

// restartFlags are those that gateway.Gateway.Reload leaves as they were, or
// refuses to change.
var restartFlags = []string{
	"http", "https", "scgi", "proxy-protocol", "socket-mode", "socket-owner", "socket-group", "admin", "admin-profile",
	"store", "durability", "store-mode", "store-owner", "store-group", "store-fan-out", "store-patience", "state-dir", "run-dir",
	"mode", "key-file", "log-format", "worker-user", "name", "prefix",
}

// restartWith are flags that stay as they were while another one does.
var restartWith = map[string]string{"tls-cert": "https", "tls-key": "https", "trusted-proxy": "proxy-protocol"}

// restartKeys lists the keys that differ and need a restart.
func (s *settings) restartKeys(now *settings) []string {
	found := map[string]bool{}
	compare := func(before, after *pflag.FlagSet) {
		differs := func(name string) bool { return before.Lookup(name).Value.String() != after.Lookup(name).Value.String() }
		after.VisitAll(func(f *pflag.Flag) {
			with, depends := restartWith[f.Name]
			if differs(f.Name) && (slices.Contains(restartFlags, f.Name) || depends && differs(with)) {
				found[strings.ReplaceAll(f.Name, "-", "_")] = true
			}
		})
	}
	compare(s.flags, now.flags)
	for i := range now.pools {
		compare(s.pools[i].flags, now.pools[i].flags)
	}
	return slices.Sorted(maps.Keys(found))
}

// handOverOnSignal has the program, as it is on the disk by then, take over at
// SIGUSR2.
func handOverOnSignal(ctx context.Context, g *gateway.Gateway, logger *slog.Logger) {
	replace := make(chan os.Signal, 1)
	signal.Notify(replace, syscall.SIGUSR2)
	defer signal.Stop(replace)
	for {
		select {
		case <-ctx.Done():
			return
		case <-replace:
		}
		program, err := exec.LookPath(os.Args[0])
		if err == nil {
			err = g.Handover(ctx, append([]string{program}, os.Args[1:]...))
		}
		if err == nil {
			return
		}
		logger.Error("not replaced, everything stays as it was", "err", err)
	}
}
