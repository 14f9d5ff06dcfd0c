package gateway

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"alforja/pickle"
	"alforja/store"
	"alforja/store/memory"
	"alforja/store/view"
)

// goSite is Sessions around a handler in Go, on a store in memory. The handler
// is in a worker where the test is one of TestSessionsInWorkers.
type goSite struct {
	sessions Sessions
	log      *lockedBuffer
	t        *testing.T
}

func newGoSite(t *testing.T) *goSite {
	log := new(lockedBuffer)
	return &goSite{t: t, log: log, sessions: Sessions{Store: memory.New(), Logger: slog.New(slog.NewTextHandler(log, nil))}}
}

// put stores a session of package view's testdata, whose id is "own".
func (s *goSite) put(name string) []byte {
	s.t.Helper()
	state, err := os.ReadFile("../store/view/testdata/" + name + ".pickle")
	if err == nil {
		err = s.sessions.Store.Create(s.t.Context(), "own", state)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return state
}

// state returns what the store has, nil for no session.
func (s *goSite) state(id string) []byte {
	s.t.Helper()
	state, _, err := s.sessions.Store.Load(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return state
}

// view returns a stored session.
func (s *goSite) view(id string) *view.View {
	s.t.Helper()
	v, err := view.Parse(s.state(id))
	if err != nil {
		s.t.Fatalf("session %q: %v", id, err)
	}
	return v
}

// serve has a handler answer a request with the cookie of a session, if any.
func (s *goSite) serve(id string, handler http.HandlerFunc) *httptest.ResponseRecorder {
	s.t.Helper()
	if isInWorker(s.t) {
		worker, stop := s.inWorker(handler)
		defer stop()
		return s.answer(id, worker)
	}
	return s.answer(id, handler)
}

// answer is serve by a handler that stays where it is.
func (s *goSite) answer(id string, handler http.Handler) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/page", nil)
	r.RemoteAddr = "198.51.100.4:5555"
	if id != "" {
		r.Header.Set("Cookie", "QX_session="+id)
	}
	w := httptest.NewRecorder()
	AccessLog(LogRequests(s.sessions.Logger), s.sessions.Handler(handler)).ServeHTTP(w, r)
	return w
}

// visit is serve for what needs the session alone.
func (s *goSite) visit(id string, do func(*Session)) *httptest.ResponseRecorder {
	s.t.Helper()
	var visited atomic.Bool
	w := s.serve(id, func(w http.ResponseWriter, r *http.Request) {
		visited.Store(true)
		session, err := SessionOf(r.Context())
		if err != nil {
			s.t.Error(err)
			return
		}
		do(session)
	})
	if !visited.Load() {
		s.t.Errorf("status %d, and the handler was not reached", w.Code)
	}
	return w
}

// must fails the test where a call does.
func (s *goSite) mustSet(v *view.View, name string, value pickle.Value) {
	s.t.Helper()
	_, err := v.Set(name, value)
	s.must(err)
}

func (s *goSite) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Error(err)
	}
}

// cookieID returns the id that a response sets the session cookie to.
func (s *goSite) cookieID(w *httptest.ResponseRecorder) string {
	s.t.Helper()
	id, rest, ok := strings.Cut(strings.TrimPrefix(w.Header().Get("Set-Cookie"), `QX_session="`), `"; path=/`)
	if !ok || rest != "" || !store.ValidID(id) {
		s.t.Fatalf("Set-Cookie %q", w.Header()["Set-Cookie"])
	}
	return id
}

