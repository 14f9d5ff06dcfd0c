package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"alforja/store"
)

// API returns the handler of the socket by which workers reach sessions other
// than their request's own; docs/protocol.md lists its requests. It trusts
// whoever reaches it, so the socket must be the workers' alone.
func (s *Sessions) API() http.Handler {
	api := &sessionsAPI{s.withDefaults()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sessions/{id}", api.get)
	mux.HandleFunc("PUT /sessions/{id}", api.put)
	mux.HandleFunc("DELETE /sessions/{id}", api.delete)
	mux.HandleFunc("GET /sessions", api.list)
	mux.HandleFunc("DELETE /sessions", api.deleteIdle)
	return mux
}

type sessionsAPI struct{ *Sessions }

func (a sessionsAPI) get(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if !store.ValidID(id) {
		fail(w, http.StatusNotFound, "no such session")
		return
	}
	state, err := a.load(r.Context(), id)
	switch {
	case err != nil:
		a.fail(w, err)
	case state == nil:
		fail(w, http.StatusNotFound, "no such session")
	default:
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(len(state)))
		_, _ = w.Write(state)
	}
}

func (a sessionsAPI) put(w http.ResponseWriter, r *http.Request) {
	state, err := io.ReadAll(http.MaxBytesReader(w, r.Body, store.MaxStateBytes))
	if err != nil {
		failBody(w, err)
		return
	}
	if err := a.checkNew(state); err != nil {
		fail(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	id := r.PathValue("id")
	if r.Header.Get("If-None-Match") == "*" {
		switch err := a.Store.Create(r.Context(), id, state); {
		case errors.Is(err, store.ErrExists):
			fail(w, http.StatusPreconditionFailed, err.Error())
		case err != nil:
			a.fail(w, err)
		default:
			w.WriteHeader(http.StatusCreated)
		}
		return
	}
	a.change(w, r, func(ctx context.Context) (bool, error) { return a.Store.Update(ctx, id, state) })
}

func (a sessionsAPI) delete(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	a.change(w, r, func(ctx context.Context) (bool, error) { return a.Store.Delete(ctx, id) })
}

// change does something to one session under its lock.
func (a sessionsAPI) change(w http.ResponseWriter, r *http.Request, do func(context.Context) (found bool, err error)) {
	unlock, err := a.lock(r.Context(), r.PathValue("id"))
	if err != nil {
		a.fail(w, err)
		return
	}
	defer unlock()
	switch found, err := do(r.Context()); {
	case err != nil:
		a.fail(w, err)
	case !found:
		fail(w, http.StatusNotFound, "no such session")
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func (a sessionsAPI) list(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for info, err := range a.Store.All(r.Context(), "") {
		if err != nil {
			a.Logger.Error("listing sessions", "err", err)
			panic(http.ErrAbortHandler) // a list that is cut must look cut
		}
		if _, err := io.WriteString(w, info.ID+"\n"); err != nil {
			return
		}
	}
}

func (a sessionsAPI) deleteIdle(w http.ResponseWriter, r *http.Request) {
	idle, err := strconv.ParseFloat(r.URL.Query().Get("idle"), 64)
	if err != nil || !(idle >= 0) { // NaN is neither
		fail(w, http.StatusBadRequest, "idle must be a number of seconds, as in DELETE /sessions?idle=1800")
		return
	}
	deleted, remaining, err := a.Store.DeleteIdle(r.Context(), seconds(idle))
	if err != nil {
		a.fail(w, err)
		return
	}
	a.Logger.Info("idle sessions deleted", "idle_s", idle, "deleted", deleted, "remaining", remaining)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]int{"deleted": deleted, "remaining": remaining})
}

// seconds converts a number of seconds, the longest duration standing for all
// that are longer: a wrapped one would be negative, and every session idle.
func seconds(n float64) time.Duration {
	if n >= float64(math.MaxInt64)/float64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(n * float64(time.Second))
}

func (a sessionsAPI) fail(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, store.ErrInvalidID):
		fail(w, http.StatusNotFound, err.Error())
	case errors.Is(err, store.ErrBusy):
		w.Header().Set("Retry-After", "1")
		fail(w, http.StatusServiceUnavailable, err.Error())
	default:
		a.Logger.Error("session store failed", "err", err)
		fail(w, http.StatusInternalServerError, err.Error())
	}
}
