package transfer_test

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"alforja/store"
	"alforja/store/catalog"
	"alforja/store/transfer"
)

func TestRoundTrip(t *testing.T) {
	from := open(t)
	for i := range 200 {
		put(t, from, fmt.Sprint("s-_", i), strings.Repeat("ñ", i*30), old.Add(time.Duration(i)*time.Nanosecond))
	}
	for _, form := range []string{"lines", "tar"} {
		var file bytes.Buffer
		w := transfer.NewLineWriter(&file)
		if form == "tar" {
			w = transfer.NewTarWriter(&file)
		}
		written, failed, err := transfer.Export(t.Context(), from, w, catalog.Judge{}, transfer.Options{})
		if err != nil || written != 200 || failed != 0 {
			t.Fatalf("%s: %d written, %d failed, %v", form, written, failed, err)
		}
		items := transfer.Lines(&file)
		if form == "tar" {
			items = transfer.Tar(&file)
		}
		to := open(t)
		counts, err := transfer.Import(t.Context(), to, items, transfer.Options{})
		if err != nil || counts != (transfer.Counts{Created: 200}) {
			t.Fatalf("%s: %+v, %v", form, counts, err)
		}
		if diff := cmp.Diff(contents(t, from), contents(t, to)); diff != "" {
			t.Error(form, diff)
		}
	}
}

func TestLineRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := catalog.Entry{
			Info:  store.Info{ID: rapid.StringMatching(`[A-Za-z0-9_-]{1,128}`).Draw(t, "id"), Modified: time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns"))},
			User:  rapid.String().Draw(t, "user"),
			Class: rapid.String().Draw(t, "class"),
		}
		data := rapid.SliceOf(rapid.Byte()).Draw(t, "state")
		line, err := transfer.AppendLine(nil, e, data)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.ContainsAny(line, "\n\r\x1b\x7f") {
			t.Fatalf("control characters in %q", line)
		}
		got, err := transfer.ParseLine(line)
		if err != nil || got.ID != e.ID || !got.Modified.Equal(e.Modified) || !bytes.Equal(got.State, data) {
			t.Fatalf("%s is read as %+v, %v", line, got, err)
		}
	})
}

func line(t *testing.T, id, text, more string) string {
	return fmt.Sprintf(`{"id":%q,"pickle":%q%s}`, id, base64.StdEncoding.EncodeToString(state(t, text)), more)
}

// One wrong line stops nothing, and is named by its number.
func TestImportLines(t *testing.T) {
	lines := []string{
		line(t, "one", "1", `,"modified":"2024-05-01T12:00:00Z"`),
		``,
		`{"id":"torn","pickle":"gAQ="}`,
		`not JSON`,
		line(t, "../evil", "x", ""),
		`{"id":"x"}`,
		`{"pickle":"Ti4="}`,
		`{"id":"x","pickle":"***"}`,
		`{"id":"x","pickle":"Ti4=","modified":"yesterday"}`,
		line(t, "two", "2", `,"modified":"2024-05-01T14:00:00+02:00","user":{"any":"thing"},"unknown":[1]`),
		strings.Repeat("x", 8<<20),
		line(t, "three", "3", ""),
		line(t, "future", "4", `,"modified":"2999-05-01T12:00:00Z"`),
		line(t, "last", "5", ""),
	}
	to := open(t)
	var places []string
	counts, err := transfer.Import(t.Context(), to, transfer.Lines(strings.NewReader(strings.Join(lines, "\n"))), transfer.Options{
		Report: func(place string, err error) {
			places = append(places, place)
			if place == "line 11" && !strings.Contains(err.Error(), "longer than") {
				t.Errorf("%s: %v", place, err)
			}
		},
	})
	if err != nil || counts != (transfer.Counts{Created: 5, Failed: 8}) {
		t.Errorf("%+v, %v", counts, err)
	}
	want := []string{"line 3", "line 4", "line 5", "line 6", "line 7", "line 8", "line 9", "line 11"}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Error(diff)
	}
	for _, id := range []string{"one", "two"} {
		if info, _, _ := to.Stat(t.Context(), id); !info.Modified.Equal(time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: modified %v", id, info.Modified)
		}
	}
	if info, _, _ := to.Stat(t.Context(), "future"); time.Since(info.Modified) < 0 {
		t.Errorf("modified in the future: %v", info.Modified)
	}
}

func TestImportOverwrites(t *testing.T) {
	const newer, older, undated = `,"modified":"2024-05-01T12:00:00Z"`, `,"modified":"2001-05-01T12:00:00Z"`, ""
	for _, c := range []struct {
		when      string
		overwrite bool
		want      transfer.Counts
		text      string
	}{
		{newer, false, transfer.Counts{Updated: 1}, "new"},
		{older, false, transfer.Counts{Newer: 1}, "old"},
		{undated, false, transfer.Counts{Newer: 1}, "old"},
		{newer, true, transfer.Counts{Updated: 1}, "new"},
		{older, true, transfer.Counts{Updated: 1}, "new"},
		{undated, true, transfer.Counts{Updated: 1}, "new"},
	} {
		to := open(t)
		put(t, to, "id", "old", old) // of 2023
		counts, err := transfer.Import(t.Context(), to, transfer.Lines(strings.NewReader(line(t, "id", "new", c.when))), transfer.Options{Overwrite: c.overwrite})
		data, _, _ := to.Load(t.Context(), "id")
		if err != nil || counts != c.want || string(data) != string(state(t, c.text)) {
			t.Errorf("%s, overwrite %v: %+v, %v, %q", c.when, c.overwrite, counts, err, data)
		}
	}
}

