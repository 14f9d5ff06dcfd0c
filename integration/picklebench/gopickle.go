package main

import (
	"strings"

	"github.com/nlpodyssey/gopickle/pickle"
)

// A class stands for every class of a session: gopickle's own stand-in takes
// no attributes.
type class struct{ module, name string }

func (c *class) PyNew(...any) (any, error) { return &instance{class: c}, nil }

type instance struct {
	class *class
	state any
}

func (i *instance) PySetState(state any) error {
	i.state = state
	return nil
}

func gopickleLoad(text string) error {
	u := pickle.NewUnpickler(strings.NewReader(text))
	u.FindClass = func(module, name string) (any, error) { return &class{module, name}, nil }
	_, err := u.Load()
	return err
}
