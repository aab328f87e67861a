package collect

import (
	"strconv"
	"time"
)

// session is what a log has said so far of who wrote it and where.
type session struct {
	ID        string `json:"id,omitempty"`
	Root      string `json:"root,omitempty"` // the session it was forked from
	Directory string `json:"directory,omitempty"`
	Model     string `json:"model,omitempty"`
	Total     int64  `json:"total,omitempty"` // tokens so far, for logs that count up
}

// entry is one line of interest: the use of one call to a model, or how full windows are.
type entry struct {
	call, request string // the IDs it is known by wherever it is written again
	at            time.Time
	model         string
	fresh, cached int64 // tokens: those that are paid in full, and those that were read from the provider's cache
	limits        []limit
}

// limit is how full a provider says a window is.
type limit struct {
	window  string
	length  time.Duration
	percent float64
	reset   time.Time
	takenAt time.Time
}

// windowName is what a window of that length is called.
func windowName(length time.Duration) string {
	const week = 7 * 24 * time.Hour
	switch {
	case length == week:
		return "weekly"
	case length%(24*time.Hour) == 0:
		return number(int64(length/(24*time.Hour))) + "d"
	case length%time.Hour == 0:
		return number(int64(length/time.Hour)) + "h"
	}
	return number(int64(length/time.Minute)) + "m"
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
