package work_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/work"
)

func (b *bundle) agent(t *testing.T, name string) register.Agent {
	t.Helper()
	agent, err := b.olga.Agent(t.Context(), register.By{}, name)
	require.NoError(t, err)
	return agent
}

func TestAWorkerDeclaresItselfAndStaysAliveWithoutAskingForWork(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.Break(func(w http.ResponseWriter, r *http.Request, forward http.HandlerFunc) {
		if strings.HasSuffix(r.URL.Path, "/claims") {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		forward(w, r)
	})
	defer b.Mend()
	options := b.options(t, "true")
	options.Worker, options.Runtime, options.ModelCeiling = "coder-2", "claude-code", "sonnet"
	options.Subscriptions, options.Liveness = []string{"claude", "claude/team-a"}, 10*time.Second
	start(t, options)
	var agent register.Agent
	require.Eventually(t, func() bool {
		now, err := b.olga.Agent(t.Context(), register.By{}, "coder-2")
		agent = now
		return err == nil && now.HeardAt.Sub(now.DeclaredAt) > options.Liveness
	}, patience, glance, "it is not heard again")
	require.Equal(t, register.AgentStateLive, agent.State)
	require.Equal(t, []any{"coder", "alpha", "claude-code", "sonnet", "coder-1"}, []any{agent.Role, agent.Host, agent.Runtime, agent.ModelCeiling, agent.Identity})
	require.Equal(t, options.Subscriptions, agent.Subscriptions)
}

func TestARunGetsItsSubscriptionAndWhatThisHostsSettingsGiveIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, "on claude")
	options := b.options(t, `printf '%s|%s|%s|%s' "$MOSAIC_SUBSCRIPTION" "$MOSAIC_AGENT_MODEL" "$CLAUDE_CONFIG_DIR" "$OTHER" > "$here/got"; touch "$here/go"`)
	options.Subscriptions = []string{"claude", "claude/team-a"}
	options.Environment = work.Environment{"claude": {"CLAUDE_CONFIG_DIR=/own", "MOSAIC_AGENT_MODEL=another"}, "claude/team-a": {"OTHER=1"}}
	worker := start(t, options)
	b.reaches(t, "D-1", register.DispatchStateDone)
	got, err := os.ReadFile(filepath.Join(worker.here, "got"))
	require.NoError(t, err)
	require.Equal(t, "claude|opus|/own|", string(got))
}

func TestARunOnASecondSubscriptionIsToldWhich(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.send(t, register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Subscription: "team-a", Unit: "credits", LimitMicros: 500_000_000, Since: time.Now().Add(-time.Hour), ResetAt: time.Now().Add(time.Hour),
	}), nil)
	b.dispatch(t, "on team-a")
	options := b.options(t, `printf '%s %s' "$MOSAIC_SUBSCRIPTION" "$CLAUDE_CONFIG_DIR" > "$here/got"`)
	options.Environment = work.Environment{"claude/team-a": {"CLAUDE_CONFIG_DIR=/team"}}
	worker := start(t, options)
	b.reaches(t, "D-1", register.DispatchStateDone)
	got, err := os.ReadFile(filepath.Join(worker.here, "got"))
	require.NoError(t, err)
	require.Equal(t, "claude/team-a /team", string(got))
}

func TestARetiredWorkerEndsAndSaysHowToGoOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	admin := b.gateway.As(t, "admin", "root")
	worker := b.work(t, "true")
	require.Eventually(t, func() bool { return b.agent(t, "coder-1").Host == "alpha" }, patience, glance)
	require.NoError(t, admin.Send(t.Context(), register.By{Key: "retire"}, register.RetireAgent("coder-1"), nil))
	require.ErrorContains(t, worker.ended(t), "coder-1 was retired at ")
	again, err := work.New(b.options(t, "true"))
	require.NoError(t, err)
	require.ErrorContains(t, again.Run(t.Context()), "declaring coder-1 to the register: coder-1 was retired at ")
}

func TestAnEnvironmentThatNoRunCouldGetIsRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"", "claude", "claude:", "claude:=x", ":A=b", "claude:A"} {
		_, err := work.ParseEnvironment([]string{entry})
		require.ErrorContains(t, err, "an example is claude/team-a:CLAUDE_CONFIG_DIR=", entry)
	}
	parsed, err := work.ParseEnvironment([]string{"claude:A=b:c=d", "claude:E=", "codex:F=g"})
	require.NoError(t, err)
	require.Equal(t, work.Environment{"claude": {"A=b:c=d", "E="}, "codex": {"F=g"}}, parsed)
	_, err = work.New(work.Options{Role: "coder", Command: []string{"true"}, Subscriptions: []string{"claude"}, Environment: parsed})
	require.ErrorContains(t, err, "there is an environment for codex, which this host is not logged in to; example: --subscriptions claude,codex")
}
