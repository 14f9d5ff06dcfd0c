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

	"github.com/spf13/pflag"

	"alforja/gateway"
)

// caught has a signal sent to a channel. It is caught until the program ends:
// once a gateway drains, what would end it by default must not.
func caught(sig os.Signal) <-chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, sig)
	return signals
}

// A serving is a gateway at work, with what it was started by.
type serving struct {
	gateway  *gateway.Gateway
	settings *settings // of the start
	access   *accessLog
	logger   *slog.Logger
	logTo    io.Writer // that logger writes to
}

// onSignal does something at each of the signals, until ctx ends.
func (s *serving) onSignal(ctx context.Context, signals <-chan os.Signal, do func()) {
	for sig := range signals {
		if ctx.Err() != nil {
			s.logger.Warn("signal ignored: the gateway is stopping", "signal", sig.String())
			continue
		}
		do()
	}
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
		access, err = now.openAccessLog(s.logger, s.logTo, s.settings.logFormat)
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

// handOver has the program, as it is on the disk by now, take over.
func (s *serving) handOver(ctx context.Context) {
	program, err := exec.LookPath(os.Args[0])
	if err == nil {
		err = s.gateway.Handover(ctx, append([]string{program}, os.Args[1:]...))
	}
	if err != nil {
		s.logger.Error("not replaced, everything stays as it was", "err", err)
	}
}
