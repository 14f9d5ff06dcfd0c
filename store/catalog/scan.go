package catalog

import (
	"context"
	"runtime"
	"sync"

	"alforja/store"
)

const (
	scanBatch   = 64      // sessions handed on at a time, at most
	scanBytes   = 1 << 20 // of their states, at most by one session
	scanWorkers = 4       // at most; each may hold a batch's states
)

// Scan calls work for each session of s, on several goroutines at once, and
// emit with each result, one at a time, in no particular order. All of them
// have returned when Scan does.
//
// Whatever is wrong with one session is for work to put into its result. Scan
// returns the first error of the list itself or of emit, and ctx's own error
// when that ends it; until then emit has got the result of every call of work.
func Scan[T any](ctx context.Context, s store.Store, work func(context.Context, store.Info) T, emit func(T) error) error {
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	batches := make(chan []store.Info)
	results := make(chan []T)
	var listErr error
	go func() {
		defer close(batches)
		listErr = list(ctx, s, batches)
	}()
	var workers sync.WaitGroup
	for range min(scanWorkers, runtime.GOMAXPROCS(0)) {
		workers.Go(func() {
			for batch := range batches {
				done := make([]T, 0, len(batch))
				for _, info := range batch {
					if ctx.Err() != nil {
						break
					}
					done = append(done, work(ctx, info))
				}
				results <- done
			}
		})
	}
	go func() {
		workers.Wait()
		close(results)
	}()

	var emitErr error
	for batch := range results {
		for _, result := range batch {
			if emitErr == nil {
				if emitErr = emit(result); emitErr != nil {
					cancel()
				}
			}
		}
	}
	if emitErr != nil {
		return emitErr
	}
	if listErr != nil { // written before batches, and so before results, was closed
		return listErr
	}
	return outer.Err()
}

// list hands the sessions of s to batches.
func list(ctx context.Context, s store.Store, batches chan<- []store.Info) error {
	batch, size := make([]store.Info, 0, scanBatch), int64(0)
	send := func() error {
		select {
		case batches <- batch:
			batch, size = make([]store.Info, 0, scanBatch), 0
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for info, err := range s.All(ctx, "") {
		if err != nil {
			return err
		}
		batch, size = append(batch, info), size+info.Size
		if len(batch) == scanBatch || size >= scanBytes {
			if err := send(); err != nil {
				return err
			}
		}
	}
	return send()
}

// Entries calls emit with the entry of each session of s, as Scan does. A
// session that cannot be read has an entry that says so.
func Entries(ctx context.Context, s store.Store, describe func(store.Info, []byte) Entry, emit func(Entry) error) error {
	type result struct {
		entry Entry
		found bool
	}
	return Scan(ctx, s, func(ctx context.Context, info store.Info) result {
		state, found, err := s.Load(ctx, info.ID)
		if err != nil {
			return result{Unreadable(info, err), ctx.Err() == nil}
		}
		if !found { // gone since it was listed
			return result{}
		}
		return result{describe(info, state), true}
	}, func(r result) error {
		if !r.found {
			return nil
		}
		return emit(r.entry)
	})
}
