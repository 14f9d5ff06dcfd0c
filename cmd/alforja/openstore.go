package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"alforja/store"
	"alforja/store/directory"
	"alforja/store/memory"
)

// directorySettings are what the flags say about a directory store's files.
type directorySettings struct {
	mode, owner, group string
	fanOut             bool
	patience           time.Duration
}

func (d *directorySettings) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&d.mode, "store-mode", "0600", "octal `mode` of session files: 0600, or 0640 or 0660 to share them with a group")
	flags.StringVar(&d.owner, "store-owner", "", "`user` to give session files to (default: for root the directory's owner, else oneself)")
	flags.StringVar(&d.group, "store-group", "", "`group` to give session files to (default: with a mode for it, the directory's)")
	flags.BoolVar(&d.fanOut, "store-fan-out", false, "keep sessions in aa/bb/ID, for many millions; session3 cannot read them there")
	flags.DurationVar(&d.patience, "store-patience", 500*time.Millisecond, "how long to wait for a Python process that has emptied a session file to fill it")
}

// openStore opens the store that --store names: KIND:WHERE.
func (s *settings) openStore(logger *slog.Logger) (store.Store, error) {
	spec := s.store
	kind, where, _ := strings.Cut(spec, ":")
	switch kind {
	case "directory":
		if where == "" {
			return nil, usageError{fmt.Errorf("store %q names no directory; write directory:/var/lib/app/sessions", spec)}
		}
		return s.openDirectory(where, logger)
	case "memory":
		if where != "" {
			return nil, usageError{fmt.Errorf("store %q: memory: takes no place", spec)}
		}
		return memory.New(), nil
	case "":
		return nil, usageError{fmt.Errorf("no session store: give --store directory:PATH")}
	}
	return nil, usageError{fmt.Errorf("unknown store %q%s (known: directory:PATH, memory:)", spec,
		didYouMean(kind, []string{"directory", "memory"}, ""))}
}

func (s *settings) openDirectory(path string, logger *slog.Logger) (store.Store, error) {
	options, err := s.directoryOptions(logger)
	if err != nil {
		return nil, err
	}
	return directory.Open(path, options)
}

// directoryOptions turns the settings into what the directory store takes.
func (s *settings) directoryOptions(logger *slog.Logger) (opts directory.Options, err error) {
	if s.directory.fanOut && s.mode == "shared" {
		return opts, usageError{errors.New("--store-fan-out has no place in shared mode: workers look for sessions in one flat directory")}
	}
	if s.directory.patience < 0 {
		return opts, usageError{fmt.Errorf("--store-patience %v must be more than 0", s.directory.patience)}
	}
	var mode fs.FileMode
	if s.directory.mode != "" {
		n, err := strconv.ParseUint(s.directory.mode, 8, 32)
		if err != nil {
			return opts, usageError{fmt.Errorf("--store-mode %q is no octal number such as 0660", s.directory.mode)}
		}
		mode = fs.FileMode(n)
	}
	return directory.Options{
		Create:     true,
		Durability: directory.Durability(s.durability),
		Mode:       mode,
		Owner:      s.directory.owner,
		Group:      s.directory.group,
		FanOut:     s.directory.fanOut,
		Patience:   s.directory.patience,
		StateDir:   s.stateDir,
		Logger:     logger,
	}, nil
}
