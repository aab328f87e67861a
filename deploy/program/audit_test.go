package program

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest/gatewaytest"
)

func TestTheAuditIsVerifiedFromTheShellAndABreakIsSaid(t *testing.T) {
	running := gatewaytest.Start(t)
	t.Setenv("MOSAIC_GATEWAY_URL", running.URL)
	t.Setenv("MOSAIC_GATEWAY_TOKEN", running.TokenAs(t, "viewer", "vera"))

	var out string
	require.Eventually(t, func() bool {
		var code int
		out, code = said(t, "audit", "verify")
		return code == 0 && strings.Contains(out, "The chain holds: 2 entries under ") && strings.Contains(out, " 0 not sealed yet.")
	}, time.Minute, 100*time.Millisecond, "two entries, sealed")
	require.Contains(t, out, "only a head can show")
	_, head, _ := strings.Cut(out, "Head: ")
	head, _, _ = strings.Cut(head, "\n")
	out, code := said(t, "audit", "verify", "--head", head)
	require.Zero(t, code, out)
	require.NotContains(t, out, "only a head can show")
	_, code = said(t, "audit", "verify", "--head", "nonsense")
	require.Equal(t, 2, code)

	superuser, err := pgx.Connect(t.Context(), running.Database.Superuser)
	require.NoError(t, err)
	defer func() { _ = superuser.Close(context.WithoutCancel(t.Context())) }()
	_, err = superuser.Exec(t.Context(), `ALTER TABLE fleet.events DISABLE TRIGGER ALL; UPDATE fleet.events SET payload = (payload::text || ' ')::json WHERE seq = 1`)
	require.NoError(t, err)
	_, code = said(t, "audit", "verify")
	require.Equal(t, 1, code)
	t.Setenv("MOSAIC_GATEWAY_TOKEN", "mosaic_unknown")
	_, code = said(t, "audit", "verify")
	require.Equal(t, 4, code, "what could not be read is neither whole nor broken")
}
