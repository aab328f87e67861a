package budget

import "time"

// Source is where a window's numbers come from.
type Source uint8

// The sources. A window without one counts as entered by a user.
const (
	UserEntered Source = iota
	ProviderDetected
	Estimated
	SourceUnknown
)

var sourceNames = [...]string{"user-entered", "provider-detected", "estimated", "unknown"}

func (s Source) String() string { return sourceNames[s] }

// ParseSource reads a source as the register stores it; a name it does not know is SourceUnknown.
func ParseSource(name string) Source {
	for i, known := range sourceNames {
		if name == known {
			return Source(i)
		}
	}
	return SourceUnknown
}

// Meter is how far a window's use can be believed.
type Meter uint8

// A stale meter widens its uncertainty; an unknown one is advisory: it neither stops work nor counts as room.
const (
	MeterFresh Meter = iota
	MeterStale
	MeterUnknown
)

// FreshFor and StaleFor are how old a provider's reading may be to be fresh, and to be believed at all.
const (
	FreshFor = 5 * time.Minute
	StaleFor = 15 * time.Minute
)

// Meter is how far the window's use can be believed now. What our own ledger meters never goes stale by age; staleness
// belongs to providers' readings. A window past its reset is unknown until it is set again.
func (w *Window) Meter(now time.Time) Meter {
	if w.Lapsed(now) {
		return MeterUnknown
	}
	return w.believed(now.UnixMicro())
}

func (w *Window) believed(now int64) Meter {
	switch w.Source {
	case SourceUnknown:
		return MeterUnknown
	case ProviderDetected:
		age := now - w.Checked.UnixMicro()
		if age > StaleFor.Microseconds() {
			return MeterUnknown
		}
		if age > FreshFor.Microseconds() {
			return MeterStale
		}
	}
	return MeterFresh
}
