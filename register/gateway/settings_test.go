package gateway

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// setting is one of what has an ETag: where it is read, and a change of it that is another one for every number.
type setting struct {
	name, path string
	change     func(number int) register.Mutation
}

var settings = []setting{
	{"window", "/api/fleet/budgets/claude/claude/main", func(number int) register.Mutation {
		return register.SetBudget(register.BudgetSetRequest{
			Provider: "claude", Unit: "credits", LimitMicros: int64(number+1) * 1_000_000, ResetAt: time.Now().Add(time.Hour),
		})
	}},
	{"window that is reset", "/api/fleet/budgets/claude/claude/main", func(number int) register.Mutation {
		return register.ResetBudget(register.BudgetResetRequest{Provider: "claude", ResetAt: time.Now().Add(time.Duration(number+1) * time.Hour)})
	}},
	{"ladder", "/api/fleet/ladder", func(number int) register.Mutation {
		return register.PutLadder(register.LadderRequest{Tiers: []register.Tier{{Provider: "claude", Model: "opus", Cost: int64(number + 1)}}})
	}},
	{"policy", "/api/fleet/policy", func(number int) register.Mutation {
		return register.SetPolicy(register.PolicyRequest{Lowest: []register.LowestTier{{Role: strconv.Itoa(number), Model: "opus"}}})
	}},
	{"pause", "/api/fleet/pause", func(number int) register.Mutation {
		return register.SetPause(register.PauseRequest{Paused: true, Reason: strconv.Itoa(number)})
	}},
	{"board", "/api/fleet/board", func(number int) register.Mutation {
		return register.PutBoard(register.BoardRequest{SettleSeconds: new(number)})
	}},
	{"seat", "/api/fleet/seats/cto", func(number int) register.Mutation {
		return register.PutSeat("cto", register.SeatRequest{Lens: strconv.Itoa(number), Identity: "olga"})
	}},
	{"room", "/api/fleet/rooms/%21r:localhost", func(number int) register.Mutation {
		return register.BindRoom(register.RoomBinding{Room: "!r:localhost", Alias: strconv.Itoa(number), Purposes: []register.RoomPurpose{"fleet"}})
	}},
	{"identity", "/api/fleet/identities/eve", func(number int) register.Mutation {
		return register.PutIdentity("eve", register.IdentityRequest{Kind: "human", MatrixID: fmt.Sprintf("@e%d:localhost", number), Roles: []register.FleetRole{"viewer"}})
	}},
}

// tag is the ETag that a setting is read with.
func (b *bundle) tag(t *testing.T, path string) string {
	t.Helper()
	status, header, body := b.raw(t, http.MethodGet, path, b.tokens["root"], "")
	require.Equal(t, http.StatusOK, status, string(body))
	require.Regexp(t, `^"[0-9]+"$`, header.Get("ETag"), "strong")
	return header.Get("ETag")
}

func TestASettingIsChangedOnlyIfNobodyWasFaster(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.start(t, "beta", b.log)
	for i, s := range settings {
		first := s.change(100 * i)
		status, header, body := b.raw(t, first.Method, first.Path, b.tokens["root"], string(first.Body), "Idempotency-Key", rand.Text())
		if strings.Contains(s.name, "reset") {
			require.Equal(t, http.StatusOK, status, string(body))
		}
		require.Equal(t, 2, status/100, string(body))
		seen := b.tag(t, s.path)
		require.Equal(t, seen, header.Get("ETag"), "a change answers with the tag that is read next")
		require.Equal(t, seen, b.tag(t, s.path), "it is stable")

		second := s.change(100*i + 1)
		key := []string{"Idempotency-Key", rand.Text(), "If-Match", seen}
		status, header, body = b.raw(t, second.Method, second.Path, b.tokens["root"], string(second.Body), key...)
		require.Equal(t, http.StatusOK, status, string(body))
		now := header.Get("ETag")
		require.NotEqual(t, seen, now)
		_, again, repeated := b.raw(t, second.Method, second.Path, b.tokens["root"], string(second.Body), key...)
		require.Equal(t, now, again.Get("ETag"), "a repeat answers the same, although the tag it names is gone")
		require.Equal(t, string(body), string(repeated))

		stale := s.change(100*i + 2)
		err := register.NewAPI(other.URL(), b.tokens["root"]).Send(t.Context(), register.By{Key: rand.Text(), IfMatch: seen}, stale, nil)
		failure := requireCode(t, register.ProblemCodePreconditionFailed, err)
		require.Equal(t, http.StatusPreconditionFailed, failure.Status)
		require.Contains(t, failure.Detail, now)
		require.Equal(t, now, failure.Example)
		require.Contains(t, failure.NextStep, "If-Match "+now)
		require.False(t, register.Retryable(err))
		status, _, body = b.raw(t, stale.Method, stale.Path, b.tokens["root"], string(stale.Body), "Idempotency-Key", rand.Text(), "If-Match", seen)
		require.Equal(t, http.StatusPreconditionFailed, status)
		require.Equal(t, now, `"`+fmt.Sprint(shown(t, problemIn(t, body).Current)["version"])+`"`, "it shows what stands there: %s", body)

		for _, match := range []string{`"999", ` + now, "*"} {
			third := s.change(100*i + 3 + len(match))
			require.NoError(t, b.admin.Send(t.Context(), register.By{Key: rand.Text(), IfMatch: match}, third, nil), s.name)
		}
		b.send(t, b.admin, s.change(100*i+50), nil) // without If-Match as ever
	}
}

