package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"alforja/store/transfer"
)

func TestProgressLine(t *testing.T) {
	for _, c := range []struct {
		total, done int
		elapsed     time.Duration
		want        string
	}{
		{0, 0, 0, "0 sessions, 0 a second, 0s"},
		{0, 1234, 2 * time.Second, "1234 sessions, 617 a second, 2s"},
		{1000, 250, time.Second, "[#####...............]  25 %, 250 sessions, 250 a second, 3s left"},
		{1000, 1000, 4 * time.Second, "[####################] 100 %, 1000 sessions, 250 a second, 0s left"},
		{1000, 1100, 4 * time.Second, "[####################] 100 %, 1100 sessions, 275 a second, 0s left"}, // more came
	} {
		p := &progress{total: c.total, done: c.done}
		if got := p.line(c.elapsed); got != c.want {
			t.Errorf("got  %q\nwant %q", got, c.want)
		}
	}
}

func TestProgressShowsAndClears(t *testing.T) {
	var none *progress // as where there is no terminal
	none.step()
	none.clear()

	var out strings.Builder
	p := &progress{to: &out, start: time.Now()}
	p.step()
	p.step() // within the same moment: not shown
	p.clear()
	p.clear()
	if got := out.String(); strings.Count(got, "\r\x1b[K") != 2 || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("%q", got)
	}
}

func TestStoresApart(t *testing.T) {
	dir := t.TempDir()
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	if err := os.Mkdir(real, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, c := range []struct {
		a, b  string
		apart bool
	}{
		{real, real, false},
		{real, real + "/", false},
		{real, "real", false},
		{real, link, false},
		{dir + "/none", "none", false},
		{dir + "/none/a", "none/b/../a", false},
		{real, real + "/sub", false},
		{real, link + "/sub/sub", false},
		{dir, real, false},
		{"/", real, false},
		{real, real + "2", true},
		{real, dir + "/other/sub", true},
		{"none", "link", true},
		{"", "real", true}, // names no directory: opening it says so
	} {
		for _, pair := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			err := apart("directory:"+pair[0], "directory:"+pair[1])
			if usage := *new(usageError); (err == nil) != c.apart || err != nil && !errors.As(err, &usage) {
				t.Errorf("%s and %s: %v", pair[0], pair[1], err)
			}
		}
	}
}

// What the allow-list is pasted from is written by whoever wrote the sessions.
func TestTOMLString(t *testing.T) {
	for _, name := range []string{"shop.Cart", `a"b\c`, "a\nallow = [\"os.*\"]", "\x00\x1b\x7f\u202e", "Ñandú.Ñ"} {
		text := tomlString(name)
		if strings.ContainsAny(text, "\n\x1b\x7f\u202e") {
			t.Errorf("%q is written as %q", name, text)
		}
		var doc struct{ Allow []string }
		if _, err := toml.Decode("allow = ["+text+"]", &doc); err != nil || len(doc.Allow) != 1 || doc.Allow[0] != name {
			t.Errorf("%q is read back as %q, %v", name, doc.Allow, err)
		}
	}
}

func TestCountsText(t *testing.T) {
	for counts, want := range map[transfer.Counts]string{
		{}: "0 created, 0 updated, 0 touched, 0 unchanged",
		{Created: 1, Updated: 2, Touched: 3, Unchanged: 4, Newer: 5, Deleted: 6, Failed: 7}: "1 created, 2 updated, 3 touched, 4 unchanged, 6 deleted, 5 newer there and left, 7 failed",
	} {
		if got := countsText(&counts); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestRowsAlign(t *testing.T) {
	head := row("ID", "USER", "CLASS", "PROTO", "SIZE", "MODIFIED", "")
	line := row("4x1QZb2iXh8mXeT0a9cKqw", "alonso", "session3.Session.Session", "4", "266", "2024-05-01 12:00:00", "")
	if strings.Index(head, "MODIFIED") != strings.Index(line, "2024") {
		t.Errorf("\n%s\n%s", head, line)
	}
}

func TestDiff(t *testing.T) {
	got, err := diff("id", []byte("\x80\x04]cshop\nA\na."), []byte("\x80\x04]cstore\nB\na."))
	want := "--- id\n+++ id\n@@ -3 +3 @@\n-    \"$import\": \"shop.A\"\n+    \"$import\": \"store.B\"\n"
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// What --help shows as an example must at least be a command line.
func TestExamplesAreCommandLines(t *testing.T) {
	for _, cmd := range append(sessionsCommand().Commands(), sessionsCommand()) {
		found := 0
		for line := range strings.Lines(cmd.Example) {
			for part := range strings.SplitSeq(line, " | ") {
				part, _, _ = strings.Cut(part, " > ")
				words := strings.Fields(strings.ReplaceAll(part, "'", ""))
				if len(words) == 0 || words[0] != "alforja" {
					continue
				}
				found++
				got, rest, err := rootCommand().Find(words[1:])
				if err == nil {
					err = got.ParseFlags(rest)
				}
				if err != nil || cmd.Name() != "sessions" && got.Name() != cmd.Name() {
					t.Errorf("%s: %s: %v (%s)", cmd.Name(), part, err, got.Name())
				}
			}
		}
		if found == 0 {
			t.Errorf("%s has no example", cmd.Name())
		}
	}
}

func TestCommandLineWinsOverConfiguration(t *testing.T) {
	config := filepath.Join(t.TempDir(), "alforja.toml")
	text := `store = "directory:/a"
store_mode = "0660"
store_group = "web"
store_fan_out = true
durability = "power"
policy = "strict"
allow = ["shop.*"]
lock_wait = "5s"
`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var o operator
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.addStoreFlags(flags)
	o.addPolicyFlags(flags)
	o.addLockFlag(flags)
	line := []string{"--config", config, "--store-mode", "0640", "--allow", "cart.Cart", "--allow", "app.User", "--lock-wait", "1s"}
	if err := flags.Parse(line); err != nil {
		t.Fatal(err)
	}
	if err := o.prepare(); err != nil {
		t.Fatal(err)
	}
	got := []any{o.store, o.directory.mode, o.directory.group, o.directory.fanOut, o.durability, o.policy, o.allow, o.lockWait}
	want := []any{"directory:/a", "0640", "web", true, "power", "strict", []string{"cart.Cart", "app.User"}, time.Second}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
