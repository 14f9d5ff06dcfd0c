package gateway

import (
	"context"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notify tells the service manager what the gateway is at, by sd_notify(3).
// Where there is none, nothing happens.
func notify(logger *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		logger.Warn("service manager not reached", "err", err)
	}
}

// notifyReloading tells the service manager that a reload begins, and returns
// what tells it that the reload has ended.
func notifyReloading(logger *slog.Logger) (done func()) {
	notify(logger, daemon.SdNotifyReloading+"\n"+daemon.SdNotifyMonotonicUsec())
	return func() { notify(logger, daemon.SdNotifyReady) }
}

// feedWatchdog tells the service manager that the gateway is alive, twice in
// each interval that it asks for (WatchdogSec= in the unit), until ctx ends.
// alive is called each time and returns only if it is.
func feedWatchdog(ctx context.Context, logger *slog.Logger, alive func()) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return
	}
	tick := time.NewTicker(interval / 2)
	defer tick.Stop()
	for {
		alive()
		notify(logger, daemon.SdNotifyWatchdog)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// alive returns once every pool can be asked for a worker: the lock that each
// request takes is not stuck.
func (g *Gateway) alive() {
	for _, p := range g.pools {
		p.pool.Status()
	}
}
