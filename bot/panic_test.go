package bot

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPanicIsAnErrorThatRollsBackAndEndsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	running := b.start(t)
	b.talk(t)
	require.ErrorContains(t, running.attempt(t.Context(), nil), "panic: ")
	err := transaction(t.Context(), running.database, func(ctx context.Context) error {
		if _, err := running.database.Exec(ctx, `INSERT INTO told (user_id, what, at) VALUES ('@ada:localhost', 'half', now())`); err != nil {
			return err
		}
		panic("in the middle of a write")
	})
	require.ErrorContains(t, err, "panic in a transaction: in the middle of a write")
	require.Zero(t, b.count(t, `SELECT count(*) FROM told WHERE what = 'half'`))
	b.answered(t, b.say(t, "!mosaic status"), "")
}
