package gateway

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"alforja/pickle"
	"alforja/store"
)

// Mode says who reads and writes the store.
type Mode string

const (
	// Managed: the state goes to the worker with the request and comes back
	// with the response; the gateway writes the store.
	Managed Mode = "managed"
	// Shared: workers read and write the directory themselves, with session3;
	// the gateway guards the cookie and serializes.
	Shared Mode = "shared"
)

// Concurrency says what happens to requests of one session at one time.
type Concurrency string

const (
	// Serialize lets one request at a time at a session: no update is lost.
	Serialize Concurrency = "serialize"
	// LastWriteWins lets them all run, as session3 does: updates get lost.
	LastWriteWins Concurrency = "last-write-wins"
)

// maxSetAside bounds how often one request sets a bad state aside and finds
// another bad one in its place.
const maxSetAside = 3

// Sessions resolves a request's session cookie against a store, holds the
// session for as long as the request needs it, and commits what became of it.
type Sessions struct {
	// Store keeps the states. Required.
	Store store.Store
	// CookieName is the session cookie's name. Default: QX_session, as in
	// quixote.config.
	CookieName string
	// Mode. Default: Managed.
	Mode Mode
	// Concurrency. Default: Serialize.
	Concurrency Concurrency
	// LockWait is how long a request waits for its session before it is
	// answered 503. Default: 30 s.
	LockWait time.Duration
	// LockQueue is how many requests may hold or wait for one session; more
	// are answered 503 at once. Default: 100.
	LockQueue int
	// SharedMethods lists methods whose requests take no lock, because the
	// application changes no session at them: GET, HEAD. What such a request
	// does change may be lost. Default: none.
	SharedMethods []string
	// Skip lists paths that take no session lock, and all below them: pages
	// that take long, or that never write the session. Default: none.
	Skip []string
	// Policy decides which states may be unpickled. Default: that of
	// pickle.PolicyOptions' zero value.
	Policy *pickle.Policy
	// ReportOnly logs what Policy refuses and lets it pass. Malformed
	// pickles are refused all the same. Default: false.
	ReportOnly bool
	// Limits bound a state and what it takes to look at it. Default: those
	// of pickle.Limits' zero value.
	Limits pickle.Limits
	// Key signs states that go to workers; see docs/protocol.md. Default: no
	// signature.
	Key []byte
	// Class is what Go handlers make new sessions of. Default: that of
	// SessionClass' zero value.
	Class SessionClass
	// HasInfo decides, for Go handlers, which sessions are worth keeping: what
	// has_info does in the application's class. Default: see Session.HasInfo.
	HasInfo func(*Session) bool
	// Cookie is how Go handlers set the session cookie. Default: that of
	// SessionCookie's zero value.
	Cookie SessionCookie
	// Registry pairs Python classes with struct types for Go handlers.
	// Default: none.
	Registry *pickle.Registry
	// Logger. Default: slog.Default().
	Logger *slog.Logger

	foreignCookie *sync.Once
	queues        *lockQueues
	refused       func(error) // is told of each session that cannot be used
}

// Handler returns a handler that serves by next, with the request's session
// resolved. It answers 400 to a cookie that would hang Quixote's parser, 503
// when the session stays locked or the store cannot be read, and leaves
// everything else to next. A session that is absent, malformed or refused is
// no error: the request goes on without one, as with no cookie at all.
func (s *Sessions) Handler(next http.Handler) http.Handler {
	cfg := s.withDefaults()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, ok := cfg.resolveCookie(r)
		if !ok {
			fail(w, http.StatusBadRequest, "malformed Cookie header")
			return
		}
		v := &visit{sessions: cfg, id: id, nonce: newNonce(), request: r}
		if id != "" {
			recordOf(r.Context()).session = shortID(id)
			// net/http ends a request's context when the client closes its
			// sending side: no reason to refuse it its session.
			ctx := context.WithoutCancel(r.Context())
			err := v.open(ctx, r)
			if errors.Is(err, store.ErrTooLarge) {
				// Unread, so unverified: no worker must meet it either.
				cfg.refused(err)
				cfg.Logger.Error("session too large to be used: its user starts afresh", "session", shortID(id), "err", err)
				cfg.dropCookie(r)
				v.id = ""
			} else if err != nil {
				cfg.failOpening(ctx, w, id, err)
				return
			}
			defer v.release()
		}
		v.answer(next, w, r)
	})
}

// standardCookie is what Quixote calls the cookie (SESSION_COOKIE_NAME of
// quixote.config).
const standardCookie = "QX_session"

