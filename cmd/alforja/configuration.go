package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// configurationReference is docs/configuration.md: every key of the
// configuration file, from the flags that they are. A test compares the two.
func configurationReference() string {
	s := settings{pool: defaultPool()}
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	s.addServeFlags(flags)
	var text strings.Builder
	text.WriteString(`# Configuration

` + "`alforja serve --config FILE`" + ` reads a TOML file. Each key is a flag of
` + "`alforja serve`" + ` too, with ` + "`-` for `_`" + `; the command line wins. A key that may be
repeated as a flag is a list here. Durations are written ` + "`\"30s\"`, `\"5m\"`, `\"2h\"`" + `, sizes
` + "`1000000`, `\"64K\"`, `\"100M\"` or `\"2G\"`" + `.
` + "`alforja check --config FILE`" + ` says what is wrong with a file, by line.

SIGHUP and ` + "`alforja reload`" + ` take up what has changed of the keys with a "yes" under reload, and of ` + "`command`" + `:
fresh workers start, requests that arrive then go by the new settings, those that run end by the old. A change of the
others is named in the log and needs a restart; SIGUSR2 is one that refuses no connection, but leaves sockets with the mode
and owner that they have. Changes that would leave workers and gateway at odds are refused, and with them all
others: ` + "`mode`, `worker_user`" + `, what is in the ` + "`key_file`" + `, and which pools there are. A file that ` + "`check`" + ` refuses changes nothing.

The command that runs a worker is the key ` + "`command`" + `, a list of words.
`)
	pool := defaultPool()
	poolFlags := pflag.NewFlagSet("pool", pflag.ContinueOnError)
	pool.addFlags(poolFlags)
	pool.addServeFlags(poolFlags)
	writeKeys(&text, "Workers", "These can stand in a `[[pool]]` as well.", flags, func(f *pflag.Flag) bool { return poolFlags.Lookup(f.Name) != nil })
	writeKeys(&text, "Everything else", "", flags, func(f *pflag.Flag) bool { return f.Name != "config" && poolFlags.Lookup(f.Name) == nil })
	pool.addPoolFlags(poolFlags)
	writeKeys(&text, "More than one application", `A `+"`[[pool]]`"+` has workers of its own for the paths below its prefix. It may set any
key of Workers, and `+"`command`"+`; what else it does not set is as in the rest of the file or on the command line. What it
sets stays so, whatever the command line says.`, poolFlags,
		func(f *pflag.Flag) bool { return flags.Lookup(f.Name) == nil })
	text.WriteString(`
	[[pool]]
	name = "shop"
	prefix = "/shop"
	command = ["python3", "-m", "alforja.worker", "--factory", "shop.create_publisher"]
	workers = 2
`)
	return strings.ReplaceAll(text.String(), "\n\t", "\n    ")
}

// writeKeys writes a section on the flags that belong to it.
func writeKeys(to *strings.Builder, title, about string, flags *pflag.FlagSet, belongs func(*pflag.Flag) bool) {
	fmt.Fprintf(to, "\n## %s\n\n", title)
	if about != "" {
		fmt.Fprintf(to, "%s\n\n", about)
	}
	to.WriteString("| key | kind | default | reload | what it says |\n|---|---|---|---|---|\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if !belongs(f) {
			return
		}
		_, about := pflag.UnquoteUsage(f)
		standard := "`" + f.DefValue + "`"
		if f.DefValue == "" || f.DefValue == "[]" {
			standard = ""
		}
		about = strings.ReplaceAll(about, "|", "\\|")
		reload := "yes"
		if slices.Contains(restartFlags, f.Name) {
			reload = "no"
		}
		fmt.Fprintf(to, "| `%s` | %s | %s | %s | %s |\n", strings.ReplaceAll(f.Name, "-", "_"), kindOf(f), standard, reload, about)
	})
}

// kindOf says what TOML value a flag's key takes.
func kindOf(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "stringArray":
		return "list"
	case "int", "int64":
		return "number"
	case "bool":
		return "true, false"
	}
	return f.Value.Type()
}
