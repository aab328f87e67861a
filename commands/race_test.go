//go:build race

package commands

import "time"

// The race detector plays many times as slowly.
func init() { simulatedWithin = time.Minute }
