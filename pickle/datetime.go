package pickle

import (
	"math"
	"time"
)

// Naive is the location of a time.Time that stands for a datetime without
// tzinfo: the clock it shows is meant, and no instant.
var Naive = time.FixedZone("naive", 0)

// NaiveFold is the same for one with fold=1: the second time that the clock
// shows this, after it was set back.
var NaiveFold = time.FixedZone("naive, fold=1", 0)

// A Date is a datetime.date.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// A TimeOfDay is a datetime.time.
type TimeOfDay struct {
	Hour, Minute, Second, Microsecond int
	Fold                              bool           // the second time that the clock shows this
	Zone                              *time.Location // nil: naive
}

// timeOf reads the ten bytes of datetime.__reduce_ex__: year, month (the
// high bit is fold), day, hour, minute, second, microseconds, big-endian.
func timeOf(args []Value) (any, bool) {
	b, zone, ok := timeArguments(args, 10)
	if !ok || !isClock(b[4:]) {
		return nil, false
	}
	year, month, day := int(b[0])<<8|int(b[1]), time.Month(b[2]&0x7f), int(b[3])
	fold := b[2]&0x80 != 0
	switch {
	case zone == nil && fold:
		zone = NaiveFold
	case zone == nil:
		zone = Naive
	}
	micro := int(b[7])<<16 | int(b[8])<<8 | int(b[9])
	t := time.Date(year, month, day, int(b[4]), int(b[5]), int(b[6]), micro*1000, zone)
	return other(t, fold), year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 && day <= 31
}

// other returns the other instant at which the clock of t's location shows
// the same as at t, when there is one and fold asks for it.
func other(t time.Time, fold bool) time.Time {
	const most = 3 * time.Hour // by which clocks are set back
	for _, near := range []time.Time{t.Add(-most), t.Add(most)} {
		again := t.Add(time.Duration(offsetAt(t)-offsetAt(near)) * time.Second)
		if offsetAt(again) == offsetAt(near) && again.After(t) == fold && !again.Equal(t) {
			return again
		}
	}
	return t
}

// timeOfDayOf reads the six bytes of time.__reduce_ex__: hour (the high bit is
// fold), minute, second, microseconds.
func timeOfDayOf(args []Value) (any, bool) {
	b, zone, ok := timeArguments(args, 6)
	if !ok || !isClock(string([]byte{b[0] & 0x7f})+b[1:]) {
		return nil, false
	}
	return TimeOfDay{
		Hour: int(b[0] & 0x7f), Minute: int(b[1]), Second: int(b[2]),
		Microsecond: int(b[3])<<16 | int(b[4])<<8 | int(b[5]),
		Fold:        b[0]&0x80 != 0, Zone: zone,
	}, true
}

// isClock says whether b is an hour, minute, second and microseconds.
func isClock(b string) bool {
	return b[0] < 24 && b[1] < 60 && b[2] < 60 && int(b[3])<<16|int(b[4])<<8|int(b[5]) < 1_000_000
}

// timeArguments returns n packed bytes and the time zone, nil when there is
// none. Python 2 writes the bytes as a str, which Python 3 takes as Latin-1.
func timeArguments(args []Value, n int) (b string, zone *time.Location, ok bool) {
	if len(args) == 0 || len(args) > 2 {
		return "", nil, false
	}
	switch packed := args[0].(type) {
	case Bytes:
		b, ok = string(packed), true
	case ByteStr:
		b, ok = string(packed), true
	case Str:
		b, ok = toLatin1(string(packed))
	}
	if !ok || len(b) != n {
		return "", nil, false
	}
	if len(args) == 2 {
		zone, ok = zoneOf(args[1])
	}
	return b, zone, ok
}

// zoneOf knows timezone.utc, timezone(timedelta) with and without a name, and
// ZoneInfo, whose key is looked up in Go's own database.
func zoneOf(v Value) (*time.Location, bool) {
	if v == (Import{"datetime", "timezone.utc"}) {
		return time.UTC, true
	}
	o, ok := v.(*Object)
	if !ok || o.Args == nil {
		return nil, false
	}
	switch isZoneInfo := o.isCallOf("zoneinfo", "ZoneInfo._unpickle"); {
	case isZoneInfo || o.isGetattrOf(Import{"zoneinfo", "ZoneInfo"}, "_unpickle"):
		key, ok := argument[Str](o.Args.Items, 0)
		if !ok {
			return nil, false
		}
		zone, err := time.LoadLocation(string(key))
		return zone, err == nil
	case o.isGetattr(Import{"datetime", "timezone"}, "utc"):
		return time.UTC, true
	}
	class, _ := o.Class()
	offset, ok := argument[*Object](o.Args.Items, 0)
	if class != (Import{"datetime", "timezone"}) || !ok {
		return nil, false
	}
	if class, _ := offset.Class(); class != (Import{"datetime", "timedelta"}) || offset.Args == nil {
		return nil, false
	}
	d, ok := durationOf(offset.Args.Items)
	seconds, _ := d.(time.Duration)
	if !ok || seconds%time.Second != 0 {
		return nil, false
	}
	name, named := argument[Str](o.Args.Items, 1)
	if seconds == 0 && !named {
		return time.UTC, true
	}
	return time.FixedZone(string(name), int(seconds/time.Second)), true
}

