package memory_test

import (
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