func shown(t *testing.T, body json.RawMessage) map[string]any {
	t.Helper()
	var out map[string]any
	require.NoError(t, json.Unmarshal(body, &out))
	return out
}

func TestOfManyWhoChangeWhatTheySawExactlyOneWins(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := b.start(t, "beta", b.log)
	for i, s := range settings {
		b.send(t, b.admin, s.change(1000*i), nil)
		seen := b.tag(t, s.path)
		won, lost := make(chan string, 32), make(chan error, 32)
		var writers sync.WaitGroup
		for n := range 32 {
			api := b.admin
			if n%2 == 1 {
				api = register.NewAPI(other.URL(), b.tokens["root"])
			}
			writers.Go(func() {
				var answer json.RawMessage
				err := api.Send(t.Context(), register.By{Key: rand.Text(), IfMatch: seen}, s.change(1000*i+1+n), &answer)
				if err != nil {
					lost <- err
					return
				}
				won <- string(answer)
			})
		}
		writers.Wait()
		require.Len(t, won, 1, s.name)
		require.Len(t, lost, 31)
		for range 31 {
			requireCode(t, register.ProblemCodePreconditionFailed, <-lost)
		}
	}
}

func TestWhatDoesNotExistMatchesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, match := range []string{"*", `"0"`, `"1"`} {
		for _, mutation := range []register.Mutation{
			register.PutSeat("cfo", register.SeatRequest{Lens: "cost", Identity: "olga"}),
			register.BindRoom(register.RoomBinding{Room: "!none:localhost", Purposes: []register.RoomPurpose{"fleet"}}),
			register.PutIdentity("nobody", register.IdentityRequest{Kind: "human", Roles: []register.FleetRole{"viewer"}}),
			register.SetBudget(register.BudgetSetRequest{Provider: "codex", Unit: "credits", LimitMicros: 5, ResetAt: time.Now().Add(time.Hour)}),
		} {
			err := b.admin.Send(t.Context(), register.By{Key: rand.Text(), IfMatch: match}, mutation, nil)
			failure := requireCode(t, register.ProblemCodePreconditionFailed, err)
			require.Contains(t, failure.Detail, "does not exist")
			require.Equal(t, "Leave If-Match out to create it.", failure.NextStep)
		}
	}
	for _, path := range []string{"/api/fleet/seats/cfo", "/api/fleet/rooms/%21none:localhost", "/api/fleet/identities/nobody", "/api/fleet/budgets/codex/codex/main"} {
		status, _, body := b.raw(t, http.MethodGet, path, b.tokens["vera"], "")
		require.Equal(t, http.StatusNotFound, status)
		require.NotEmpty(t, problemIn(t, body).NextStep)
	}
	for _, odd := range []string{"3", `W/"3"`, `"x"`, `"1";"2"`} {
		status, _, body := b.raw(t, http.MethodPut, "/api/fleet/pause", b.tokens["olga"], `{"paused":false}`, "Idempotency-Key", "k", "If-Match", odd)
		require.Equal(t, http.StatusBadRequest, status)
		require.Equal(t, "If-Match", problemIn(t, body).Field)
		require.Equal(t, `"3"`, problemIn(t, body).Example)
	}
}

