package main

import (
	"fmt"
	"log/slog"
	"strings"

	"alforja/store"
	"alforja/store/directory"
	"alforja/store/memory"
)

// openStore opens the store that --store names: KIND:WHERE.
func (s *settings) openStore(logger *slog.Logger) (store.Store, error) {
	spec := s.store
	kind, where, _ := strings.Cut(spec, ":")
	switch kind {
	case "directory":
		if where == "" {
			return nil, usageError{fmt.Errorf("store %q names no directory; write directory:/var/lib/app/sessions", spec)}
		}
		return directory.Open(where, directory.Options{
			Create:     true,
			Durability: directory.Durability(s.durability),
			StateDir:   s.stateDir,
			Logger:     logger,
		})
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
