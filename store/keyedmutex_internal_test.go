package store

import (
	"context"
	"fmt"
	"testing"
)

func TestKeyedMutexKeepsNothing(t *testing.T) {
	var m KeyedMutex
	for i := range 1000 {
		unlock, err := m.Lock(context.Background(), fmt.Sprint(i))
		if err != nil {
			t.Fatal(err)
		}
		unlock()
	}
	if n := len(m.keys); n != 0 {
		t.Errorf("%d unused keys take memory", n)
	}
}

func BenchmarkKeyedMutex(b *testing.B) {
	var m KeyedMutex
	for b.Loop() {
		unlock, _ := m.Lock(context.Background(), "a")
		unlock()
	}
}
