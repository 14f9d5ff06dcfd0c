package gateway

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"alforja/gateway/scgi"
	"alforja/store"
)

var (
	// ErrNoListener is returned by ServeWorker in a process that no gateway
	// has started, and that has no Listener of its own.
	ErrNoListener = errors.New("no socket to serve: the gateway passes one as descriptor 3")

	errSignature = errors.New("the session is not signed with this worker's key")
)

// maxWorkerHeader bounds a request's variables: a session's state in base64, a
// third longer than the state, beside what clients send.
const maxWorkerHeader = 2 * store.MaxStateBytes

// WorkerOptions say how ServeWorker serves.
type WorkerOptions struct {
	// Sessions has what a Gateway in this process would be given. CookieName,
	// Key, Class, HasInfo, Cookie, Registry and Logger count; the store, and
	// who gets at it when, is with the gateway that sends the requests. Its
	// CookieName must be the same. Default for Key: what the file holds that
	// $ALFORJA_KEY_FILE names, if any.
	Sessions Sessions
	// Listener is where the gateway connects. Over TCP a Key is required.
	// Default: descriptor 3, as a gateway passes it to its workers.
	Listener net.Listener
	// DrainTimeout is how long requests may take to finish when ctx has ended.
	// Default: 30 s.
	DrainTimeout time.Duration
}

// ServeWorker makes this program a worker: it answers the requests that a
// gateway in another process sends, by docs/protocol.md, with handler. There
// SessionOf returns what it would return inside a Gateway, with the same rules;
// what a handler does to the session goes back with its response, and the
// gateway commits it before the client hears. Handlers run concurrently, as many as
// the gateway's Concurrency says (worker_concurrency). Without the protocol's
// variables, in shared mode say, SessionOf returns ErrNoSessions.
//
// It returns nil when ctx has ended and the running requests have finished:
// have SIGTERM end it. Other errors are ErrNoListener, that of the listener,
// and, where requests were cut off, context.DeadlineExceeded.
func ServeWorker(ctx context.Context, handler http.Handler, opts WorkerOptions) error {
	if err := opts.setDefaults(); err != nil {
		return err
	}
	worker := &goWorker{opts.Sessions.withDefaults(), handler}
	server := &scgi.Server{
		Handler:        worker,
		MaxHeaderBytes: maxWorkerHeader,
		KeepReserved:   true,
		Logger:         worker.sessions.Logger,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(opts.Listener) }()
	notify(worker.sessions.Logger, daemon.SdNotifyReady)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), opts.DrainTimeout)
	defer cancel()
	err := server.Shutdown(drain)
	if err != nil {
		server.Close()
	}
	<-failed
	return err
}

func (o *WorkerOptions) setDefaults() error {
	if o.DrainTimeout == 0 {
		o.DrainTimeout = 30 * time.Second
	}
	if path := os.Getenv("ALFORJA_KEY_FILE"); o.Sessions.Key == nil && path != "" {
		key, err := ReadKey(path)
		if err != nil {
			return fmt.Errorf("ALFORJA_KEY_FILE: %w", err)
		}
		o.Sessions.Key = key
	}
	if o.Listener == nil {
		inherited, err := activation.Listeners()
		if err != nil {
			return err
		}
		if len(inherited) != 1 || inherited[0] == nil {
			return ErrNoListener
		}
		o.Listener = inherited[0]
	}
	if o.Sessions.Key == nil && o.Listener.Addr().Network() != "unix" {
		return &OptionsError{"sessions that come over TCP must be signed: set a key"}
	}
	return nil
}

// A goWorker has requests that carry their session answered by a handler.
type goWorker struct {
	sessions *Sessions
	next     http.Handler
}

func (g *goWorker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	variables := scgi.Reserved(r.Context())
	if variables["ALFORJA_NONCE"] == "" {
		g.next.ServeHTTP(w, r)
		return
	}
	v, err := g.visit(variables)
	if err != nil {
		g.sessions.Logger.Error("request refused", "path", r.URL.Path, "err", err)
		fail(w, http.StatusForbidden, "the session is not the gateway's")
		return
	}
	v.request = r
	v.tell = func(d *directive) { w.Header().Set(DirectiveHeader, d.header(v.nonce)) }
	v.answer(g.next, w, r)
}

// visit is the other end of visit.variables. The lock is the gateway's.
func (g *goWorker) visit(variables map[string]string) (*visit, error) {
	v := &visit{
		sessions: g.sessions,
		id:       variables["ALFORJA_SESSION_ID"],
		nonce:    variables["ALFORJA_NONCE"],
	}
	if variables["ALFORJA_UNLOCKED"] == "" {
		v.unlock = func() {}
	}
	text, found := variables["ALFORJA_SESSION"]
	if g.sessions.Key != nil {
		signature := sign(g.sessions.Key, v.nonce, v.id, text)
		if !hmac.Equal([]byte(signature), []byte(variables["ALFORJA_SIGNATURE"])) {
			return nil, errSignature
		}
	}
	if found {
		state, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("ALFORJA_SESSION: %w", err)
		}
		v.state = state
	}
	return v, nil
}
