package memory_test

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"alforja/store"
	"alforja/store/memory"
	"alforja/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return memory.New() })
}

func TestAside(t *testing.T) {
	s := memory.New()
	if err := s.Create(t.Context(), "a", []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	if done, err := s.SetAside(t.Context(), "a", []byte("garbage")); !done || err != nil {
		t.Fatalf("SetAside = %v, %v", done, err)
	}
	if got := string(s.Aside()["a"]); got != "garbage" {
		t.Errorf("kept %q, want what was stored", got)
	}
}

func TestAsideHasTheLastOfEachWhenItIsFull(t *testing.T) {
	s := memory.New()
	setAside := func(id, state string) {
		if err := s.Create(t.Context(), id, []byte(state)); err != nil {
			t.Fatal(err)
		}
		if done, err := s.SetAside(t.Context(), id, []byte(state)); !done || err != nil {
			t.Fatalf("SetAside = %v, %v", done, err)
		}
	}
	for i := range 1001 {
		setAside(fmt.Sprint("s", i), "first")
	}
	setAside("s0", "last")
	if aside := s.Aside(); len(aside) != 1000 || string(aside["s0"]) != "last" {
		t.Errorf("%d kept, s0 as %q", len(aside), aside["s0"])
	}
}
