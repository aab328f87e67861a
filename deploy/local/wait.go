package local

import (
	"context"
	"time"
)

// WaitUntil calls ready until it returns nil, the process ends, the limit is over or ctx ends; the error says which, and
// how the process's log ends.
func (p *Process) WaitUntil(ctx context.Context, limit time.Duration, ready func(context.Context) error) error {
	return p.waitUntil(ctx, limit, ready)
}
