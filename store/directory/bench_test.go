package directory_test

import (
	"fmt"
	"testing"

	"alforja/pickle"
	"alforja/store"
	"alforja/store/directory"
)

func BenchmarkStore(b *testing.B) {
	for _, size := range []int{266, 5_000, 200_000} {
		s, _ := open(b, directory.Options{})
		ctx, state := b.Context(), pickled('b', size-8)
		must(b, s.Create(ctx, "a", state))
		load := func(b *testing.B) {
			if _, found, err := s.Load(ctx, "a"); !found || err != nil {
				b.Fatal(found, err)
			}
		}
		save := func(b *testing.B) {
			if found, err := s.Update(ctx, "a", state); !found || err != nil {
				b.Fatal(found, err)
			}
		}
		for name, op := range map[string]func(*testing.B){
			"load": load, "save": save, "load+save": func(b *testing.B) { load(b); save(b) },
		} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					op(b)
				}
			})
		}
	}
}

// A state of many small values, as of a full cart, and not of one long string.
func BenchmarkLoadStructured(b *testing.B) {
	for _, items := range []int{100, 4_000} {
		cart := &pickle.List{}
		for i := range items {
			article := []pickle.Value{pickle.Str(fmt.Sprint("article ", i)), pickle.Int(i), pickle.Float(9.99)}
			cart.Items = append(cart.Items, &pickle.Tuple{Items: article})
		}
		state, err := pickle.Append(nil, cart, 4)
		must(b, err)
		s, _ := open(b, directory.Options{})
		must(b, s.Create(b.Context(), "a", state))
		b.Run(fmt.Sprint(len(state)), func(b *testing.B) {
			for b.Loop() {
				if _, found, err := s.Load(b.Context(), "a"); !found || err != nil {
					b.Fatal(found, err)
				}
			}
		})
	}
}

func BenchmarkTouch(b *testing.B) {
	s, _ := open(b, directory.Options{})
	must(b, s.Create(b.Context(), "a", pickled('a', 258)))
	for b.Loop() {
		if _, err := s.Touch(b.Context(), "a"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLock(b *testing.B) {
	s, _ := open(b, directory.Options{})
	for b.Loop() {
		unlock, err := s.Lock(b.Context(), "a")
		if err != nil {
			b.Fatal(err)
		}
		unlock()
	}
}

func BenchmarkCreateDelete(b *testing.B) {
	s, _ := open(b, directory.Options{})
	state := pickled('a', 258)
	for b.Loop() {
		if err := s.Create(b.Context(), "a", state); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Delete(b.Context(), "a"); err != nil {
			b.Fatal(err)
		}
	}
}

// What a request does to the store. One session used again and again pays for
// the turnstile of Lock; among many sessions hardly any does.
func BenchmarkRequest(b *testing.B) {
	for _, sessions := range []int{1, 1024} {
		s, _ := open(b, directory.Options{})
		ctx, state, ids := b.Context(), pickled('b', 258), make([]string, sessions)
		for i := range ids {
			ids[i] = store.NewID()
			must(b, s.Create(ctx, ids[i], state))
		}
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				id := ids[i%sessions]
				unlock, err := s.Lock(ctx, id)
				must(b, err)
				_, _, err = s.Load(ctx, id)
				must(b, err)
				_, err = s.Update(ctx, id, state)
				must(b, err)
				unlock()
			}
		})
	}
}
