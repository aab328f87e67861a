package commands

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest/gatewaytest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// bundle is a running gateway with people who command through the bot's token.
type bundle struct {
	admin *register.API
	bot   *register.API
}

func setup(t *testing.T) *bundle {
	t.Helper()
	running := gatewaytest.Start(t)
	b := &bundle{admin: running.As(t, "admin", "root"), bot: register.NewAPI(running.URL, running.BotToken(t))}
	b.seat(t)
	b.send(t, register.DeclareAgent("coder-1", register.AgentDeclaration{
		Host: "forge-a", Runtime: "claude-code", ModelCeiling: "opus", Subscriptions: []string{"claude", "claude/team-a"}, LivenessSeconds: 86400,
	}), nil)
	return b
}

// seat makes an operator, a viewer, and a board of three.
func (b *bundle) seat(t *testing.T) {
	t.Helper()
	roles := map[string]register.FleetRole{
		"olga": register.FleetRoleOperator, "vera": register.FleetRoleViewer,
		"ada": register.FleetRoleBoard, "ben": register.FleetRoleBoard, "cleo": register.FleetRoleBoard,
	}
	for name, role := range roles {
		b.send(t, register.PutIdentity(name, register.IdentityRequest{
			Kind: register.IdentityRequestKindHuman, MatrixID: "@" + name + ":localhost", Roles: []register.FleetRole{role},
		}), nil)
	}
	b.send(t, register.PutBoard(register.BoardRequest{SettleSeconds: new(int), SeveralSeats: new(true)}), nil)
	b.send(t, register.PutSeat("ceo", register.SeatRequest{Lens: "mission", Identity: "ada"}), nil)
	b.send(t, register.PutSeat("cto", register.SeatRequest{Lens: "feasibility", Identity: "ben"}), nil)
	b.send(t, register.PutSeat("cfo", register.SeatRequest{Lens: "cost", Identity: "cleo"}), nil)
}

func (b *bundle) send(t *testing.T, mutation register.Mutation, answer any) {
	t.Helper()
	require.NoError(t, b.admin.Send(t.Context(), register.By{Key: rand.Text()}, mutation, answer))
}

// says is what a person's line is answered with; the call goes through storage first, as in the bot.
func (b *bundle) says(t *testing.T, person, line string) Reply {
	t.Helper()
	call, err := Prepare(Asked{Text: line, At: time.Now(), Zone: berlin(t), Origin: register.Origin{Transport: register.OriginTransportMatrix, Room: "!room", Event: "$" + rand.Text()}})
	require.NoError(t, err, line)
	stored, err := json.Marshal(call)
	require.NoError(t, err)
	var read Call
	require.NoError(t, json.Unmarshal(stored, &read))
	reply, err := Run(t.Context(), b.bot, register.By{Actor: "@" + person + ":localhost", Key: rand.Text()}, read)
	require.NoError(t, err, line)
	t.Logf("%s: %s\n%s\n%s", person, line, reply.Markdown, strings.Repeat("-", 40))
	require.NotEmpty(t, reply.Markdown)
	require.True(t, json.Valid([]byte(JSON(reply))), "every reply has a typed result")
	return reply
}

// answered is a reply's text with a mood and these parts in it.
func (b *bundle) answered(t *testing.T, person, line string, mood Mood, parts ...string) Reply {
	t.Helper()
	reply := b.says(t, person, line)
	require.Equal(t, mood, reply.Mood, reply.Markdown)
	for _, part := range parts {
		require.Contains(t, Plain(reply.Markdown), part)
	}
	return reply
}

