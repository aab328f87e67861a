package bot

import (
	"context"
	"fmt"
	"sync"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// boardRules is how the board works, kept for a short while.
type boardRules struct {
	api *register.API
	now func() time.Time

	mutex  sync.Mutex
	readAt time.Time
	board  register.Board
}

func (r *boardRules) read(ctx context.Context) (register.Board, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if !r.readAt.IsZero() && r.now().Sub(r.readAt) < directoryAge {
		return r.board, nil
	}
	board, err := r.api.Board(ctx, register.By{})
	if err != nil {
		return board, fmt.Errorf("asking how the board works: %w", err)
	}
	r.board, r.readAt = board, r.now()
	return board, nil
}

func (r *boardRules) outdate() {
	r.mutex.Lock()
	r.readAt = time.Time{}
	r.mutex.Unlock()
}

// seedsOf are the reactions put under a proposal, to be tapped: the first of each verdict's keys. The bot's own never count.
func seedsOf(keys register.BoardKeys) []string {
	var seeds []string
	for _, means := range [][]string{keys.Approve, keys.Reject, keys.Conditional, keys.Abstain} {
		if len(means) > 0 {
			seeds = append(seeds, means[0])
		}
	}
	return seeds
}
