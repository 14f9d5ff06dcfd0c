package main

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

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
// are wrong, or the workers do not start, the old ones stay.
func reload(ctx context.Context, g *gateway.Gateway, again func() (*settings, error), logger *slog.Logger) error {
	logger.Info("reloading")
	err := func() error {
		s, err := again()
		if err != nil {
			return err
		}
		pools, err := s.workerPools()
		if err != nil {
			return err
		}
		return g.Reload(ctx, pools)
	}()
	if err != nil {
		logger.Error("not reloaded, everything stays as it was", "err", err)
		return err
	}
	logger.Info("reloaded")
	return nil
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