func (s *Sessions) withDefaults() *Sessions {
	cfg := *s
	if cfg.CookieName == "" {
		cfg.CookieName = standardCookie
	}
	if cfg.Mode == "" {
		cfg.Mode = Managed
	}
	if cfg.Concurrency == "" {
		cfg.Concurrency = Serialize
	}
	if cfg.LockWait == 0 {
		cfg.LockWait = 30 * time.Second
	}
	if cfg.LockQueue == 0 {
		cfg.LockQueue = 100
	}
	if cfg.queues == nil {
		cfg.queues = newLockQueues()
	}
	if cfg.Policy == nil {
		// Without options of the caller's there is nothing to be wrong.
		cfg.Policy, _ = NewPolicy(nil, false)
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	cfg.foreignCookie = new(sync.Once)
	if cfg.refused == nil {
		cfg.refused = func(error) {}
	}
	return &cfg
}

// resolveCookie returns the session id that the request's cookie names, or ""
// when there is none. A cookie that is no session id is taken out of the
// request, so that nothing behind the gateway meets it. ok is false for a
// header that must not reach Quixote's parser.
func (s *Sessions) resolveCookie(r *http.Request) (id string, ok bool) {
	lines := r.Header["Cookie"]
	if len(lines) == 0 {
		return "", true
	}
	// One header, and joined here: what was checked is what the worker reads.
	text := strings.Join(lines, "; ")
	if len(lines) > 1 {
		r.Header["Cookie"] = []string{text}
	}
	header := parseCookies(text)
	if header.bomb() {
		s.Logger.Warn("refused a Cookie header that would hang Quixote's parser", "client", r.RemoteAddr)
		return "", false
	}
	value, found := header.get(s.CookieName)
	if !found || store.ValidID(value) {
		return value, true
	}
	// "" and "*del*" are how Quixote revokes a cookie: nothing to report.
	if value != "" && value != "*del*" {
		s.Logger.Warn("refused a session cookie that is no session id",
			"request", recordOf(r.Context()).requestID, "client", r.RemoteAddr, "cookie", shortID(value), "bytes", len(value))
	}
	s.dropCookie(r)
	return "", true
}

// dropCookie takes the session cookie out of a request.
func (s *Sessions) dropCookie(r *http.Request) {
	if rest := parseCookies(r.Header.Get("Cookie")).without(s.CookieName); rest != "" {
		r.Header["Cookie"] = []string{rest}
	} else {
		delete(r.Header, "Cookie")
	}
}

// noticeForeignCookie says, once, that the application gives out session
// cookies of its own making in managed mode: it does not use alforja's store,
// and nothing is kept here.
func (s *Sessions) noticeForeignCookie(header http.Header) {
	if s.Mode == Shared {
		return
	}
	for _, line := range header["Set-Cookie"] {
		rest, ours := strings.CutPrefix(line, s.CookieName+"=")
		if ours && !strings.HasPrefix(rest, `""`) && !strings.HasPrefix(rest, ";") {
			s.foreignCookie.Do(func() {
				s.Logger.Warn("a worker has set the session cookie without an " + DirectiveHeader + " header: its sessions are not alforja's. " +
					"Use alforja.SessionStore there, or shared mode")
			})
		}
	}
}

// failOpening answers a request whose session could not be opened.
func (s *Sessions) failOpening(ctx context.Context, w http.ResponseWriter, id string, err error) {
	rec := recordOf(ctx)
	if errors.Is(err, store.ErrBusy) {
		rec.failure = sessionBusy
		s.Logger.Warn("session stayed locked", "request", rec.requestID, "session", shortID(id), "waited_ms", milliseconds(rec.lockWait), "err", err)
		w.Header().Set("Retry-After", "1")
		who := "another request of this session is still running"
		if errors.Is(err, store.ErrHeldElsewhere) {
			who = "another process holds this session"
		}
		fail(w, http.StatusServiceUnavailable, who)
		return
	}
	rec.failure = sessionStore
	s.Logger.Error("session store failed", "request", rec.requestID, "session", shortID(id), "err", err)
	w.Header().Set("Retry-After", "5")
	fail(w, http.StatusServiceUnavailable, "sessions are not available at the moment")
}

// lock takes the session's lock, for at most LockWait. With LastWriteWins
// there is none to take.
func (s *Sessions) lock(ctx context.Context, id string) (unlock func(), err error) {
	if s.Concurrency == LastWriteWins {
		return func() {}, nil
	}
	if !s.queues.enter(id, s.LockQueue) {
		return nil, fmt.Errorf("%w: %d requests wait for it", store.ErrBusy, s.LockQueue)
	}
	ctx, cancel := context.WithTimeout(ctx, s.LockWait)
	defer cancel()
	release, err := s.Store.Lock(ctx, id)
	if err != nil {
		s.queues.leave(id)
		return nil, err
	}
	return func() {
		release()
		s.queues.leave(id)
	}, nil
}

// lockQueues counts the requests at each session, so that one user's cannot
// occupy the gateway.
type lockQueues struct {
	mu      sync.Mutex
	lengths map[string]int
}

func newLockQueues() *lockQueues { return &lockQueues{lengths: map[string]int{}} }

func (q *lockQueues) enter(id string, most int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lengths[id] >= most {
		return false
	}
	q.lengths[id]++
	return true
}

func (q *lockQueues) leave(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lengths[id]--; q.lengths[id] == 0 {
		delete(q.lengths, id)
	}
}

// load returns the session's state, verified and cut at its STOP, or nil when
// the session does not exist. A state that does not pass is set aside and the
// session counts as absent.
func (s *Sessions) load(ctx context.Context, id string) ([]byte, error) {
	for range maxSetAside {
		state, found, err := s.Store.Load(ctx, id)
		if err != nil || !found {
			return nil, err
		}
		verified, reason := s.verify(state)
		if reason == nil {
			return verified, nil
		}
		done, err := s.Store.SetAside(ctx, id, state)
		if err != nil {
			return nil, fmt.Errorf("setting a bad session aside (%v): %w", reason, err)
		}
		if done {
			s.refused(reason)
			s.Logger.Warn("session set aside: its user starts afresh",
				"session", shortID(id), "bytes", len(state), "reason", reason)
			return nil, nil
		}
	}
	return nil, fmt.Errorf("session changes faster than it can be read, %d times malformed", maxSetAside)
}

// verify returns the one pickle that state begins with, or why it must not be
// unpickled.
func (s *Sessions) verify(state []byte) ([]byte, error) {
	report, err := pickle.Verify(state, s.Limits)
	if err != nil {
		return nil, err
	}
	if err := s.Policy.Check(report); err != nil {
		if !s.ReportOnly {
			return nil, err
		}
		s.Logger.Warn("policy would refuse this session", "err", err)
	}
	return state[:report.Used], nil
}

// checkNew refuses a state, from a worker or a Go handler, that could not be
// loaded again.
func (s *Sessions) checkNew(state []byte) error {
	if len(state) > store.MaxStateBytes {
		return store.TooLarge(int64(len(state)))
	}
	verified, err := s.verify(state)
	if err != nil {
		return fmt.Errorf("the session would not load again: %w", err)
	}
	if len(verified) != len(state) {
		return errors.New("the session has bytes behind its pickle")
	}
	return nil
}

// store commits a directive. found is false when the session was deleted
// meanwhile: logged out elsewhere while this request ran, it stays logged out.
func (s *Sessions) store(ctx context.Context, d *directive) (found bool, err error) {
	switch d.action {
	case actionKeep:
		return s.Store.Touch(ctx, d.id)
	case actionDelete:
		return s.Store.Delete(ctx, d.id)
	}
	if err := s.checkNew(d.state); err != nil {
		return false, err
	}
	own := d.id
	switch d.action {
	case actionCreate:
		return true, s.Store.Create(ctx, d.id, d.state)
	case actionRenew:
		own = d.old
		found, err = s.renew(ctx, d)
	default:
		found, err = s.Store.Update(ctx, d.id, d.state)
	}
	if err == nil && !found {
		s.Logger.Info("session was deleted meanwhile and stays deleted", "session", shortID(own))
	}
	return found, err
}

// renew stores the session under its new id in the place of the old one.
// Between the two steps there are two sessions, never none: a crash logs nobody
// out.
func (s *Sessions) renew(ctx context.Context, d *directive) (found bool, err error) {
	if err := s.Store.Create(ctx, d.id, d.state); err != nil {
		return false, err
	}
	found, err = s.Store.Delete(ctx, d.old)
	if err == nil && found {
		return true, nil
	}
	// Deleted meanwhile, it stays deleted, under any id.
	_, errNew := s.Store.Delete(ctx, d.id)
	return false, errors.Join(err, errNew)
}

// newNonce returns 22 characters that no client can know.
func newNonce() string {
	var b [16]byte
	rand.Read(b[:])
	var nonce [22]byte
	base64.RawURLEncoding.Encode(nonce[:], b[:])
	return string(nonce[:])
}

// fail answers with a status and one line of text.
func fail(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	fmt.Fprintf(w, "%d %s: %s\n", status, http.StatusText(status), text)
}