func TestSessionReads(t *testing.T) {
	s := newGoSite(t)
	s.put("session-4")
	s.visit("own", func(session *Session) {
		if session.ID() != "own" || session.User() != "quijote" || session.RemoteAddr() != "192.0.2.7" {
			t.Errorf("id %q, user %v, address %q", session.ID(), session.User(), session.RemoteAddr())
		}
		if want := time.Unix(1700000000, 250e6); !session.Created().Equal(want) {
			t.Errorf("created %v", session.Created())
		}
		if age := time.Since(session.Accessed()); age < 0 || age > time.Minute {
			t.Errorf("accessed %v ago", age)
		}
		if !session.HasInfo() || session.Class() != session3Class {
			t.Errorf("HasInfo %v, class %v", session.HasInfo(), session.Class())
		}
		if diff := cmp.Diff([]string{"counter"}, session.Keys()); diff != "" {
			t.Error(diff)
		}
		if n, err := Get[int](session, "counter"); n != 7 || err != nil {
			t.Errorf("counter %d, %v", n, err)
		}
		if _, err := Get[int](session, "visits"); !errors.Is(err, ErrNoValue) {
			t.Errorf("error %v", err)
		}
		var convert *pickle.ConvertError
		if _, err := Get[string](session, "counter"); !errors.As(err, &convert) {
			t.Errorf("error %v", err)
		}
	})
}

func TestSessionOfIsOneForTheRequest(t *testing.T) {
	s := newGoSite(t)
	s.put("session-4")
	s.serve("own", func(w http.ResponseWriter, r *http.Request) {
		a, errA := SessionOf(r.Context())
		b, errB := SessionOf(r.Context())
		if a != b || errA != nil || errB != nil {
			t.Errorf("%p and %p, %v, %v", a, b, errA, errB)
		}
	})
	if _, err := SessionOf(t.Context()); !errors.Is(err, ErrNoSessions) {
		t.Errorf("outside of a request: %v", err)
	}
}

func TestSessionOfWhatIsNoSession(t *testing.T) {
	s := newGoSite(t)
	if err := s.sessions.Store.Create(t.Context(), "own", pickled("text")); err != nil {
		t.Fatal(err)
	}
	s.serve("own", func(w http.ResponseWriter, r *http.Request) {
		if _, err := SessionOf(r.Context()); !errors.Is(err, view.ErrNoInstance) {
			t.Errorf("error %v", err)
		}
	})
	if got := s.state("own"); !bytes.Equal(got, pickled("text")) {
		t.Errorf("state %q", got)
	}
}

func TestSessionWrites(t *testing.T) {
	type line struct {
		SKU string `pickle:"sku"`
		N   int    `pickle:"n"`
	}
	s := newGoSite(t)
	s.sessions.Registry = new(pickle.Registry)
	s.sessions.Registry.Register(pickle.Import{Module: "shop", Name: "Line"}, line{}, pickle.Instance)
	s.put("shop-4")
	s.visit("own", func(session *Session) {
		s.must(session.SetUser("Sancho"))
		s.must(session.Set("counter", 1))
		s.must(session.Set("lines", []line{{"barrel", 3}}))
		s.must(session.Delete("big"))
		s.must(session.Delete("nothing"))
		favourite, err := Get[*line](session, "favourite")
		if err != nil || *favourite != (line{"helmet", 1}) {
			t.Errorf("favourite %v, %v", favourite, err)
		}
	})
	s.visit("own", func(session *Session) {
		if session.User() != "Sancho" {
			t.Errorf("user %v", session.User())
		}
		if lines, err := Get[[]line](session, "lines"); err != nil || !slices.Equal(lines, []line{{"barrel", 3}}) {
			t.Errorf("lines %v, %v", lines, err)
		}
		if _, ok := session.Get("big"); ok {
			t.Error("what was deleted is back")
		}
	})
}

