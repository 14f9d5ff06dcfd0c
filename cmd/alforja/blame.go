package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// checkAll says all that is wrong with settings, by line where a key of the
// configuration file is to blame. read reads them as if some keys were absent.
func checkAll(read func(ignored ...tableKey) (*settings, error)) error {
	problem := func(ignored []tableKey) (*settings, error) {
		s, err := read(ignored...)
		if err == nil {
			err = s.check()
		}
		return s, err
	}
	var wrong []error
	var blamed []tableKey
	for {
		s, err := problem(blamed)
		if err == nil || slices.ContainsFunc(blamed, func(key tableKey) bool { return tells(err, key.key) }) {
			break // the second: it may be wrong only because that key is ignored
		}
		if s == nil && len(blamed) == 0 {
			return err // it names the lines itself
		}
		key, found := tableKey{}, false
		if s != nil {
			key, found = s.file.blame(err, func(key tableKey) error {
				_, without := problem(append(slices.Clip(blamed), key))
				return without
			})
		}
		if !found {
			wrong = append(wrong, err)
			break
		}
		wrong = append(wrong, fmt.Errorf("%s: %w", s.file.lines.of(key.pool, key.key), err))
		blamed = append(blamed, key)
	}
	if len(wrong) == 0 {
		return nil
	}
	return usageError{errors.Join(wrong...)}
}

// blame finds the key without which an error is not there. Of several, which
// are there when the one that is wrong depends on others, it is one without
// which all is well, or whose name or value the error tells.
func (f configFile) blame(err error, without func(tableKey) error) (culprit tableKey, found bool) {
	best := 0
	for key, value := range f.values {
		other := without(key)
		if other != nil && other.Error() == err.Error() {
			continue
		}
		weight := 1
		if other == nil {
			weight += 4
		}
		if tells(err, key.key) || tells(err, fmt.Sprint(value)) {
			weight += 2
		}
		if weight > best || weight == best && f.lines.before(key, culprit) {
			culprit, best = key, weight
		}
	}
	return culprit, best > 0
}

// tells reports whether an error speaks of a key or a value; "--lock-wait",
// "lock_wait" and "lock wait" are the same.
func tells(err error, what string) bool {
	words := func(text string) string {
		split := func(r rune) bool { return strings.ContainsRune(` -_"[]:,`, r) }
		return " " + strings.Join(strings.FieldsFunc(text, split), " ") + " "
	}
	return strings.Contains(words(err.Error()), words(what))
}