func TestEveryCommandIsCarriedOutAndAnswered(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const operator = "olga"

	b.answered(t, operator, "help", MoodDone, "What you may say", "budget · set, status", "dispatch")
	b.answered(t, "vera", "help", MoodDone, "budget · status, explain") // only what one may do
	viewer := b.answered(t, "vera", "help budget", MoodDone, "budget status")
	require.NotContains(t, viewer.Markdown, "**budget set**")
	b.answered(t, "ada", "whoami", MoodDone, "You are ada, human", "Your roles: board", "On the board: ceo")
	b.answered(t, operator, "status", MoodDone, "Fleet: idle", "No budget window is set")
	b.answered(t, operator, "budget status", MoodDone, "No budget window is set")
	b.answered(t, operator, "list", MoodDone, "No dispatch yet")
	b.answered(t, operator, "board list", MoodDone, "No proposal yet")
	b.answered(t, operator, "board seats", MoodDone, "3 seats", "cto ben · looks at feasibility")

	b.answered(t, operator, "budget set --provider claude --limit 500 --unit credits --reset-at +100m", MoodDone,
		"claude: 500 credits until", "in 1 h 40 min", "It starts now with 0 credits used", "Allowance now: ", "(+25 slack) of 500 credits · step normal")
	b.answered(t, operator, `dispatch coder "Just ask" --estimate 4 --dry-run`, MoodDone, "Dry run: it would be ready on opus. Nothing is reserved")
	b.answered(t, operator, `dispatch coder "Add a health check" --estimate 10`, MoodDone, "D-1 ready on opus", "Reserved: 10 credits on claude")
	b.answered(t, operator, `dispatch coder "Add a second one" --estimate 10`, MoodDone, "D-2 ready on sonnet, downgraded from opus", "Reserved: 6 credits on claude")
	b.answered(t, operator, `dispatch coder "Add a third one" --estimate 60 --deadline +1h`, MoodWaiting, "D-3 queued", "Promised start:", "Latest start:")
	b.answered(t, operator, `dispatch coder "Add a fourth one" --estimate 100 --deadline +2m`, MoodRefused, "D-4 refused", "Cannot start by",
		`!mosaic board propose "Run D-4 now" --for D-4`)

	b.answered(t, operator, "status", MoodDone, "1 agent live, 1 idle: !mosaic agents", "Fleet: 2 ready and 1 queued", "D-3 queued, starts", "claude ▰")
	b.answered(t, operator, "list", MoodDone, "4 dispatches", "D-1 ready on opus · coder: Add a health check")
	b.answered(t, operator, "list queued", MoodDone, "1 dispatch queued")
	b.answered(t, operator, "list running", MoodDone, "No dispatch is running.")
	b.answered(t, operator, "show D-2", MoodDone, "D-2 ready on sonnet, downgraded from opus", "For coder (technical), asked by olga", "Estimate: 10 credits", "> Add a second one")
	b.answered(t, operator, "budget explain D-3", MoodDone, "D-3 queued", "✗ opus on claude: over pace", "✗ gpt-5.5 on codex: no worker")
	b.answered(t, operator, "budget status", MoodDone, "Budget: claude is at step queue", "16 of 500 credits", "1 waiting", "user-entered")
	b.answered(t, operator, "budget reset --provider claude --reset-at +3h", MoodDone, "claude: 500 credits until", "Before: 500 credits until", "Planned anew: D-3")

	b.answered(t, operator, `board propose "Run D-4 now" --for D-4`, MoodDone, "P-1 is open: Run D-4 now", "If it passes: Lift the pace for D-4", "2 of 3 seats must approve (majority), 2 must vote")
	b.answered(t, operator, "board list open", MoodDone, "1 proposal", "P-1 open · Run D-4 now")
	b.answered(t, "ada", "vote P-1 approve", MoodDone, "Your vote as ceo on P-1: approve", "Not voted: ")
	b.answered(t, "ben", `vote P-1 reject "it can wait"`, MoodDone, "Your vote as cto on P-1: reject")
	b.answered(t, "ben", `vote P-1 approve "it cannot wait"`, MoodDone, "P-1 passed, your vote as cto: approve", "Carried out:")
	b.answered(t, operator, "board show P-1", MoodDone, "P-1 passed: Run D-4 now", "cto (ben): approve, “it cannot wait”")
	b.answered(t, operator, "show D-4", MoodDone, "D-4 ready on opus")
	b.answered(t, operator, "agents", MoodDone, "1 agent", "coder-1 live, idle · heard ", " · forge-a · claude-code · claude and claude/team-a up to opus")
	b.answered(t, operator, "agents gone", MoodDone, "No agent is there.", "mosaic-matrix work --role coder -- ./agent.sh")
	b.answered(t, operator, "agents retire coder-1", MoodRefused, "Not done.", "admin")
	b.answered(t, operator, `dispatch tester "Test it"`, MoodWaiting, "D-5 queued", "Waits for a worker. No live worker for tester is logged in to claude.",
		"Start one on its host: mosaic-matrix work --role tester -- ./agent.sh; who is there: !mosaic agents")
	b.answered(t, operator, "budget explain D-5", MoodDone, "✗ opus on claude: no worker", "No live worker for tester is logged in to claude.")
	b.answered(t, operator, "cancel D-3 no longer needed", MoodDone, "D-3 cancelled", "no longer needed")
}