func TestImportTar(t *testing.T) {
	var file bytes.Buffer
	w := tar.NewWriter(&file)
	add := func(name string, kind byte, data []byte) {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: kind, Size: int64(len(data)), ModTime: old, Linkname: map[bool]string{true: "/etc/passwd"}[kind == tar.TypeSymlink]}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	add("./", tar.TypeDir, nil)
	add("./one", tar.TypeReg, state(t, "1"))
	add("link", tar.TypeSymlink, nil)
	add("sessions/two", tar.TypeReg, state(t, "2"))
	add("bad.id", tar.TypeReg, state(t, "3"))
	add("huge", tar.TypeReg, make([]byte, store.MaxStateBytes+1))
	add("three", tar.TypeReg, state(t, "3"))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()

	var places []string
	to := open(t)
	counts, err := transfer.Import(t.Context(), to, transfer.Tar(bytes.NewReader(whole)), transfer.Options{
		Report: func(place string, _ error) { places = append(places, place) },
	})
	if err != nil || counts != (transfer.Counts{Created: 3, Failed: 2}) || cmp.Diff([]string{"entry 5", "entry 6"}, places) != "" {
		t.Errorf("%+v, %v, %q", counts, err, places)
	}
	counts, err = transfer.Import(t.Context(), open(t), transfer.Tar(bytes.NewReader(whole[:2000])), transfer.Options{})
	if !errors.Is(err, io.ErrUnexpectedEOF) || counts.Created != 1 {
		t.Errorf("cut: %+v, %v", counts, err)
	}
}

// Wherever an archive is cut, somebody hears of it.
func TestImportTarMissesItsEnd(t *testing.T) {
	from := open(t)
	for _, id := range []string{"a", "b", "c"} {
		if err := from.Create(t.Context(), id, state(t, id)); err != nil {
			t.Fatal(err)
		}
	}
	var file bytes.Buffer
	if _, _, err := transfer.Export(t.Context(), from, transfer.NewTarWriter(&file), catalog.Judge{}, transfer.Options{}); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	sessions := len(whole) - 1024 // two blocks end it
	for length := 0; length <= len(whole); length += 64 {
		counts, err := transfer.Import(t.Context(), open(t), transfer.Tar(iotest.OneByteReader(bytes.NewReader(whole[:length]))), transfer.Options{})
		switch {
		case length == len(whole), length == sessions+512: // that the second one is missing costs nothing
			if err != nil || counts.Created != 3 {
				t.Errorf("%d of %d bytes: %+v, %v", length, len(whole), counts, err)
			}
		case !errors.Is(err, transfer.ErrCut) && !errors.Is(err, io.ErrUnexpectedEOF):
			t.Errorf("%d of %d bytes: %+v, %v", length, len(whole), counts, err)
		}
	}
}

// An entry that claims to be huge is not read into memory.
func TestImportTarSkipsHugeEntries(t *testing.T) {
	var file bytes.Buffer
	if err := tar.NewWriter(&file).WriteHeader(&tar.Header{Name: "huge", Typeflag: tar.TypeReg, Size: 1 << 40}); err != nil {
		t.Fatal(err)
	}
	counts, err := transfer.Import(t.Context(), open(t), transfer.Tar(&file), transfer.Options{})
	if !errors.Is(err, io.ErrUnexpectedEOF) || counts.Failed != 1 {
		t.Errorf("%+v, %v", counts, err)
	}
}

// What cannot be used is exported all the same, with the reason.
func TestExportKeepsBrokenSessions(t *testing.T) {
	s := open(t)
	if err := s.Create(t.Context(), "torn", []byte("\x80\x04gar")); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	written, failed, err := transfer.Export(t.Context(), s, transfer.NewLineWriter(&file), catalog.Judge{}, transfer.Options{})
	r, parseErr := transfer.ParseLine(file.Bytes())
	if err != nil || parseErr != nil || written != 1 || failed != 0 || string(r.State) != "\x80\x04gar" || !strings.Contains(file.String(), `"error":`) {
		t.Errorf("%d, %d, %v, %v: %s", written, failed, err, parseErr, file.String())
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte(`{"id":"a","modified":"2024-05-01T12:00:00Z","pickle":"Ti4="}`))
	f.Add([]byte("{\"id\":\"a\"}\n\n{\"pickle\":null}\r\nnull\n[]\n\"x\"\n1e999"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := 0
		for item, err := range transfer.Lines(bytes.NewReader(data)) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; item.Err == nil && item.Record.ID == "" && item.Record.State == nil {
				t.Fatalf("%+v", item)
			}
		}
		if most := bytes.Count(data, []byte("\n")) + 1; n > most {
			t.Fatalf("%d items in %d lines", n, most)
		}
	})
}