func TestSessionRefusesItsOwnAttributes(t *testing.T) {
	s := newGoSite(t)
	state := s.put("session-4")
	s.sessions.SharedMethods = []string{"GET"} // so that the access time alone is not saved
	s.visit("own", func(session *Session) {
		for _, name := range []string{"id", "_remote_address", "_creation_time", "_access_time", "_form_tokens", "_csrf_token"} {
			if err := session.Set(name, "x"); !errors.Is(err, ErrReserved) {
				t.Errorf("set %s: %v", name, err)
			}
			if err := session.Delete(name); !errors.Is(err, ErrReserved) {
				t.Errorf("delete %s: %v", name, err)
			}
		}
		if err := session.Delete("user"); !errors.Is(err, ErrReserved) {
			t.Errorf("delete user: %v", err)
		}
		var convert *pickle.ConvertError
		if err := session.Set("f", func() {}); !errors.As(err, &convert) {
			t.Errorf("set a function: %v", err)
		}
		var encode *pickle.EncodeError
		if err := session.Set("text", "\xff"); !errors.As(err, &encode) {
			t.Errorf("set what is not UTF-8: %v", err)
		}
	})
	if got := s.state("own"); !bytes.Equal(got, state) {
		t.Errorf("state %q", got)
	}
}

func TestItemsAreApartFromAttributes(t *testing.T) {
	s := newGoSite(t)
	s.put("dict-4")
	s.visit("own", func(session *Session) {
		items, ok := session.Items()
		if !ok {
			t.Fatal("a DictSession has no items")
		}
		if name, err := Get[string](items, "name"); name != "Sancho" || err != nil {
			t.Errorf("name %q, %v", name, err)
		}
		s.must(items.Set("island", "Barataria"))
		s.must(items.Set("user", "no attribute"))
		s.must(items.Delete("name"))
		s.must(session.Set("island", 1))
		var encode *pickle.EncodeError
		if err := items.Set("text", "\xff"); !errors.As(err, &encode) {
			t.Errorf("set what is not UTF-8: %v", err)
		}
	})
	s.visit("own", func(session *Session) {
		items, _ := session.Items()
		if diff := cmp.Diff([]string{"island", "user"}, items.Keys()); diff != "" {
			t.Error(diff)
		}
		island, _ := Get[string](items, "island")
		number, _ := Get[int](session, "island")
		if island != "Barataria" || number != 1 || session.User() != "quijote" {
			t.Errorf("item %q, attribute %d, user %v", island, number, session.User())
		}
		data, _ := session.Get("data")
		if five, ok := data.(*pickle.Dict).Get(pickle.Int(5)); !ok || five != (pickle.None{}) {
			t.Error("an item with a key that Go cannot name is lost")
		}
	})
	other := newGoSite(t)
	other.put("session-4")
	other.visit("own", func(session *Session) {
		if _, ok := session.Items(); ok {
			t.Error("a session that is no dictionary has items")
		}
	})
}

// A handler that changes nothing writes nothing: without the lock it would
// undo what another request has saved meanwhile.
func TestSetToWhatItIsWritesNothing(t *testing.T) {
	items := func(session *Session) *Items {
		items, _ := session.Items()
		return items
	}
	tests := []struct {
		name string
		do   func(*Session) error
	}{
		{"user", func(s *Session) error { return s.SetUser("quijote") }},
		{"attribute", func(s *Session) error { return s.Set("counter", 7) }},
		{"no attribute", func(s *Session) error { return s.Delete("nothing") }},
		{"item", func(s *Session) error { return items(s).Set("name", "Sancho") }},
		{"no item", func(s *Session) error { return items(s).Delete("nothing") }},
	}
	for _, test := range tests {
		s := newGoSite(t)
		s.sessions.SharedMethods = []string{"GET"}
		made := SessionClass{Import: dictClass}.newView("198.51.100.4", time.Unix(1700000000, 0))
		s.mustSet(made, "user", pickle.Str("quijote"))
		s.mustSet(made, "counter", pickle.Int(7))
		data := &pickle.Dict{Items: []pickle.Item{{Key: pickle.Str("name"), Value: pickle.Str("Sancho")}}}
		s.mustSet(made, itemsAttribute, data)
		state, err := made.State()
		s.must(err)
		s.must(s.sessions.Store.Create(t.Context(), "own", state))
		s.must(s.sessions.Store.Create(t.Context(), "other", state))
		s.visit("own", func(session *Session) {
			s.must(test.do(session))
			if _, err := s.sessions.Store.Update(t.Context(), "own", pickled("another's")); err != nil {
				t.Error(err)
			}
		})
		if got := s.state("own"); !bytes.Equal(got, pickled("another's")) {
			t.Errorf("%s: state %q", test.name, got)
		}
		s.visit("other", func(session *Session) {
			s.must(session.Expire())
			if err := test.do(session); !errors.Is(err, ErrSessionClosed) {
				t.Errorf("%s, after Expire: %v", test.name, err)
			}
		})
	}
}

