package gateway

import (
	"bufio"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestAReaderThatComesBackMissesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	beta := b.start(t, "beta", b.log)
	readers := []*register.API{b.reader, register.NewAPI(beta.URL(), b.tokens["vera"])}
	writers := []*register.API{b.olga, register.NewAPI(beta.URL(), b.tokens["olga"])}
	const each, many = 15, 6
	var wait sync.WaitGroup
	for i := range many {
		wait.Go(func() {
			for n := range each {
				key := register.By{Key: strconv.Itoa(i) + "/" + strconv.Itoa(n)}
				_ = writers[i%2].Send(t.Context(), key, register.CreateDispatch(ask(1)), nil)
			}
		})
	}
	var seqs []int64
	seen := make(map[string]bool)
	for turn := 0; len(seen) < each*many; turn++ {
		require.Less(t, turn, 200, "only %d dispatches were told", len(seen))
		leave := len(seqs) + 7
		_ = readers[turn%2].Events(t.Context(), int64(len(seqs)), func(event register.Event) error {
			seqs = append(seqs, event.Seq)
			if event.Type == register.EventTypeDispatchReady {
				seen[event.Dispatch.ID] = true
			}
			if len(seqs) >= leave || len(seen) == each*many {
				return http.ErrAbortHandler // hang up in the middle
			}
			return nil
		})
	}
	wait.Wait()
	for i, seq := range seqs {
		require.Equal(t, int64(i+1), seq)
	}
}

func TestWithoutAPositionOnlyWhatComesIsTold(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	_, err := b.store.NumberEvents(t.Context())
	require.NoError(t, err)
	lines := b.listen(t, "")
	require.Equal(t, ": following", <-lines)
	b.dispatch(t, ask(1))
	var told []string
	for line := range lines {
		if strings.HasPrefix(line, "event: ") {
			told = append(told, line)
			break
		}
	}
	require.Equal(t, []string{"event: dispatch.ready"}, told)
}