func dateOf(args []Value) (any, bool) {
	b, zone, ok := timeArguments(args, 4)
	if !ok || zone != nil {
		return nil, false
	}
	return Date{int(b[0])<<8 | int(b[1]), time.Month(b[2]), int(b[3])}, true
}

func durationOf(args []Value) (any, bool) {
	days, ok1 := argument[Int](args, 0)
	seconds, ok2 := argument[Int](args, 1)
	micro, ok3 := argument[Int](args, 2)
	const most = math.MaxInt64 / int64(24*time.Hour)
	if !ok1 || !ok2 || !ok3 || int64(days) >= most || int64(days) <= -most || uint64(seconds) >= 86400 || uint64(micro) >= 1e6 {
		return nil, false
	}
	return time.Duration(days)*24*time.Hour + time.Duration(seconds)*time.Second + time.Duration(micro)*time.Microsecond, true
}

// datetimeOf keeps microseconds and cuts what is finer. Of a location other
// than UTC and Naive it keeps the offset in force at t, under its short name.
func datetimeOf(t time.Time) (Value, error) {
	if t.Year() < 1 || t.Year() > 9999 {
		return nil, &ConvertError{Reason: "datetime holds the years 1 to 9999"}
	}
	micro := t.Nanosecond() / 1000
	b := Bytes([]byte{
		byte(t.Year() >> 8), byte(t.Year()), byte(t.Month()), byte(t.Day()),
		byte(t.Hour()), byte(t.Minute()), byte(t.Second()), byte(micro >> 16), byte(micro >> 8), byte(micro),
	})
	switch t.Location() {
	case Naive:
		return newCall("datetime", "datetime", b), nil
	case NaiveFold:
		return newCall("datetime", "datetime", b[:2]+Bytes([]byte{b[2] | 0x80})+b[3:]), nil
	}
	zone, err := zoneObject(t)
	if err != nil {
		return nil, err
	}
	return newCall("datetime", "datetime", b, zone), nil
}

// zoneObject returns a datetime.timezone with the offset in force at t.
func zoneObject(t time.Time) (Value, error) {
	if t.Location() == time.UTC {
		return newCall("datetime", "timezone", timedeltaOf(0)), nil
	}
	name, offset := t.Zone()
	if offset <= -86400 || offset >= 86400 {
		return nil, &ConvertError{Reason: "timezone holds offsets of less than a day"}
	}
	args := []Value{timedeltaOf(time.Duration(offset) * time.Second)}
	if name != "" {
		args = append(args, Str(name))
	}
	return newCall("datetime", "timezone", args...), nil
}

func timeObject(v TimeOfDay) (Value, error) {
	if uint(v.Hour) > 23 || uint(v.Minute) > 59 || uint(v.Second) > 59 || uint(v.Microsecond) > 999_999 {
		return nil, &ConvertError{Reason: "not a time of day"}
	}
	hour := byte(v.Hour)
	if v.Fold {
		hour |= 0x80
	}
	b := Bytes([]byte{hour, byte(v.Minute), byte(v.Second), byte(v.Microsecond >> 16), byte(v.Microsecond >> 8), byte(v.Microsecond)})
	if v.Zone == nil {
		return newCall("datetime", "time", b), nil
	}
	winter, summer := time.Date(2000, 1, 1, 0, 0, 0, 0, v.Zone), time.Date(2000, 7, 1, 0, 0, 0, 0, v.Zone)
	if offsetAt(winter) != offsetAt(summer) {
		return nil, &ConvertError{Reason: "a time of day whose zone has no offset of its own"}
	}
	zone, err := zoneObject(winter)
	if err != nil {
		return nil, err
	}
	return newCall("datetime", "time", b, zone), nil
}

func offsetAt(t time.Time) int {
	_, offset := t.Zone()
	return offset
}

// timedeltaOf counts days down to below, so that the rest is positive.
func timedeltaOf(d time.Duration) Value {
	const day = 24 * time.Hour
	days := d / day
	if d%day < 0 {
		days--
	}
	rest := d - days*day
	return newCall("datetime", "timedelta", Int(days), Int(rest/time.Second), Int(rest%time.Second/time.Microsecond))
}