// What was changed inside of a value is saved once it is Set, the same value
// or not.
func TestSetOfWhatWasChangedInside(t *testing.T) {
	s := newGoSite(t)
	s.sessions.SharedMethods = []string{"GET"}
	s.put("dict-4")
	s.visit("own", func(session *Session) {
		data, _ := session.Get("data")
		data.(*pickle.Dict).Set(pickle.Str("lance"), pickle.Int(1))
		s.must(session.Set("data", data))
	})
	data, _ := s.view("own").Get("data")
	if _, ok := data.(*pickle.Dict).Get(pickle.Str("lance")); !ok {
		t.Errorf("data %v", data)
	}
}

func TestFormTokens(t *testing.T) {
	for file, most := range map[string]int{"session-4": 32, "shop-4": 32, "quixote-4": 16} {
		s := newGoSite(t)
		s.put(file)
		var token string
		s.visit("own", func(session *Session) {
			if !session.HasFormToken("first") || session.HasFormToken("third") {
				t.Errorf("%s: HasFormToken", file)
			}
			s.must(session.RemoveFormToken("first"))
			if err := session.RemoveFormToken("first"); !errors.Is(err, ErrNoFormToken) {
				t.Errorf("%s: used twice: %v", file, err)
			}
			var err error
			token, err = session.CreateFormToken()
			s.must(err)
		})
		s.visit("own", func(session *Session) {
			if session.HasFormToken("first") || !session.HasFormToken("second") || !session.HasFormToken(token) {
				t.Errorf("%s: tokens %v", file, session.formTokens())
			}
			for range most {
				_, err := session.CreateFormToken()
				s.must(err)
			}
			if n := len(session.formTokens()); n != most || session.HasFormToken(token) {
				t.Errorf("%s: %d tokens, the oldest among them: %v", file, n, session.HasFormToken(token))
			}
		})
	}
}

func TestHasInfo(t *testing.T) {
	tests := []struct {
		file  string
		clear []string // attributes set to nothing
		set   string   // and one set to something
		want  bool
	}{
		{"session-4", []string{"user"}, "", false},
		{"session-4", []string{"user"}, "counter", false}, // its has_info knows the user alone
		{"dict-4", []string{"user"}, "data", false},
		{"quixote-4", []string{"user"}, "", true}, // form tokens
		{"quixote-4", []string{"user", "_form_tokens"}, "", false},
		{"quixote-4", []string{"user", "_form_tokens"}, "_csrf_token", true},
		{"shop-4", []string{"user", "_form_tokens"}, "", true}, // a cart
		{"shop-4", []string{"user", "_form_tokens", "cart", "favourite", "big", "theme"}, "", false},
		{"shop-4", []string{"user", "_form_tokens", "cart", "favourite", "big"}, "theme", true},
	}
	for _, test := range tests {
		s := newGoSite(t)
		s.put(test.file)
		s.visit("own", func(session *Session) {
			for _, name := range test.clear {
				s.mustSet(session.view, name, pickle.None{})
			}
			if test.set != "" {
				s.mustSet(session.view, test.set, pickle.Int(1))
			}
			if got := session.HasInfo(); got != test.want {
				t.Errorf("%s without %v, with %q: %v", test.file, test.clear, test.set, got)
			}
		})
	}
}
