package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/spf13/pflag"
)

// readConfig sets every flag that the file has a key for and that the command
// line has not set. The keys are the flags' names with '_' for '-', and
// command, the words that stand behind "--": so each flag has its key, and
// what is no flag is an error. It returns the file's command.
func readConfig(path string, flags *pflag.FlagSet) (command []string, err error) {
	var values map[string]any
	if _, err := toml.DecodeFile(path, &values); err != nil {
		var syntax toml.ParseError
		if errors.As(err, &syntax) {
			return nil, usageError{fmt.Errorf("%s: %s", path, syntax.ErrorWithPosition())}
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil, usageError{fmt.Errorf("configuration file: %w", err)}
		}
		return nil, usageError{fmt.Errorf("%s: %w", path, err)}
	}
	keys := []string{"command"}
	for _, name := range flagNames(flags) {
		if name != "config" && name != "help" {
			keys = append(keys, strings.ReplaceAll(name, "-", "_"))
		}
	}
	for key, value := range values {
		if key == "command" {
			if command, err = stringList(value); err != nil {
				return nil, usageError{fmt.Errorf("%s: command: %w", path, err)}
			}
			continue
		}
		flag := flags.Lookup(strings.ReplaceAll(key, "_", "-"))
		if flag == nil || key == "config" || key == "help" || strings.Contains(key, "-") {
			return nil, usageError{fmt.Errorf("%s: unknown key %q%s", path, key, didYouMean(key, keys, ""))}
		}
		if flag.Changed {
			continue
		}
		if err := setFlag(flag, value); err != nil {
			return nil, usageError{fmt.Errorf("%s: %s: %w", path, key, err)}
		}
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
	case string, int64, float64, bool:
		return flag.Value.Set(fmt.Sprint(value))
	}
	return fmt.Errorf("wants one value, and has %v", value)
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