func TestEveryEventKeepsToTheContract(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.seated(t)
	b.send(t, b.bot, register.ReportReset("olga", register.IdentityResetReport{MatrixID: "@olga:localhost", OldKey: oldKey, NewKey: newKey}), nil)
	b.send(t, b.admin, register.TrustReset("olga", register.IdentityTrust{Key: newKey}), nil)
	b.send(t, b.admin, register.BindRoom(register.RoomBinding{Room: "!r:localhost", Purposes: []register.RoomPurpose{"fleet"}}), nil)
	b.dispatch(t, ask(10))
	b.dispatch(t, ask(10))
	waiting := b.dispatch(t, ask(100))
	late := ask(200)
	late.Deadline = time.Now().Add(time.Minute)
	refused := b.dispatch(t, late)
	require.Equal(t, register.DispatchStateRefused, refused.State)
	b.send(t, b.olga, register.CancelDispatch(waiting.ID, "why"), nil)
	b.send(t, b.olga, register.OpenProposal(register.ProposalRequest{Title: "x", Action: register.Action{Kind: "override", Dispatch: refused.ID}}), nil)
	for seat, holder := range map[string]string{"ceo": "@ada:localhost", "cto": "@ben:localhost"} {
		_, err := b.vote(t, "P-1", seat, holder, register.VerdictApprove)
		require.NoError(t, err)
	}
	claim := b.claim(t)
	b.send(t, b.worker, register.HeartbeatDispatch(claim.Dispatch.ID, register.HeartbeatRequest{Claim: claim.ID, Progress: "half"}), nil)
	b.send(t, b.worker, register.ExtendDispatch(claim.Dispatch.ID, register.ExtendRequest{Claim: claim.ID, Reserve: []register.Amount{{Unit: "credits", Micros: 240_000_000}}}), nil)
	b.send(t, b.worker, register.CompleteDispatch(claim.Dispatch.ID, register.CompleteRequest{Claim: claim.ID, Outcome: "failed", Unmetered: "x"}), nil)
	claim = b.claim(t)
	b.send(t, b.worker, register.CompleteDispatch(claim.Dispatch.ID, register.CompleteRequest{Claim: claim.ID, Outcome: "done", Unmetered: "x"}), nil)
	b.send(t, b.olga, register.ResetBudget(register.BudgetResetRequest{Provider: "claude", ResetAt: time.Now().Add(time.Hour)}), nil)
	b.burn(t)
	for _, used := range []int64{40_000_000, 2_000_000} {
		b.send(t, b.worker, register.RecordReading(register.ReadingRequest{Provider: "codex", Window: "5h", UsedMicros: used, ResetAt: time.Now().Add(time.Hour)}), nil)
	}
	b.send(t, b.worker, register.ReportUsage(register.UsageRequest{Provider: "codex", Reporter: "codex", Uses: []register.Use{{Unit: "tokens", Micros: 7, Until: time.Now()}}}), nil)
	b.send(t, b.admin, register.RotateToken(b.issue(t, time.Time{}).Token.ID, register.TokenRotation{}), nil)
	b.send(t, b.admin, register.RevokeToken(b.issue(t, time.Time{}).Token.ID), nil)
	b.send(t, b.olga, register.SetPause(register.PauseRequest{Paused: true, Reason: "why"}), nil)
	b.send(t, b.olga, register.SetPause(register.PauseRequest{}), nil)
	b.send(t, b.admin, register.SetPolicy(register.PolicyRequest{Route: "drain"}), nil)
	var granted register.OverrideChange
	b.send(t, b.admin, register.GrantOverride(register.OverrideRequest{Provider: "claude", Micros: 1}), &granted)
	b.send(t, b.admin, register.RevokeOverride(granted.Override.ID, "why"), nil)
	b.send(t, b.admin, register.PutLadder(register.LadderRequest{Tiers: []register.Tier{{Provider: "claude", Model: "opus", Cost: 5}}}), nil)
	var asked register.Proposal
	b.send(t, b.olga, register.OpenProposal(register.ProposalRequest{Title: "Ask"}), &asked)
	b.send(t, b.admin, register.ReadRoom(asked.ID, register.RoomReading{Room: "!r:localhost", Through: time.Now()}), nil)
	b.send(t, b.admin, register.RemoveSeat("cfo"), nil)
	b.send(t, b.admin, register.PutBoard(register.BoardRequest{Chair: new("ceo")}), nil)
	b.send(t, b.olga, register.SetBudget(register.BudgetSetRequest{Provider: "codex", Window: "once", Unit: "credits", LimitMicros: 1_000_000, ResetAt: time.Now().Add(4 * time.Second)}), nil)
	b.send(t, b.olga, register.SetBudget(register.BudgetSetRequest{
		Provider: "codex", Window: "minute", Recurrence: "rolling 1m", Unit: "credits", LimitMicros: 1_000_000, Since: time.Now().Add(-56 * time.Second),
	}), nil)
	b.send(t, b.worker, register.DeclareAgent("coder-2", register.AgentDeclaration{LivenessSeconds: 5}), nil)
	b.send(t, b.worker, register.DeclareAgent("coder-1", register.AgentDeclaration{Runtime: "another"}), nil)
	b.send(t, b.admin, register.RetireAgent("coder-1"), nil)
	require.Eventually(t, func() bool {
		agent, err := b.reader.Agent(t.Context(), register.By{}, "coder-2")
		return err == nil && agent.State == register.AgentStateGone
	}, time.Minute, 50*time.Millisecond)
	b.ringTwice(t)
	_, err := b.store.Wake(t.Context()) // both resets are past
	require.NoError(t, err)
	b.allSealed(t)
	_, err = b.store.TellHead(t.Context())
	require.NoError(t, err)
	last, err := b.store.NumberEvents(t.Context())
	require.NoError(t, err)

	document, err := openapi3.NewLoader().LoadFromData(register.Contract)
	require.NoError(t, err)
	schema := document.Components.Schemas["Event"].Value
	told := make(map[string]bool)
	lines := b.listen(t, "0")
	for n := int64(0); n < last; {
		data, isData := strings.CutPrefix(<-lines, "data: ")
		if !isData {
			continue
		}
		n++
		var event map[string]any
		require.NoError(t, json.Unmarshal([]byte(data), &event))
		require.NoError(t, schema.VisitJSON(event), data)
		told[event["type"].(string)] = true
	}
	for _, kind := range document.Components.Schemas["EventType"].Value.Enum {
		require.True(t, told[kind.(string)], "%s was never told", kind)
	}
}

func TestAQuietStreamIsKeptAlive(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stream.heartbeat = 20 * time.Millisecond
	_, err := b.store.NumberEvents(t.Context())
	require.NoError(t, err)
	lines := b.listen(t, "")
	require.Equal(t, ": following", <-lines)
	require.Equal(t, "", <-lines)
	require.Equal(t, ": heartbeat", <-lines)
}

// listen reads the raw lines of the stream.
func (b *bundle) listen(t *testing.T, after string) <-chan string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL()+"/api/fleet/events", nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+b.tokens["vera"])
	if after != "" {
		request.Header.Set("Last-Event-ID", after)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	t.Cleanup(func() { _ = response.Body.Close() })
	lines := make(chan string, 1000)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(response.Body); scanner.Scan(); {
			lines <- scanner.Text()
		}
	}()
	return lines
}

func TestASlowReaderIsDroppedAndResumes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.stream.patience = 100 * time.Millisecond
	connection, err := net.Dial("tcp", strings.TrimPrefix(b.URL(), "http://"))
	require.NoError(t, err)
	defer connection.Close()
	_, err = connection.Write([]byte("GET /api/fleet/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 0\r\nAuthorization: Bearer " + b.tokens["vera"] + "\r\n\r\n"))
	require.NoError(t, err)

	long := ask(0)
	long.Brief = strings.Repeat("x", 65536)
	require.Eventually(t, func() bool {
		b.dispatch(t, long)
		return strings.Contains(b.log.String(), `"operation":"streamEvents","status":200`)
	}, time.Minute, time.Millisecond, "the gateway gave up on a reader that reads nothing")

	events := follow(t, b.reader, 0)
	last, err := b.store.LastEvent(t.Context())
	require.NoError(t, err)
	for seq := int64(1); seq <= last; seq++ {
		require.Equal(t, seq, (<-events).Seq)
	}
}
