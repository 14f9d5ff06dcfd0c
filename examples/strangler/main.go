// Strangler is a small shop on its way from Python to Go, page by page, with
// its visitors logged in and their carts full throughout. Step 1 is all
// Quixote, step 5 all Go. README.md walks through it.
//
//	go run ./examples/strangler -step 3 -python .venv/bin/python
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"alforja/gateway"
	"alforja/store/directory"
)

// moved are the paths whose pages move to Go, one with each step.
var moved = []string{"/catalogue/", "/cart/", "/checkout/", "/"}

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		slog.Error("ended", "err", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	step := flag.Int("step", 1, "how far the move has come, 1 to 5")
	address := flag.String("http", "localhost:8080", "where to listen")
	store := flag.String("store", "sessions", "the sessions' directory")
	python := flag.String("python", "python3", "a Python with alforja, quixote and session3")
	source := flag.String("source", "examples/strangler", "where the Python half and the style sheet are")
	worker := flag.Bool("worker", false, "be a worker of alforja serve for the pages that have moved")
	flag.Parse()
	if *step < 1 || *step > len(moved)+1 {
		return fmt.Errorf("there is no step %d", *step)
	}
	sessions, err := shopSessions()
	if err != nil {
		return err
	}
	if *worker {
		return gateway.ServeWorker(ctx, pages(), gateway.WorkerOptions{Sessions: sessions})
	}

	kept, err := directory.Open(*store, directory.Options{Create: true})
	if err != nil {
		return err
	}
	defer kept.Close()
	sessions.Store = kept
	dir, err := filepath.Abs(*source)
	if err != nil {
		return err
	}
	options := gateway.Options{
		FrontOptions: gateway.FrontOptions{HTTP: []string{*address}},
		Sessions:     sessions,
		Static:       map[string]string{"/static": filepath.Join(dir, "static")},
		Handlers:     map[string]http.Handler{},
	}
	inGo := pages()
	for _, path := range moved[:*step-1] {
		options.Handlers[path] = inGo
	}
	if *step <= len(moved) { // something is left for Python
		options.Pools = []gateway.WorkerPool{{Supervised: gateway.SupervisorOptions{
			Command: []string{*python, "-m", "alforja.worker", "--factory", "app.create_publisher"},
			Process: gateway.ProcessOptions{Env: []string{"PYTHONPATH=" + filepath.Join(dir, "python")}},
		}}}
	}
	g, err := gateway.New(ctx, options)
	if err != nil {
		return err
	}
	return g.Run(ctx)
}
