// Gohandlers is a site that is on its way from Python to Go: Quixote workers
// answer all but what is below /go/, with the same sessions.
//
//	gohandlers --http ADDRESS --store DIRECTORY --mode managed|shared --class MODULE.NAME -- COMMAND...
//	gohandlers --worker --class MODULE.NAME
//
// With --worker it is what is below /go/ alone, for alforja serve to start.
// $COOKIE says how the session cookie is set: SessionCookie in JSON, and Name.
package main

import (
	"context"
	"encoding/json"
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
	worker := flag.Bool("worker", false, "be a worker")
	scgiAddress := flag.String("scgi", "", "where to listen for a front, too")
	mounted := flag.String("script-name", "", "where the application is mounted")
	flag.Parse()

	class, err := classNamed(*className)
	if err != nil {
		return err
	}
	sessions := gateway.Sessions{Mode: gateway.Mode(*mode), Class: class}
	if sessions.CookieName, sessions.Cookie, err = cookieOf(os.Getenv("COOKIE")); err != nil {
		return err
	}
	pages := http.StripPrefix(*mounted, pages())
	if *worker {
		return gateway.ServeWorker(ctx, pages, gateway.WorkerOptions{Sessions: sessions})
	}
	fronts := gateway.FrontOptions{HTTP: []string{*address}}
	if *scgiAddress != "" {
		fronts.SCGI = []string{*scgiAddress}
	}
	store, err := directory.Open(*path, directory.Options{Create: true})
	if err != nil {
		return err
	}
	defer store.Close()
	sessions.Store = store
	g, err := gateway.New(ctx, gateway.Options{
		FrontOptions: fronts,
		Pools:        []gateway.WorkerPool{{Supervised: gateway.SupervisorOptions{Command: flag.Args(), Workers: 4}}},
		Handlers:     map[string]http.Handler{*mounted + "/go/": pages},
		Sessions:     sessions,
	})
	if err != nil {
		return err
	}
	return g.Run(ctx)
}

// cookieOf reads $COOKIE.
func cookieOf(text string) (name string, cookie gateway.SessionCookie, err error) {
	if text == "" {
		return "", cookie, nil
	}
	named := struct {
		Name string
		*gateway.SessionCookie
	}{"", &cookie}
	err = json.Unmarshal([]byte(text), &named)
	return named.Name, cookie, err
}

// classNamed returns the class of new sessions.
func classNamed(name string) (gateway.SessionClass, error) {
	dot := strings.LastIndexByte(name, '.')
	if dot < 0 {
		return gateway.SessionClass{}, fmt.Errorf("class %q has no module", name)
	}
	class := gateway.SessionClass{Import: pickle.Import{Module: name[:dot], Name: name[dot+1:]}}
	if class.Import.Name == "ShopSession" { // what its __init__ sets
		class.Attributes = []pickle.Item{
			{Key: pickle.Str("note"), Value: pickle.Str("")},
			{Key: pickle.Str("counter"), Value: pickle.Int(0)},
			{Key: pickle.Str("cart"), Value: pickle.None{}},
		}
	}
	return class, nil
}
