package catalog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"alforja/pickle"
	"alforja/store"
	"alforja/store/catalog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// session returns the pickle of an instance with attributes.
func session(t testing.TB, protocol int, class pickle.Import, state pickle.Value) []byte {
	t.Helper()
	data, err := pickle.Append(nil, &pickle.Object{Callable: class, Args: new(pickle.Tuple), State: state}, protocol)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func attributes(pairs ...pickle.Value) *pickle.Dict {
	d := new(pickle.Dict)
	for i := 0; i < len(pairs); i += 2 {
		d.Items = append(d.Items, pickle.Item{Key: pairs[i], Value: pairs[i+1]})
	}
	return d
}

var sessionClass = pickle.Import{Module: "session3.Session", Name: "Session"}

func TestDescribe(t *testing.T) {
	instance := func(module, name string) *pickle.Object {
		return &pickle.Object{Callable: pickle.Import{Module: module, Name: name}, Args: new(pickle.Tuple)}
	}
	encoded := func(v pickle.Value, protocol int) []byte {
		data, err := pickle.Append(nil, v, protocol)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	type want struct {
		Class, User string
		Created     time.Time
		Protocol    int
		Error       string
	}
	sessionAt := func(protocol int, user pickle.Value) []byte {
		return session(t, protocol, sessionClass, attributes(
			pickle.Str("id"), pickle.Str("x"), pickle.Str("user"), user, pickle.Str("_creation_time"), pickle.Float(1700000000.5)))
	}
	created := time.Unix(1700000000, 500_000_000)
	for name, c := range map[string]struct {
		state []byte
		want  want
	}{
		"text":          {sessionAt(4, pickle.Str("alonso")), want{"session3.Session.Session", "alonso", created, 4, ""}},
		"protocol 0":    {sessionAt(0, pickle.Str("alonso")), want{"session3.Session.Session", "alonso", created, 0, ""}},
		"protocol 2":    {sessionAt(2, pickle.Str("Ñandú")), want{"session3.Session.Session", "Ñandú", created, 2, ""}},
		"none":          {sessionAt(5, pickle.None{}), want{"session3.Session.Session", "", created, 5, ""}},
		"number":        {sessionAt(4, pickle.Int(-7)), want{"session3.Session.Session", "-7", created, 4, ""}},
		"instance":      {sessionAt(4, instance("shop", "User")), want{"session3.Session.Session", "<shop.User>", created, 4, ""}},
		"tuple":         {sessionAt(4, &pickle.Tuple{Items: []pickle.Value{pickle.Int(1)}}), want{"session3.Session.Session", "<tuple>", created, 4, ""}},
		"no attributes": {session(t, 4, sessionClass, nil), want{"session3.Session.Session", "", time.Time{}, 4, ""}},
		"slots": {
			session(t, 4, sessionClass, &pickle.Tuple{Items: []pickle.Value{pickle.None{}, attributes(pickle.Str("user"), pickle.Str("sancho"))}}),
			want{"session3.Session.Session", "sancho", time.Time{}, 4, ""},
		},
		"attributes of Python 2": {
			session(t, 2, sessionClass, attributes(pickle.ByteStr("user"), pickle.ByteStr("sancho"), pickle.ByteStr("_creation_time"), pickle.Int(5))),
			want{"session3.Session.Session", "sancho", time.Unix(5, 0), 2, ""},
		},
		"time that is none": {
			session(t, 4, sessionClass, attributes(pickle.Str("_creation_time"), pickle.Str("yesterday"))),
			want{"session3.Session.Session", "", time.Time{}, 4, ""},
		},
		"dict": {encoded(attributes(pickle.Str("user"), pickle.Str("x")), 4), want{"dict", "", time.Time{}, 4, ""}},
		"refused": {
			session(t, 4, sessionClass, attributes(pickle.Str("user"), pickle.Str("eve"), pickle.Str("x"), pickle.Import{Module: "os", Name: "system"})),
			want{"session3.Session.Session", "eve", time.Time{}, 4, "os.system"},
		},
		"empty": {nil, want{"", "", time.Time{}, -1, "the input is empty"}},
		"cut":   {sessionAt(4, pickle.Str("alonso"))[:40], want{"", "", time.Time{}, -1, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			policy, err := pickle.NewPolicy(pickle.PolicyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			e := catalog.Describe(store.Info{ID: "x"}, c.state, catalog.Judge{Policy: policy})
			got := want{e.Class, e.User, e.Created, e.Protocol, ""}
			if e.Err != nil && strings.Contains(e.Err.Error(), c.want.Error) {
				got.Error = c.want.Error
			}
			if (e.Err != nil) != (c.want.Error != "" || name == "cut") || !cmp.Equal(got, c.want) {
				t.Errorf("got %+v (%v), want %+v", got, e.Err, c.want)
			}
			if e.Size != int64(len(c.state)) {
				t.Errorf("size %d, want %d", e.Size, len(c.state))
			}
		})
	}
}

func TestEntryJSON(t *testing.T) {
	modified := time.Date(2024, 5, 1, 12, 0, 0, 120, time.UTC)
	for _, c := range []struct {
		entry catalog.Entry
		want  string
	}{
		{
			catalog.Entry{Info: store.Info{ID: "a", Size: 3, Modified: modified}, Class: "shop.<S>", User: "alonso", Created: modified, Protocol: 4},
			`{"id":"a","user":"alonso","class":"shop.<S>","protocol":4,"size":3,"modified":"2024-05-01T12:00:00.00000012Z","created":"2024-05-01T12:00:00.00000012Z"}`,
		},
		{ // a user's name must not move the cursor of whoever lists sessions
			catalog.Entry{Info: store.Info{ID: "b"}, User: "\x1b[2J\u009b2J\u202e\U000e0001\x7fñ", Protocol: 0},
			`{"id":"b","user":"\u001b[2J\u009b2J\u202e\udb40\udc01\u007fñ","class":null,"protocol":0,"size":0,"modified":null,"created":null}`,
		},
		{
			catalog.Entry{Info: store.Info{ID: "c"}, Protocol: -1, Err: errors.New("torn")},
			`{"id":"c","user":null,"class":null,"protocol":null,"size":0,"modified":null,"created":null,"error":"torn"}`,
		},
	} {
		got, err := c.entry.MarshalJSON()
		if err != nil || string(got) != c.want {
			t.Errorf("got  %s (%v)\nwant %s", got, err, c.want)
		}
	}
}

// Whatever users call themselves, the line is one of JSON and says so.
func TestEntryJSONKeepsNames(t *testing.T) {
	runes := rapid.RuneFrom([]rune("ab \"\\/<>&\x00\x1b\n\x7f\u009b\u2028\u202e\ufffdñ\U0001f4a9"))
	rapid.Check(t, func(t *rapid.T) {
		want := catalog.Entry{User: rapid.StringOf(runes).Draw(t, "user"), Class: rapid.String().Draw(t, "class")}
		line, err := want.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if i := bytes.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("byte %d of %q is not for a terminal", i, line)
		}
		var got struct{ User, Class string }
		if err := json.Unmarshal(line, &got); err != nil || got.User != want.User || got.Class != want.Class {
			t.Errorf("%s is read as %+v (%v)", line, got, err)
		}
	})
}

func TestFilter(t *testing.T) {
	now := time.Now()
	entry := catalog.Entry{
		Info:  store.Info{ID: "a", Size: 100, Modified: now.Add(-time.Hour)},
		Class: "shop.Session", User: "alonso", Created: now.Add(-3 * time.Hour),
	}
	noAge := entry
	noAge.Created = time.Time{}
	broken := entry
	broken.Err = errors.New("torn")
	for i, c := range []struct {
		filter catalog.Filter
		entry  catalog.Entry
		want   bool
	}{
		{catalog.Filter{}, entry, true},
		{catalog.Filter{User: "alonso"}, entry, true},
		{catalog.Filter{User: "alons"}, entry, false},
		{catalog.Filter{Class: "shop.Session"}, entry, true},
		{catalog.Filter{Class: "Session"}, entry, false},
		{catalog.Filter{MinAge: 2 * time.Hour, MaxAge: 4 * time.Hour}, entry, true},
		{catalog.Filter{MinAge: 4 * time.Hour}, entry, false},
		{catalog.Filter{MaxAge: 2 * time.Hour}, entry, false},
		{catalog.Filter{MinAge: 1}, noAge, false},
		{catalog.Filter{MaxAge: time.Hour}, noAge, false},
		{catalog.Filter{MinIdle: 30 * time.Minute, MaxIdle: 2 * time.Hour}, entry, true},
		{catalog.Filter{MinIdle: 2 * time.Hour}, entry, false},
		{catalog.Filter{MaxIdle: 30 * time.Minute}, entry, false},
		{catalog.Filter{MinSize: 100, MaxSize: 100}, entry, true},
		{catalog.Filter{MinSize: 101}, entry, false},
		{catalog.Filter{MaxSize: 99}, entry, false},
		{catalog.Filter{Broken: true}, entry, false},
		{catalog.Filter{Broken: true}, broken, true},
	} {
		if got := c.filter.Match(&c.entry, now); got != c.want {
			t.Errorf("case %d, %+v: got %v", i, c.filter, got)
		}
	}
}

func TestTally(t *testing.T) {
	policy, err := pickle.NewPolicy(pickle.PolicyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cart := &pickle.Object{Callable: pickle.Import{Module: "shop", Name: "Cart"}, Args: new(pickle.Tuple)}
	states := [][]byte{
		session(t, 4, sessionClass, attributes(pickle.Str("a"), cart, pickle.Str("b"), pickle.Import{Module: "shop", Name: "Cart"})),
		session(t, 4, sessionClass, attributes(pickle.Str("a"), cart)),
		session(t, 4, sessionClass, attributes(pickle.Str("a"), pickle.Import{Module: "os", Name: "system"})),
	}
	var tally catalog.Tally
	for _, state := range states {
		report, err := pickle.Verify(state, pickle.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		tally.Add(&report, policy)
	}
	tally.Add(nil, policy)
	var got []string
	for _, use := range tally.Uses() {
		got = append(got, fmt.Sprint(use.Sessions, " ", use.Name, " ", use.Roles, " ", use.Refused != nil))
	}
	want := []string{
		"3 session3.Session.Session map[class:3] false",
		"2 shop.Cart map[class:2 loaded:1] false",
		"1 os.system map[loaded:1] true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if tally.Sessions != 4 || tally.Broken != 1 {
		t.Errorf("%d sessions, %d broken", tally.Sessions, tally.Broken)
	}
}
