package gateway

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// commitTimeout bounds a commit. It does not end with the client's connection:
// what a worker has done must not depend on whether the browser still waits.
const commitTimeout = 30 * time.Second

// A visit is one request's hold on its session: from the load, over the
// worker, to the commit.
type visit struct {
	sessions *Sessions
	id       string // "" when the request has no session cookie
	state    []byte // nil when the store has no such session
	nonce    string
	unlock   func() // nil when the request takes no lock
	once     sync.Once

	request  *http.Request    // as it came in
	session  *Session         // nil until a Go handler asks for it
	tell     func(*directive) // not nil in a worker: has the gateway carry a directive out
	answered bool             // committed, or left alone: the response has begun
}

type visitKey struct{}

// visitOf returns the request's visit, or nil outside of Sessions.
func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// open locks the session and loads it. After an error nothing is held.
func (v *visit) open(ctx context.Context, r *http.Request) error {
	if v.sessions.locks(r) {
		start := time.Now()
		unlock, err := v.sessions.lock(ctx, v.id)
		recordOf(ctx).lockWait = time.Since(start)
		if err != nil {
			return err
		}
		v.unlock = unlock
	}
	state, err := v.sessions.load(ctx, v.id)
	if err != nil {
		v.release()
		return err
	}
	v.state = state
	return nil
}

// locks reports whether a request takes its session's lock.
func (s *Sessions) locks(r *http.Request) bool {
	if slices.Contains(s.SharedMethods, r.Method) {
		return false
	}
	for _, skipped := range s.Skip {
		rest, below := strings.CutPrefix(r.URL.Path, strings.TrimSuffix(skipped, "/"))
		if below && (rest == "" || rest[0] == '/') {
			return false
		}
	}
	return true
}

// answer has next answer the request, and commits what it leaves to be
// committed.
func (v *visit) answer(next http.Handler, w http.ResponseWriter, r *http.Request) {
	committing := &committingWriter{ResponseWriter: w, ctx: r.Context(), visit: v}
	r = r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
	defer removeForm(r)
	next.ServeHTTP(committing, r)
	_ = committing.commit() // it has answered and logged what failed
}

// removeForm removes the files of an upload that a handler has had parsed. Who has made a request does
// that (net/http, package scgi), but for the one that it has made, not for a copy of it.
func removeForm(r *http.Request) {
	if r.MultipartForm != nil {
		_ = r.MultipartForm.RemoveAll()
	}
}

// store has a directive carried out, as Sessions.store does. In a worker
// nobody knows yet whether it is found; what the response says for that case the
// gateway takes back.
func (v *visit) store(ctx context.Context, d *directive) (found bool, err error) {
	if v.tell != nil {
		v.tell(d)
		return true, nil
	}
	return v.sessions.store(ctx, d)
}

// release lets the session's next request in. It may be called again.
func (v *visit) release() {
	v.once.Do(func() {
		if v.unlock != nil {
			v.unlock()
		}
	})
}

// variables returns what the request tells the worker of its session, as
// docs/protocol.md has it; nil in shared mode. apiPath is where the worker
// reaches other sessions.
func (v *visit) variables(apiPath string) map[string]string {
	if v.sessions.Mode == Shared {
		return nil
	}
	vars := map[string]string{"ALFORJA_NONCE": v.nonce}
	if apiPath != "" {
		vars["ALFORJA_API"] = apiPath
	}
	var state string
	if v.id != "" {
		vars["ALFORJA_SESSION_ID"] = v.id
		if v.unlock == nil {
			vars["ALFORJA_UNLOCKED"] = "1"
		}
	}
	if v.state != nil {
		state = base64.StdEncoding.EncodeToString(v.state)
		vars["ALFORJA_SESSION"] = state
	}
	if v.sessions.Key != nil {
		vars["ALFORJA_SIGNATURE"] = sign(v.sessions.Key, v.nonce, v.id, state)
	}
	return vars
}

// sign returns the ALFORJA_SIGNATURE of docs/protocol.md.
func sign(key []byte, nonce, id, state string) string {
	mac := hmac.New(sha256.New, key)
	for _, part := range []string{nonce, "\n", id, "\n", state} {
		mac.Write([]byte(part))
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// commit takes the worker's directive out of header, does what it says, and
// releases the session. An error means that the store does not have what the
// response is about to promise: the client must not get that response.
func (v *visit) commit(ctx context.Context, header http.Header) error {
	defer v.release()
	v.handOn(ctx)
	values := header[DirectiveHeader]
	delete(header, DirectiveHeader)
	if len(values) == 0 {
		v.sessions.noticeForeignCookie(header)
		return nil
	}
	if v.sessions.Mode == Shared {
		v.dropped(ctx, "in shared mode workers keep sessions themselves")
		return nil
	}
	d, err := parseDirective(values, v.nonce, v.id)
	if err != nil {
		v.dropped(ctx, err.Error())
		return nil
	}
	storing, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	found, err := v.store(storing, d)
	if err != nil {
		return err
	}
	if !found {
		v.sessions.takeBack(header, d.id)
	}
	rec := recordOf(ctx)
	rec.action, rec.session = d.action, shortID(d.id)
	return nil
}

// handOn leaves the session to the worker that the request went to, whatever
// becomes of it there: what a Go handler did to it is dropped.
func (v *visit) handOn(ctx context.Context) {
	if v.answered {
		return
	}
	v.answered = true
	s := v.session
	if s == nil {
		return
	}
	if s.closed = true; s.changed || s.renewed || s.expired {
		v.sessions.Logger.Warn("what a Go handler did to the session is dropped: it left the request to a worker",
			"request", recordOf(ctx).requestID, "session", shortID(v.id))
	}
}

// dropped says that a worker's directive is not followed.
func (v *visit) dropped(ctx context.Context, reason string) {
	v.sessions.Logger.Warn("dropped an "+DirectiveHeader+" header", "request", recordOf(ctx).requestID,
		"session", shortID(v.id), "err", reason)
}
