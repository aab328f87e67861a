package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// connect is a session on the register's database beside the gateway's.
func (b *bundle) connect(t *testing.T) *pgx.Conn {
	t.Helper()
	database, err := pgx.Connect(t.Context(), b.database)
	require.NoError(t, err)
	t.Cleanup(func() { _ = database.Close(context.Background()) })
	return database
}

func (b *bundle) execute(t *testing.T, database *pgx.Conn, statement string, arguments ...any) {
	t.Helper()
	_, err := database.Exec(t.Context(), statement, arguments...)
	require.NoError(t, err)
}

// becomes waits until /readyz answers with a status, and answers its parts.
func becomes(t *testing.T, g *Gateway, status int) map[string]string {
	t.Helper()
	var health register.Health
	require.Eventually(t, func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, g.URL()+"/readyz", http.NoBody)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		require.NoError(t, json.NewDecoder(response.Body).Decode(&health))
		return response.StatusCode == status
	}, time.Minute, 50*time.Millisecond, "parts: %v", health.Parts)
	return health.Parts
}

func TestReadinessNamesTheSchemaThatIsNewerOrOlderThanTheProgram(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for part, says := range becomes(t, b.Gateway, http.StatusOK) {
		require.Equal(t, "ok", says, part)
	}
	database := b.connect(t)
	b.execute(t, database, `INSERT INTO fleet.migrations (version_id, is_applied) VALUES (99999, true)`)
	parts := becomes(t, b.Gateway, http.StatusServiceUnavailable)
	require.Regexp(t, `^The schema is at version 99999, newer than this program, which knows [1-9][0-9]*: start the newer program\.$`, parts["schema"])
	require.Equal(t, "ok", parts["database"])
	b.execute(t, database, `DELETE FROM fleet.migrations WHERE version_id > 5`)
	require.Contains(t, becomes(t, b.Gateway, http.StatusServiceUnavailable)["schema"], "older than this program")
}

func TestReadinessNamesTheNumberingThatLags(t *testing.T) {
	t.Parallel()
	b := setup(t)
	strict := b.start(t, "strict", b.log, func(g *Gateway) { g.patience.numbering = 300 * time.Millisecond })
	becomes(t, strict, http.StatusOK)
	holder, err := b.connect(t).Begin(t.Context())
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), `SELECT 1 FROM fleet.counters WHERE name = 'event' FOR UPDATE`)
	require.NoError(t, err)
	b.budget(t)
	parts := becomes(t, strict, http.StatusServiceUnavailable)
	require.Contains(t, parts["events"], "has waited")
	_, _, body := b.raw(t, http.MethodGet, "/metrics", "", "")
	require.Regexp(t, `(?m)^mosaic_events_unnumbered [1-9]`, string(body), "the window, and whatever else was told meanwhile")
	require.NoError(t, holder.Rollback(t.Context()))
	becomes(t, strict, http.StatusOK)
}

func TestReadinessNamesTheSweepThatFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	strict := b.start(t, "strict", b.log, func(g *Gateway) { g.patience.sweep = 2 * time.Second })
	becomes(t, strict, http.StatusOK)
	database := b.connect(t)
	b.execute(t, database, `ALTER TABLE fleet.proposals RENAME TO gone`)
	parts := becomes(t, strict, http.StatusServiceUnavailable)
	require.Contains(t, parts["sweep"], "has not succeeded for")
	require.Equal(t, "ok", parts["database"])
	b.execute(t, database, `ALTER TABLE fleet.gone RENAME TO proposals`)
	becomes(t, strict, http.StatusOK)
}

func TestASpendBeyondTheLimitShowsAsOvershoot(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, ask(10))
	claim := b.claim(t)
	b.send(t, b.worker, register.CompleteDispatch(claim.Dispatch.ID, register.CompleteRequest{
		Claim: claim.ID, Outcome: "done", Actuals: []register.Amount{{Unit: "credits", Micros: 502_500_000}},
	}), nil)
	_, _, body := b.raw(t, http.MethodGet, "/metrics", "", "")
	require.Contains(t, string(body), `mosaic_window_overshoot{provider="claude",subscription="claude",unit="credits",window="main"} 2.5`)
	require.Contains(t, string(body), `mosaic_window_step{provider="claude",subscription="claude",unit="credits",window="main"} 3`)
}

func TestTheDatabaseShowsWhichGatewayHoldsAConnection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var sessions int
	require.NoError(t, b.connect(t).QueryRow(t.Context(),
		`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'mosaic-matrix gateway alpha'`).Scan(&sessions))
	require.Positive(t, sessions)
}

func TestTheLogOfAWholeLifeHoldsNoBriefAndNoToken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.seated(t)
	b.budget(t)
	const hidden = "the-moon-landing-was-filmed-in-"
	request := ask(5)
	request.Brief, request.Project = hidden+"brief", "visible"
	done := b.dispatch(t, request)
	late := request
	late.Estimate, late.Deadline = ask(400).Estimate, time.Now().Add(time.Minute)
	refused := b.dispatch(t, late)
	b.send(t, b.olga, register.OpenProposal(register.ProposalRequest{
		Title: hidden + "title", Body: hidden + "body", Action: register.Action{Kind: "override", Dispatch: refused.ID},
	}), nil)
	_, err := b.vote(t, "P-1", "ceo", "@ada:localhost", register.VerdictApprove)
	require.NoError(t, err)
	claim := b.claim(t)
	b.send(t, b.worker, register.HeartbeatDispatch(done.ID, register.HeartbeatRequest{Claim: claim.ID, Progress: hidden + "progress"}), nil)
	b.send(t, b.worker, register.CompleteDispatch(done.ID, register.CompleteRequest{
		Claim: claim.ID, Outcome: "done", Actuals: []register.Amount{{Unit: "credits", Micros: 1}}, Result: register.Result{Summary: hidden + "result"},
	}), nil)
	b.refused(t, register.ProblemCodeInvalid, b.olga, register.CreateDispatch(register.DispatchRequest{Role: hidden + " no role", Brief: hidden + "brief"}))
	issued := b.issue(t, time.Time{})
	require.NoError(t, b.works(t, issued.Secret))
	status, _, _ := b.raw(t, http.MethodGet, "/api/fleet/whoami", "mosaic_"+hidden+"token", "")
	require.Equal(t, http.StatusUnauthorized, status)

	log := b.log.String()
	require.NotContains(t, log, hidden)
	for name, token := range b.tokens {
		require.NotContains(t, log, token, name)
	}
	require.NotContains(t, log, issued.Secret)
	require.NotContains(t, log, "mosaic_")
	require.NotContains(t, strings.ToLower(log), "bearer")
	require.NotContains(t, log, "postgres://", "nor the address of the database")
	require.NotContains(t, log, claim.ID, "nor a claim, which is a right to report")
	for line := range strings.Lines(log) {
		var entry map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &entry), line)
		level, err := zerolog.ParseLevel(entry["level"].(string))
		require.NoError(t, err)
		require.GreaterOrEqual(t, level, zerolog.InfoLevel)
	}
	require.True(t, hasLine(log, `"operation":"createDispatch"`, `"status":201`, `"actor":"olga"`, `"request_id":`))
}
