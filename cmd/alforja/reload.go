package main

import (
	"context"
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

// reload has fresh workers started by the settings as they are now. When those
// are wrong, or the workers do not start, the old ones stay. Which other
// settings have changed since the start is logged: they take a restart.
func (s *settings) reload(ctx context.Context, g *gateway.Gateway, again func() (*settings, error), logger *slog.Logger) error {
	logger.Info("reloading")
	now, err := again()
	if err == nil {
		err = now.reloadInto(ctx, g)
	}
	if err != nil {
		logger.Error("not reloaded, everything stays as it was", "err", err)
		return err
	}
	logger.Info("reloaded")
	if keys := s.restartKeys(now); len(keys) > 0 {
		logger.Warn("these settings have changed and take a restart, or SIGUSR2", "keys", keys)
	}
	return nil
}

func (s *settings) reloadInto(ctx context.Context, g *gateway.Gateway) error {
	if err := s.check(); err != nil {
		return err
	}
	pools, err := s.workerPools()
	if err != nil {
		return err
	}
	return g.Reload(ctx, pools)
}

// reloadable are the flags that gateway.Gateway.Reload applies.
var reloadable = []string{
	"backend", "workers", "min-workers", "spare-workers", "preload", "worker-idle", "worker-max-requests", "worker-max-age",
	"worker-max-memory", "worker-start-timeout", "worker-dir", "worker-env", "worker-group", "worker-umask", "worker-limit",
}

// restartKeys lists the keys that differ and are not reloadable.
func (s *settings) restartKeys(now *settings) []string {
	found := map[string]bool{}
	compare := func(before, after *pflag.FlagSet) {
		after.VisitAll(func(f *pflag.Flag) {
			if before.Lookup(f.Name).Value.String() != f.Value.String() && !slices.Contains(reloadable, f.Name) {
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