func TestARefusalByTheGatewayIsAReplyFitToRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for line, want := range map[string]register.ProblemCode{
		"show D-9": register.ProblemCodeNotFound,
		"budget set --provider claude --limit 0 --unit credits --reset-at +5h":               register.ProblemCodeLimitNotPositive,
		"budget set --provider claude --limit 5 --unit credits --reset-at 2020-01-01T00:00Z": register.ProblemCodeResetInPast,
		"cancel D-9":                             register.ProblemCodeNotFound,
		"vote P-9 approve":                       register.ProblemCodeNotFound,
		"board show P-9":                         register.ProblemCodeNotFound,
		`dispatch coder "Fix it" --model gpt-99`: register.ProblemCodeInvalid,
	} {
		reply := b.says(t, "olga", line)
		require.Equal(t, MoodRefused, reply.Mood, line)
		require.Equal(t, want, reply.Data.(Refusal).Code, line)
		require.True(t, strings.HasPrefix(reply.Markdown, "**Not done.** "), reply.Markdown)
	}
	b.answered(t, "olga", "budget set --provider claude --limit 500 --unit credits --reset-at +5h", MoodDone)
	reply := b.answered(t, "olga", "budget set --provider claude --limit 500 --unit tokens --reset-at +5h", MoodRefused)
	require.Equal(t, register.ProblemCodeUnitMismatch, reply.Data.(Refusal).Code)
	for person, line := range map[string]string{"vera": `dispatch coder "Fix it"`, "ada": "cancel D-1", "stranger": "status"} {
		b.answered(t, person, line, MoodRefused, "Not done.")
	}
}

func TestAVoteGoesToTheSeatOfTheRosterThatTheActorHolds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answered(t, "olga", `board propose "Move the fleet"`, MoodDone, "P-1 is open")
	b.answered(t, "olga", "vote P-1 approve", MoodRefused, "You hold no seat on P-1; it is voted on by ")
	b.send(t, register.PutSeat("coo", register.SeatRequest{Lens: "timeline", Identity: "ada"}), nil)
	b.answered(t, "ada", "vote P-1 approve", MoodDone, "Your vote as ceo on P-1: approve")
	b.answered(t, "olga", `board propose "Move it back"`, MoodDone, "P-2 is open")
	b.answered(t, "ada", "vote P-2 approve", MoodRefused, "You hold several seats on P-2: ceo and coo.", "Example: !mosaic vote P-2 approve --seat ceo")
	b.answered(t, "ada", "vote P-2 approve --seat coo", MoodDone, "Your vote as coo on P-2: approve")
}

func TestARepeatedCallHappensOnceAndAnswersTheSame(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answered(t, "olga", `board propose "Move the fleet"`, MoodDone, "P-1 is open")
	for person, line := range map[string]string{"olga": `dispatch coder "Add a health check"`, "ada": "vote P-1 approve"} {
		call := understood(t, line)
		by := register.By{Actor: "@" + person + ":localhost", Key: rand.Text()}
		first, err := Run(t.Context(), b.bot, by, call)
		require.NoError(t, err)
		again, err := Run(t.Context(), b.bot, by, call)
		require.NoError(t, err)
		require.Equal(t, first, again)
	}
	b.answered(t, "olga", "list", MoodDone, "1 dispatch")
}

func TestACallTheGatewayDidNotTakeIsLeftForAnotherAttempt(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 408, 425, 429, 500, 503} {
		down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(down.Close)
		for _, c := range registry {
			reply, err := Run(t.Context(), register.NewAPI(down.URL, "token"), register.By{Key: "k"}, understood(t, c.examples[0]))
			if c.name == "help" {
				require.NoError(t, err, "help needs no gateway")
				require.Contains(t, reply.Markdown, "What you may say")
				continue
			}
			if c.local {
				require.NoError(t, err)
				require.Contains(t, reply.Markdown, "said to the bot, in a room")
				continue
			}
			require.True(t, register.Retryable(err), "%s on %d: %v", c.name, status, err)
		}
	}
}

func TestAnAnswerThatCannotBeReadIsNotARefusal(t *testing.T) {
	t.Parallel()
	odd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("no JSON")) }))
	t.Cleanup(odd.Close)
	_, err := Run(t.Context(), register.NewAPI(odd.URL, "token"), register.By{Key: "k"}, understood(t, `dispatch coder "Fix it"`))
	require.Error(t, err, "it may have been done")
	require.False(t, register.Retryable(err))
}