func TestSpendingDoesNotChangeTheTagOfAWindow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	seen := b.tag(t, "/api/fleet/budgets/claude/claude/main")
	b.dispatch(t, ask(5))
	require.Equal(t, seen, b.tag(t, "/api/fleet/budgets/claude/claude/main"))
	status, err := b.reader.Budgets(t.Context(), register.By{}, "claude")
	require.NoError(t, err)
	require.Equal(t, seen, strconv.Quote(strconv.FormatInt(status.Windows[0].Version, 10)), "a list shows it too")
}

func TestAPauseThatChangesNothingKeepsItsTag(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.send(t, b.olga, register.SetPause(register.PauseRequest{Paused: true, Reason: "why"}), nil)
	seen := b.tag(t, "/api/fleet/pause")
	b.send(t, b.olga, register.SetPause(register.PauseRequest{Paused: true, Reason: "why"}), nil)
	require.Equal(t, seen, b.tag(t, "/api/fleet/pause"))
}

func TestEveryGatewayJudgesByTheLadderOfTheRegister(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	other := b.start(t, "beta", b.log, func(*Gateway) {})
	there := register.NewAPI(other.URL(), b.tokens["olga"])
	first, err := b.reader.Ladder(t.Context(), register.By{})
	require.NoError(t, err)
	require.Equal(t, []register.Tier{
		{Provider: "claude", Model: "opus", Cost: 5}, {Provider: "claude", Model: "sonnet", Cost: 3}, {Provider: "claude", Model: "haiku", Cost: 1}, {Provider: "codex", Model: "gpt-5.5", Cost: 3},
	}, first.Tiers)
	require.Empty(t, first.SetBy)
	waiting := b.dispatch(t, register.DispatchRequest{Role: "coder", Brief: "Wait", Model: "haiku", Exact: true, Estimate: ask(60).Estimate})
	require.Equal(t, register.DispatchStateQueued, waiting.State)

	var changed register.Ladder
	b.send(t, b.admin, register.PutLadder(register.LadderRequest{Tiers: []register.Tier{{Provider: "claude", Model: "mythos", Cost: 9}, {Provider: "claude", Model: "opus", Cost: 4}}}), &changed)
	require.Equal(t, "root", changed.SetBy)
	var dispatch register.Dispatch
	require.NoError(t, there.Send(t.Context(), register.By{Key: rand.Text()}, register.CreateDispatch(register.DispatchRequest{Role: "coder", Brief: "Try", Model: "mythos", Estimate: ask(1).Estimate}), &dispatch))
	require.Equal(t, "mythos", dispatch.Model, "the other gateway knows it at once")
	failure := b.refused(t, register.ProblemCodeInvalid, there, register.CreateDispatch(register.DispatchRequest{Role: "coder", Brief: "Try", Model: "sonnet"}))
	require.Equal(t, "mythos", failure.Example)
	gone, err := b.reader.Dispatch(t.Context(), register.By{}, waiting.ID)
	require.NoError(t, err)
	require.Equal(t, register.DispatchStateRefused, gone.State, "what waited for a model that left is refused before the ladder is answered")

	for _, wrong := range []register.LadderRequest{
		{Tiers: []register.Tier{{Provider: "claude", Model: "opus", Cost: 5}, {Provider: "codex", Model: "Opus", Cost: 5}}},
		{Tiers: []register.Tier{}},
		{Tiers: []register.Tier{{Provider: "claude", Model: "opus"}}},
	} {
		require.NotEmpty(t, b.refused(t, register.ProblemCodeInvalid, b.admin, register.PutLadder(wrong)).NextStep)
	}
	b.refused(t, register.ProblemCodeForbidden, b.olga, register.PutLadder(register.LadderRequest{Tiers: first.Tiers}))
	after, err := b.reader.Ladder(t.Context(), register.By{})
	require.NoError(t, err)
	require.Equal(t, changed, after)
}

