package terminal

import (
	"strings"
	"time"

	"github.com/google/uuid"
)

const keyPrefix = "tty-"

// newKey is an idempotency key that holds when it was made, so that a repeated command reads "in 2 h" as it first did: the
// gateway takes the same key only with the same bytes.
func newKey() string { return keyPrefix + uuid.Must(uuid.NewV7()).String() }

// givenAt is when the command under a key was first given, to the millisecond; now for a key from elsewhere.
func givenAt(key string) time.Time {
	id, err := uuid.Parse(strings.TrimPrefix(key, keyPrefix))
	if err != nil || id.Version() != 7 {
		return time.Now()
	}
	return time.Unix(id.Time().UnixTime())
}
