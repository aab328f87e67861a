package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// aimedKills is how often each gateway dies, at one of the two points in turn.
const aimedKills = 4

// TestKilledBetweenReserveAndCommitExactlyTheCapIsAdmitted has both gateways kill themselves over and over just when a group of
// admissions holds what it takes and has not committed it, and just when it has committed it and answered nobody.
func TestKilledBetweenReserveAndCommitExactlyTheCapIsAdmitted(t *testing.T) {
	t.Parallel()
	for _, writers := range []int{32, 64} {
		t.Run(fmt.Sprintf("%d writers", writers), func(t *testing.T) {
			t.Parallel()
			n := newNight(t)
			require.NoError(t, n.api(0, "root").Send(t.Context(), register.By{Key: uuid.NewString()}, register.SetBudget(register.BudgetSetRequest{
				Provider: "claude", Unit: register.UnitCredits, LimitMicros: 1000 * 1_000_000,
				Since: time.Now().Add(-1000 * time.Hour), ResetAt: time.Now().Add(time.Hour), // pace is out of the way
			}), nil))
			require.NoError(t, n.api(0, "coder-1").Send(t.Context(), register.By{Key: uuid.NewString()}, register.DeclareAgent("coder-1", register.AgentDeclaration{
				Host: "forge", LivenessSeconds: 86400,
			}), nil))
			asking, stop := context.WithCancel(t.Context())
			var kills errgroup.Group
			for i := range n.gateways {
				kills.Go(func() error { return n.killAimed(asking, i) })
			}
			var left, admitted atomic.Int64
			left.Store(1100)
			var askers errgroup.Group
			for i := range writers {
				askers.Go(func() error {
					luck := rand.New(rand.NewPCG(n.seed, uint64(i)))
					for left.Add(-1) >= 0 {
						var dispatch register.Dispatch
						key := uuid.NewString()
						err := n.insist(luck, "olga", key, register.CreateDispatch(register.DispatchRequest{
							Role: "coder", Brief: "Hold the line", Exact: true, Estimate: []register.EstimateAmount{{Unit: register.UnitCredits, Micros: 1_000_000}},
						}), &dispatch)
						if err != nil {
							return fmt.Errorf("creating: %w", err)
						}
						n.answer(key, dispatch.ID)
						if dispatch.State == register.DispatchStateReady {
							admitted.Add(1)
						}
					}
					return nil
				})
			}
			require.NoError(t, askers.Wait())
			stop()
			require.NoError(t, kills.Wait())

			db, err := pgx.Connect(t.Context(), n.database.Gateway)
			require.NoError(t, err)
			defer func() { _ = db.Close(context.Background()) }()
			require.Equal(t, int64(1000), admitted.Load(), "exactly the cap is admitted")
			var held, micros int
			require.NoError(t, db.QueryRow(t.Context(), `SELECT count(*), sum(micros) FROM fleet.reservations WHERE state = 'active'`).Scan(&held, &micros))
			require.Equal(t, []int{1000, 1000 * 1_000_000}, []int{held, micros})
			n.auditKeys(t.Context(), db)
			localtest.Hold(t, db)
			require.GreaterOrEqual(t, n.aimed.Load(), int64(aimedKills), "the gateways hardly died where they should")
			t.Logf("%d kills (seed %d)", n.aimed.Load(), n.seed)
		})
	}
}

// killAimed lets a gateway kill itself time after time and starts it again, until nobody asks any more.
func (n *night) killAimed(ctx context.Context, i int) error {
	points := []string{"admission.reserved:2", "admission.committed:2"}
	n.gateways[i].process.Kill9()
	for kill := range aimedKills {
		if err := n.launch(i, "MOSAIC_GATEWAY_FAULT="+points[(kill+i)%len(points)]); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-n.gateways[i].process.Done():
			if code := n.gateways[i].process.ExitCode(); code != 128+int(syscall.SIGKILL) {
				log, err := os.ReadFile(filepath.Join(n.folder, fmt.Sprintf("gateway-%d.log", i)))
				return fmt.Errorf("gateway %d ended by itself with %d: …%s (%w)", i, code, log[max(0, len(log)-2000):], err)
			}
			n.aimed.Add(1)
		}
	}
	return n.launch(i)
}