func TestEveryListIsReadPageByPageWhateverIsAddedMeanwhile(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.send(t, b.admin, register.PutBoard(register.BoardRequest{SeveralSeats: new(true)}), nil)
	add := map[string]func(n int){
		"dispatches": func(int) { b.dispatch(t, ask(1)) },
		"proposals":  func(int) { b.send(t, b.olga, register.OpenProposal(register.ProposalRequest{Title: "Ask"}), nil) },
		"seats": func(n int) {
			b.send(t, b.admin, register.PutSeat(fmt.Sprintf("seat-%02d", n), register.SeatRequest{Lens: "x", Identity: "olga"}), nil)
		},
		"rooms": func(n int) {
			b.send(t, b.admin, register.BindRoom(register.RoomBinding{Room: fmt.Sprintf("!%02d:localhost", n), Purposes: []register.RoomPurpose{"fleet"}}), nil)
		},
		"identities": func(n int) {
			b.send(t, b.admin, register.PutIdentity(fmt.Sprintf("person-%02d", n), register.IdentityRequest{Kind: "human", Roles: []register.FleetRole{"viewer"}}), nil)
		},
		"tokens": func(int) {
			b.send(t, b.admin, register.IssueTokenTo(register.TokenRequest{Identity: "olga", Scopes: []register.TokenScope{"read"}}), nil)
		},
	}
	for _, list := range []string{"seats", "proposals", "dispatches", "rooms", "identities", "tokens"} {
		for n := range 7 {
			add[list](10 + n)
		}
		whole, next := b.page(t, list, "limit=200")
		require.Empty(t, next)
		require.GreaterOrEqual(t, len(whole), 7)
		var read []string
		for cursor, n := "", 0; ; n++ {
			page, next := b.page(t, list, "limit=3&cursor="+url.QueryEscape(cursor))
			read = append(read, page...)
			if cursor = next; cursor == "" {
				break
			}
			require.Len(t, page, 3)
			if n == 0 {
				add[list](1) // before what was read in the lists by name, newer in the others
			}
			require.NotContains(t, cursor, page[2], "it is opaque")
		}
		var known []string
		for _, one := range read {
			require.NotContains(t, known, one, "%s repeats", list)
			known = append(known, one)
		}
		for _, one := range whole {
			require.Contains(t, read, one, "%s hides", list)
		}
		for _, bad := range []string{"D-1", "====", "ZGlzcGF0Y2hlcw", foreign[list]} {
			status, _, body := b.raw(t, http.MethodGet, "/api/fleet/"+list+"?cursor="+bad, b.tokens["root"], "")
			require.Equal(t, http.StatusBadRequest, status, "%s %s", list, bad)
			p := problemIn(t, body)
			require.Equal(t, "cursor is not one that the list of "+list+" gave.", p.Detail)
			require.NotEmpty(t, p.NextStep)
		}
		status, _, body := b.raw(t, http.MethodGet, "/api/fleet/"+list+"?limit=0", b.tokens["root"], "")
		require.Equal(t, http.StatusBadRequest, status)
		require.Equal(t, "limit", problemIn(t, body).Field)
	}
}

// foreign is for each list a cursor of another one.
var foreign = map[string]string{
	"dispatches": cursor(listProposals, "P-2"), "proposals": cursor(listDispatches, "D-2"), "seats": cursor(listRooms, "a"),
	"rooms": cursor(listSeats, "a"), "identities": cursor(listRooms, "a"), "tokens": cursor(listDispatches, "T-2"),
}

// page reads what names the entries of one page.
func (b *bundle) page(t *testing.T, list, query string) (entries []string, next string) {
	t.Helper()
	status, _, body := b.raw(t, http.MethodGet, "/api/fleet/"+list+"?"+query, b.tokens["root"], "")
	require.Equal(t, http.StatusOK, status, string(body))
	var page map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(body, &page))
	if page["next"] != nil {
		require.NoError(t, json.Unmarshal(page["next"], &next))
	}
	var raw []map[string]any
	require.NoError(t, json.Unmarshal(page[list], &raw))
	for _, entry := range raw {
		for _, name := range []string{"id", "seat", "room", "name"} {
			if entry[name] != nil {
				entries = append(entries, entry[name].(string))
				break
			}
		}
	}
	return entries, next
}
