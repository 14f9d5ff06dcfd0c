package catalog

import "time"

// A Filter chooses entries. The zero value of a field lets all pass.
type Filter struct {
	User             string        // whose session it is, as Entry.User has it
	Class            string        // as Entry.Class has it
	MinAge, MaxAge   time.Duration // since Entry.Created; what has none passes neither
	MinIdle, MaxIdle time.Duration // since Info.Modified
	MinSize, MaxSize int64         // in bytes
	Broken           bool          // only what has Entry.Err
}

// Match reports whether e passes at the time now.
func (f *Filter) Match(e *Entry, now time.Time) bool {
	age := now.Sub(e.Created)
	switch {
	case f.User != "" && e.User != f.User,
		f.Class != "" && e.Class != f.Class,
		(f.MinAge > 0 || f.MaxAge > 0) && e.Created.IsZero(),
		f.MinAge > 0 && age < f.MinAge,
		f.MaxAge > 0 && age > f.MaxAge,
		f.MinIdle > 0 && now.Sub(e.Modified) < f.MinIdle,
		f.MaxIdle > 0 && now.Sub(e.Modified) > f.MaxIdle,
		f.MinSize > 0 && e.Size < f.MinSize,
		f.MaxSize > 0 && e.Size > f.MaxSize,
		f.Broken && e.Err == nil:
		return false
	}
	return true
}
