package dated_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"alforja/store"
	"alforja/store/dated"
	"alforja/store/memory"
)

func TestLockIsBounded(t *testing.T) {
	s := memory.New()
	unlock, err := dated.Lock(t.Context(), s, "a", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dated.Lock(t.Context(), s, "a", time.Millisecond); !errors.Is(err, store.ErrBusy) {
		t.Errorf("held: %v", err)
	}
	unlock()
	again, err := dated.Lock(t.Context(), s, "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	again()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := dated.Lock(ctx, s, "a", time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
}
