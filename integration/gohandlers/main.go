// Gohandlers is a site that is on its way from Python to Go: Quixote workers
// answer all but what is below /go/, with the same sessions.
//
//	gohandlers --http ADDRESS --store DIRECTORY --mode managed|shared --class MODULE.NAME -- COMMAND...
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"alforja/gateway"
	"alforja/pickle"
	"alforja/store/directory"
)

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
	address := flag.String("http", "127.0.0.1:0", "where to listen")
	path := flag.String("store", "", "the sessions' directory")
	mode := flag.String("mode", string(gateway.Managed), `"managed" or "shared"`)
	className := flag.String("class", "session3.Session.Session", "what Go makes new sessions of")
	flag.Parse()

	sessions, err := directory.Open(*path, directory.Options{Create: true})
	if err != nil {
		return err
	}
	defer sessions.Close()
	dot := strings.LastIndexByte(*className, '.')
	if dot < 0 {
		return fmt.Errorf("class %q has no module", *className)
	}
	class := gateway.SessionClass{Import: pickle.Import{Module: (*className)[:dot], Name: (*className)[dot+1:]}}
	if class.Import.Name == "ShopSession" { // what its __init__ sets
		class.Attributes = []pickle.Item{
			{Key: pickle.Str("note"), Value: pickle.Str("")},
			{Key: pickle.Str("counter"), Value: pickle.Int(0)},
			{Key: pickle.Str("cart"), Value: pickle.None{}},
		}
	}
	g, err := gateway.New(ctx, gateway.Options{
		FrontOptions: gateway.FrontOptions{HTTP: []string{*address}},
		Pools:        []gateway.WorkerPool{{Supervised: gateway.SupervisorOptions{Command: flag.Args(), Workers: 4}}},
		Handlers:     map[string]http.Handler{"/go/": pages()},
		Sessions:     gateway.Sessions{Store: sessions, Mode: gateway.Mode(*mode), Class: class},
	})
	if err != nil {
		return err
	}
	return g.Run(ctx)
}
