package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/pflag"
)

// A configFile is what is no flag in a configuration file.
type configFile struct {
	command []string         // the words that stand behind "--"
	pools   []map[string]any // the [[pool]] tables
	lines   keyLines
	values  map[tableKey]any // of all keys
}

// readConfig sets every flag that the file has a key for and that the command
// line has not set. The keys are the flags' names with '_' for '-', beside
// command and [[pool]]: so each flag has its key, and what is no flag is an
// error. All errors of the file are told at once, by line. Keys that are to be
// ignored count as absent.
func readConfig(path string, flags *pflag.FlagSet, ignored ...tableKey) (file configFile, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return file, usageError{fmt.Errorf("configuration file: %w", err)}
	}
	var values map[string]any
	if err := toml.Unmarshal(text, &values); err != nil {
		var syntax toml.ParseError
		if errors.As(err, &syntax) {
			return file, usageError{fmt.Errorf("%s: %s", path, syntax.ErrorWithPosition())}
		}
		return file, usageError{fmt.Errorf("%s: %w", path, err)}
	}
	file.lines = findKeys(path, string(text))
	if pools, ok := values["pool"]; ok {
		if file.pools, ok = pools.([]map[string]any); !ok {
			return file, usageError{fmt.Errorf("%s: write [[pool]], with two brackets", file.lines.of(0, "pool"))}
		}
		delete(values, "pool")
	}
	file.values = map[tableKey]any{}
	for pool, table := range append([]map[string]any{values}, file.pools...) {
		for _, key := range ignored {
			if key.pool == pool {
				delete(table, key.key)
			}
		}
		for key, value := range table {
			file.values[tableKey{pool, key}] = value
		}
	}
	file.command, err = applyKeys(file.lines, 0, values, flags)
	return file, err
}

// keyLines says where a file's keys stand.
type keyLines struct {
	path  string
	lines map[tableKey]int
}

// tableKey is a key in the nth [[pool]], counted from 1, or in none for 0.
type tableKey struct {
	pool int
	key  string
}

// keyLine is a key, the first word of a dotted one, or the header of a table.
var keyLine = regexp.MustCompile(`^\s*(?:"?([A-Za-z0-9_-]+)"?\s*[=.]|\[\[?\s*"?([A-Za-z0-9_-]+))`)

// findKeys looks at the text of a file that TOML's grammar has passed. Where a
// text of several lines looks like a key, the first is the one that is told.
func findKeys(path, text string) keyLines {
	found := keyLines{path: path, lines: map[tableKey]int{}}
	pool, number := 0, 0
	for line := range strings.Lines(text) {
		number++
		trimmed := strings.TrimSpace(line)
		at := tableKey{pool: pool}
		switch match := keyLine.FindStringSubmatch(line); {
		case strings.HasPrefix(trimmed, "[[pool]]"):
			pool++
			at.pool = pool
		case match != nil:
			at.key = match[1] + match[2] // one of them is empty
		default:
			continue
		}
		if found.lines[at] == 0 {
			found.lines[at] = number
		}
	}
	return found
}

// of names the place of a key, or of a table for the key "".
func (k keyLines) of(pool int, key string) string {
	if line := k.lines[tableKey{pool, key}]; line > 0 {
		return fmt.Sprintf("%s:%d", k.path, line)
	}
	return k.path
}

// before reports whether a key stands before another.
func (k keyLines) before(x, y tableKey) bool { return k.lines[x] < k.lines[y] }

// applyKeys sets the flags that a table has keys for, and returns its command.
func applyKeys(lines keyLines, pool int, values map[string]any, flags *pflag.FlagSet) (command []string, err error) {
	keys := []string{"command"}
	for _, name := range flagNames(flags) {
		if name != "config" && name != "help" {
			keys = append(keys, strings.ReplaceAll(name, "-", "_"))
		}
	}
	byLine := func(x, y string) int { return lines.lines[tableKey{pool, x}] - lines.lines[tableKey{pool, y}] }
	var wrong []error
	for _, key := range slices.SortedFunc(maps.Keys(values), byLine) {
		where := lines.of(pool, key)
		flag := flags.Lookup(strings.ReplaceAll(key, "_", "-"))
		switch {
		case key == "command":
			if command, err = stringList(values[key]); err != nil {
				wrong = append(wrong, fmt.Errorf("%s: command: %w", where, err))
			}
		case flag == nil || key == "config" || key == "help" || strings.Contains(key, "-"):
			wrong = append(wrong, fmt.Errorf("%s: unknown key %q%s", where, key, didYouMean(key, keys, "")))
		case flag.Changed: // by the command line, which wins
		default:
			if err := setFlag(flag, values[key]); err != nil {
				wrong = append(wrong, fmt.Errorf("%s: %s: %w", where, key, err))
			}
		}
	}
	if len(wrong) > 0 {
		return nil, usageError{errors.Join(wrong...)}
	}
	return command, nil
}

func setFlag(flag *pflag.Flag, value any) error {
	if list, ok := flag.Value.(pflag.SliceValue); ok {
		words, err := stringList(value)
		if err != nil {
			return err
		}
		return list.Replace(words)
	}
	switch value.(type) {
	case string:
	case int64, float64, bool:
		if flag.Value.Type() == "string" { // a mode of 0o660 is 432 by now
			return fmt.Errorf("wants a text in quotes, and has %v", value)
		}
	default:
		return fmt.Errorf("wants one value, and has %v", value)
	}
	return flag.Value.Set(fmt.Sprint(value))
}

// stringList reads a list of strings, or one string as a list of one.
func stringList(value any) ([]string, error) {
	if one, ok := value.(string); ok {
		return []string{one}, nil
	}
	list, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("wants a list of strings, and has %v", value)
	}
	words := make([]string, len(list))
	for i, item := range list {
		if words[i], ok = item.(string); !ok {
			return nil, fmt.Errorf("wants a list of strings, and has %v in it", item)
		}
	}
	return words, nil
}
