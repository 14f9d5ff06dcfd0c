package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
)

// countMark stands before the twelve digits that count a state's updates.
const countMark = "count="

const countDigits = 12

// hammer has n goroutines count up, each one session after the other at
// random, as a gateway does: lock, load, update, unlock. A session's new state is any of
// states with the count put in, so that files grow and shrink. After each update, under the lock still, it
// says "ID COUNT".
func (d *driver) hammer(ctx context.Context, n string, ids, states []string) (string, error) {
	goroutines, err := strconv.Atoi(n)
	if err != nil {
		return "", err
	}
	templates := make([][]byte, len(states))
	for i, state := range states {
		if templates[i], err = base64.StdEncoding.DecodeString(state); err != nil {
			return "", err
		}
	}
	failed := make(chan error, goroutines)
	var output sync.Mutex
	said := func(line string) {
		output.Lock()
		defer output.Unlock()
		fmt.Fprintln(d.out, line)
	}
	for range goroutines {
		go func() {
			for {
				id, template := ids[rand.IntN(len(ids))], templates[rand.IntN(len(templates))]
				if err := d.countUp(ctx, id, template, said); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return "", <-failed
}

func (d *driver) countUp(ctx context.Context, id string, template []byte, said func(string)) error {
	unlock, err := d.store.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	state, found, err := d.store.Load(ctx, id)
	if err != nil || !found {
		return fmt.Errorf("load %s: found %v, error %w", id, found, err)
	}
	count, err := countOf(state)
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	count++
	if found, err = d.store.Update(ctx, id, withCount(template, count)); err != nil || !found {
		return fmt.Errorf("update %s: found %v, error %w", id, found, err)
	}
	said(fmt.Sprintf("%s %d", id, count))
	return nil
}

func countOf(state []byte) (int, error) {
	_, digits, marked := bytes.Cut(state, []byte(countMark))
	if !marked || len(digits) < countDigits {
		return 0, errors.New("a state without a count")
	}
	return strconv.Atoi(string(digits[:countDigits]))
}

func withCount(template []byte, count int) []byte {
	state := bytes.Clone(template)
	at := bytes.Index(state, []byte(countMark)) + len(countMark)
	copy(state[at:], fmt.Sprintf("%0*d", countDigits, count))
	return state
}
