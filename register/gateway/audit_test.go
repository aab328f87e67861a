package gateway

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// chained is a fleet where something happened, all of it sealed, under more than one seal.
func chained(t *testing.T) (*bundle, register.AuditHead) {
	t.Helper()
	b := setup(t)
	for range 3 {
		b.dispatch(t, ask(1))
		b.allSealed(t)
	}
	return b, b.allSealed(t)
}

// allSealed waits until every entry that was committed is numbered and sealed, as it is without being asked.
func (b *bundle) allSealed(t *testing.T) register.AuditHead {
	t.Helper()
	var head register.AuditHead
	require.Eventually(t, func() bool {
		behind, err := b.store.Unnumbered(t.Context())
		if err != nil || behind.Events > 0 {
			return false
		}
		head, err = b.reader.AuditHead(t.Context(), register.By{})
		return err == nil && head.Unsealed == 0 && head.Head != ""
	}, time.Minute, 10*time.Millisecond)
	return head
}

// forge changes the register as a superuser whom no trigger stops.
func (b *bundle) forge(t *testing.T, statements ...string) {
	t.Helper()
	superuser, err := pgx.Connect(t.Context(), b.superuser)
	require.NoError(t, err)
	defer func() { _ = superuser.Close(context.WithoutCancel(t.Context())) }()
	for _, table := range []string{"events", "seals", "ledger"} {
		_, err := superuser.Exec(t.Context(), "ALTER TABLE fleet."+table+" DISABLE TRIGGER ALL")
		require.NoError(t, err)
	}
	for _, statement := range statements {
		done, err := superuser.Exec(t.Context(), statement)
		require.NoError(t, err)
		require.Positive(t, done.RowsAffected(), statement)
	}
}

func (b *bundle) verify(t *testing.T, heads ...string) (register.Audited, error) {
	t.Helper()
	return b.reader.VerifyAudit(t.Context(), register.By{}, heads...)
}

func TestTheAuditIsChainedWithinASecondAndAnyoneCanComputeIt(t *testing.T) {
	t.Parallel()
	b, head := chained(t)
	dispatch := b.dispatch(t, ask(1))
	require.Eventually(t, func() bool {
		now, err := b.reader.AuditHead(t.Context(), register.By{})
		return err == nil && now.Unsealed == 0 && now.Head != head.Head
	}, time.Minute, 10*time.Millisecond)
	now := b.allSealed(t)
	require.Less(t, now.SealedAt.Sub(dispatch.CreatedAt), 30*time.Second, "sealed within a second, and on a busy machine soon after")

	audited, err := b.verify(t, head.Head, now.Head)
	require.NoError(t, err)
	require.Equal(t, now.Head, audited.Head, "computed, it is the head the gateway says")
	last, err := b.store.LastEvent(t.Context())
	require.NoError(t, err)
	require.Equal(t, last, audited.Entries)
	require.Zero(t, audited.Unsealed)
	require.Greater(t, audited.Seals, int64(2))
}

func TestAForgedAuditDoesNotVerify(t *testing.T) {
	t.Parallel()
	for name, forgery := range map[string]struct {
		statements []string
		says       string
		onlyHead   bool // the chain alone cannot show it
	}{
		"a changed entry": {
			[]string{`UPDATE fleet.events SET payload = replace(payload::text, 'Add a health check', 'Add a back door')::json WHERE seq = (SELECT max(seq) FROM fleet.events)`},
			"are not what was sealed", false,
		},
		"a changed actor": {
			[]string{`UPDATE fleet.events SET actor = 'vera', payload = replace(payload::text, '"actor":"olga"', '"actor":"vera"')::json WHERE actor = 'olga' AND seq = (SELECT max(seq) FROM fleet.events)`},
			"are not what was sealed", false,
		},
		"a space": {
			[]string{`UPDATE fleet.events SET payload = (payload::text || ' ')::json WHERE seq = 3`},
			"are not what was sealed", false,
		},
		"an entry taken out": {[]string{`DELETE FROM fleet.events WHERE seq = 4`}, "After entry 3 comes entry 5; those between were taken out", false},
		"an entry taken out and the rest renumbered": {
			[]string{`DELETE FROM fleet.events WHERE seq = 4`, `UPDATE fleet.events SET seq = -seq + 1 WHERE seq > 4`, `UPDATE fleet.events SET seq = -seq WHERE seq < 0`},
			"", false,
		},
		"two entries in the other order": {
			[]string{
				`UPDATE fleet.events SET seq = -1 WHERE seq = 2`, `UPDATE fleet.events SET seq = 2 WHERE seq = 3`, `UPDATE fleet.events SET seq = 3 WHERE seq = -1`,
			},
			"are not what was sealed", false,
		},
		"a seal taken out":         {[]string{`DELETE FROM fleet.seals WHERE first_seq = 1`}, "The seal after entry 0 begins with entry", false},
		"a seal changed":           {[]string{`UPDATE fleet.seals SET hash = sha256('x') WHERE first_seq = 1`}, "are not what was sealed", false},
		"a seal hung in elsewhere": {[]string{`UPDATE fleet.seals SET previous = sha256('x') WHERE first_seq > 1`}, "follows on", false},
		"the tail cut off": {
			[]string{
				`DELETE FROM fleet.events WHERE seq >= (SELECT max(first_seq) FROM fleet.seals)`,
				`DELETE FROM fleet.seals WHERE first_seq = (SELECT max(first_seq) FROM fleet.seals)`,
			},
			"The tail is cut off: the head", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, head := chained(t)
			_, err := b.verify(t, head.Head)
			require.NoError(t, err)
			b.forge(t, forgery.statements...)
			_, err = b.verify(t)
			if forgery.onlyHead {
				require.NoError(t, err, "a chain alone cannot show a cut tail")
				_, err = b.verify(t, head.Head)
			}
			var broken *register.ChainBroken
			require.ErrorAs(t, err, &broken)
			require.Contains(t, broken.Detail, forgery.says)
			require.Equal(t, 1, strings.Count(broken.Detail, ". ")+1, "one sentence: %s", broken.Detail)
		})
	}
}

func TestAChainWrittenAnewDoesNotGoThroughTheHeadThatWasKept(t *testing.T) {
	t.Parallel()
	b, head := chained(t)
	last, _, _ := strings.Cut(head.Head, ":")
	b.forge(t,
		`UPDATE fleet.events SET payload = replace(payload::text, 'Add a health check', 'Add a back door')::json WHERE seq = (SELECT max(seq) FROM fleet.events)`,
		`DELETE FROM fleet.seals`,
	)
	_, err := b.store.Seal(t.Context()) // by who holds the gateway's key to the database
	require.NoError(t, err)
	_, err = b.verify(t)
	require.NoError(t, err, "a chain that is written anew holds by itself")
	_, err = b.verify(t, head.Head)
	require.ErrorContains(t, err, "The chain was written anew: at entry "+last)

	_, err = b.verify(t, "5:"+strings.Repeat("0", 64))
	require.ErrorContains(t, err, "The chain has no seal that ends at entry 5")
	for _, nonsense := range []string{"", "x", "5", "5:abc", "0:" + strings.Repeat("0", 64)} {
		_, err = b.verify(t, nonsense)
		require.Equal(t, register.ProblemCodeInvalid, register.CodeOf(err))
	}
}

func TestTheAuditIsReadPageByPageHoweverOld(t *testing.T) {
	t.Parallel()
	b, _ := chained(t)
	b.floor(t, 5)
	last, err := b.store.LastEvent(t.Context())
	require.NoError(t, err)
	var read []int64
	for after := int64(0); ; {
		page, err := b.reader.AuditEntries(t.Context(), register.By{}, after, 2)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Entries), 2)
		for _, entry := range page.Entries {
			read = append(read, entry.Seq)
		}
		if after = page.Next; after == 0 {
			break
		}
	}
	require.Len(t, read, int(last), "those below the floor of the log too")
	for i, seq := range read {
		require.Equal(t, int64(i+1), seq)
	}
	seals, err := b.reader.AuditSeals(t.Context(), register.By{}, 0, 1)
	require.NoError(t, err)
	require.Len(t, seals.Seals, 1)
	require.Equal(t, seals.Seals[0].Last, seals.Next)
	for _, path := range []string{"entries", "seals"} {
		status, _, body := b.raw(t, http.MethodGet, "/api/fleet/audit/"+path+"?limit=0", b.tokens["vera"], "")
		require.Equal(t, http.StatusBadRequest, status)
		require.Equal(t, "limit", problemIn(t, body).Field)
		status, _, _ = b.raw(t, http.MethodGet, "/api/fleet/audit/"+path+"?after=-1", b.tokens["vera"], "")
		require.Equal(t, http.StatusBadRequest, status)
	}
}

// floor raises the floor of the log as the retention does.
func (b *bundle) floor(t *testing.T, seq int64) {
	t.Helper()
	database, err := pgx.Connect(t.Context(), b.database)
	require.NoError(t, err)
	defer func() { _ = database.Close(context.WithoutCancel(t.Context())) }()
	_, err = database.Exec(t.Context(), `INSERT INTO fleet.retention (tenant_id, host, floor_seq, at) VALUES ($1, 'alpha', $2, now())
		ON CONFLICT (tenant_id) DO UPDATE SET floor_seq = excluded.floor_seq`, tenant, seq)
	require.NoError(t, err)
}

func TestAReaderThatWasAwayForTooLongIsToldHowToGoOn(t *testing.T) {
	t.Parallel()
	b, _ := chained(t)
	b.floor(t, 5)
	err := b.reader.Events(t.Context(), 2, func(register.Event) error { return nil })
	failure := requireCode(t, register.ProblemCodeGone, err)
	require.Equal(t, http.StatusGone, failure.Status)
	require.False(t, failure.Retry(), "asking the same again does not help")
	require.Equal(t, "Events 3 to 5 are no longer told; the log is told from after 5.", failure.Detail)
	resync, gone := register.ResyncOf(err)
	require.True(t, gone)
	require.Equal(t, int64(5), resync.After)
	require.Equal(t, int64(3), resync.Lost.First)
	require.Equal(t, int64(5), resync.Lost.Last)
	require.Len(t, resync.ReadAgain, 4)
	for _, path := range resync.ReadAgain {
		status, _, body := b.raw(t, http.MethodGet, path, b.tokens["vera"], "")
		require.Equal(t, http.StatusOK, status, string(body))
	}
	require.Equal(t, int64(6), (<-follow(t, b.reader, resync.After)).Seq)
	require.Equal(t, int64(6), (<-follow(t, b.reader, 0)).Seq, "0 begins with the first that is still told")
	_, gone = register.ResyncOf(b.reader.Events(t.Context(), 999_999, func(register.Event) error { return nil }))
	require.False(t, gone, "a position that was never given is another mistake")
}

// TestEveryChangeIsAudited does everything the contract can change, and fails when one of its operations is not tried here, or
// leaves no entry that names who asked.
func TestEveryChangeIsAudited(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.seated(t)
	late := ask(200)
	late.Deadline = time.Now().Add(time.Minute)
	refused := b.dispatch(t, late)
	b.dispatch(t, ask(1))
	b.dispatch(t, ask(1))
	claim := b.claim(t)
	open := b.dispatch(t, ask(1))
	var opened register.Proposal
	b.send(t, b.olga, register.OpenProposal(register.ProposalRequest{Title: "x", Action: register.Action{Kind: "override", Dispatch: refused.ID}}), &opened)
	issued := b.issue(t, time.Time{}).Token.ID
	b.send(t, b.olga, full("full"), nil)
	first, silent := claim, register.HeartbeatDispatch(claim.Dispatch.ID, register.HeartbeatRequest{Claim: claim.ID})

	type try struct {
		by, actor string
		mutation  register.Mutation
	}
	tries := map[string]try{
		"createDispatch": {"olga", "olga", register.CreateDispatch(ask(1))},
		"cancelDispatch": {"olga", "olga", register.CancelDispatch(open.ID, "why")},
		"retryDispatch":  {"olga", "olga", register.RetryDispatch(open.ID, register.RetryRequest{})},
		"extendDispatch": {"coder-1", "coder-1", register.ExtendDispatch(first.Dispatch.ID, register.ExtendRequest{
			Claim: first.ID, Reserve: []register.Amount{{Unit: "credits", Micros: 2_000_000}},
		})},
		"putLadder":         {"root", "root", register.PutLadder(register.LadderRequest{Tiers: []register.Tier{{Provider: "claude", Model: "opus", Cost: 5}}})},
		"claimDispatch":     {"coder-1", "coder-1", register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-2"})},
		"heartbeatDispatch": {"coder-1", "coder-1", register.HeartbeatDispatch(first.Dispatch.ID, register.HeartbeatRequest{Claim: first.ID, Progress: "half"})},
		"completeDispatch":  {"coder-1", "coder-1", register.CompleteDispatch(first.Dispatch.ID, register.CompleteRequest{Claim: first.ID, Outcome: "done", Unmetered: "x"})},
		"setBudget": {"olga", "olga", register.SetBudget(register.BudgetSetRequest{
			Provider: "claude", Unit: "credits", LimitMicros: 600_000_000, ResetAt: time.Now().Add(time.Hour),
		})},
		"resetBudget":   {"olga", "olga", register.ResetBudget(register.BudgetResetRequest{Provider: "claude", ResetAt: time.Now().Add(2 * time.Hour)})},
		"recordReading": {"coder-1", "coder-1", register.RecordReading(register.ReadingRequest{Provider: "claude", UsedMicros: 1})},
		"reportUsage": {"coder-1", "coder-1", register.ReportUsage(register.UsageRequest{
			Provider: "claude", Reporter: "claude-code", Uses: []register.Use{{Unit: "tokens", Micros: 1, Until: time.Now()}},
		})},
		"putSeat":          {"root", "root", register.PutSeat("cso", register.SeatRequest{Lens: "safety", Identity: "root"})},
		"removeSeat":       {"root", "root", register.RemoveSeat("cso")},
		"putBoard":         {"root", "root", register.PutBoard(register.BoardRequest{Chair: new("ceo")})},
		"openProposal":     {"olga", "olga", register.OpenProposal(register.ProposalRequest{Title: "y"})},
		"castVote":         {"mosaic-bot", "ada", register.CastVote(opened.ID, "ceo", register.VoteRequest{Verdict: register.VerdictConditional, Reason: "by night"})},
		"acceptConditions": {"olga", "olga", register.AcceptConditions(opened.ID)},
		"readRoom":         {"mosaic-bot", "mosaic-bot", register.ReadRoom(opened.ID, register.RoomReading{Room: "!r:localhost", Through: time.Now()})},
		"closeProposal":    {"root", "root", register.CloseProposal(opened.ID)},
		"withdrawProposal": {"olga", "olga", register.WithdrawProposal(opened.ID)},
		"withdrawVote":     {"mosaic-bot", "ada", register.WithdrawVote(opened.ID, "ceo", "")},
		"bindRoom":         {"root", "root", register.BindRoom(register.RoomBinding{Room: "!r:localhost", Purposes: []register.RoomPurpose{"fleet"}})},
		"putIdentity":      {"root", "root", register.PutIdentity("nina", register.IdentityRequest{Kind: "human", Roles: []register.FleetRole{"viewer"}})},
		"issueToken":       {"root", "root", register.IssueTokenTo(register.TokenRequest{Identity: "vera", Scopes: []register.TokenScope{"read"}})},
		"rotateToken":      {"root", "root", register.RotateToken(issued, register.TokenRotation{})},
		"revokeToken":      {"root", "root", register.RevokeToken(issued)},
		"declareAgent":     {"coder-1", "coder-1", register.DeclareAgent("coder-3", register.AgentDeclaration{})},
		"retireAgent":      {"root", "root", register.RetireAgent("coder-3")},
		"ackRings":         {"olga", "olga", register.AckRings()},
		"setRoomVerbosity": {"olga", "olga", register.SetRoomVerbosity("!r:localhost", register.VerbosityHigh)},
		"setPause":         {"olga", "olga", register.SetPause(register.PauseRequest{Paused: true, Reason: "why"})},
		"setPolicy":        {"root", "root", register.SetPolicy(register.PolicyRequest{Route: "drain"})},
		"grantOverride":    {"root", "root", register.GrantOverride(register.OverrideRequest{Provider: "claude", Micros: 5})},
		"revokeOverride":   {"root", "root", register.RevokeOverride("O-1", "why")},
	}
	tries["changeIdentity"] = try{"root", "root", register.ChangeIdentity("nina", register.IdentityChange{Grant: []register.FleetRole{"board"}})}
	tries["reportReset"] = try{"mosaic-bot", "mosaic-bot", register.ReportReset("olga", register.IdentityResetReport{MatrixID: "@olga:localhost", OldKey: oldKey, NewKey: newKey})}
	tries["setRoomEncryption"] = try{"root", "root", register.SetRoomEncryption("!r:localhost", register.RoomEncryptionOptional)}
	tries["trustReset"] = try{"root", "root", register.TrustReset("olga", register.IdentityTrust{Key: newKey})}
	// What one needs of another decides the order; the pause keeps claims away, so it comes last.
	order := []string{
		"createDispatch", "cancelDispatch", "retryDispatch", "claimDispatch", "heartbeatDispatch", "extendDispatch", "completeDispatch", "setBudget", "resetBudget",
		"recordReading", "reportUsage", "putSeat", "openProposal",
		"castVote", "acceptConditions", "withdrawVote", "readRoom", "closeProposal", "withdrawProposal", "removeSeat", "putBoard", "bindRoom", "setRoomVerbosity", "ackRings", "putIdentity", "issueToken", "rotateToken", "revokeToken",
		"declareAgent", "retireAgent", "setPolicy", "grantOverride", "revokeOverride", "putLadder", "setPause",
	}
	order = append([]string{"putIdentity", "changeIdentity", "reportReset", "trustReset", "setRoomEncryption"}, slices.DeleteFunc(order, func(name string) bool { return name == "putIdentity" })...)
	require.ElementsMatch(t, mutating(t), order, "every operation that changes something is tried here")
	for _, operation := range order {
		try := tries[operation]
		before := b.numbered(t)
		by := register.By{Key: operation}
		if try.actor != try.by {
			by.Actor = try.actor
		}
		require.NoError(t, b.api(try.by).Send(t.Context(), by, try.mutation, nil), operation)
		b.requireEntry(t, operation, before, try.actor)
	}

	before := b.numbered(t)
	_ = b.worker.Send(t.Context(), register.By{Key: "silent"}, silent, nil)
	require.Equal(t, before, b.numbered(t), "only a heartbeat that has no news leaves no entry: it moves nothing but the claim's end")
	b.send(t, b.worker, register.DeclareAgent("coder-2", register.AgentDeclaration{LivenessSeconds: 900}), nil)
	before = b.numbered(t)
	b.send(t, b.worker, register.DeclareAgent("coder-2", register.AgentDeclaration{LivenessSeconds: 900}), nil)
	require.Equal(t, before, b.numbered(t), "nor does an agent that only says it is still there")
}

// mutating lists the operations of the contract that change something.
func mutating(t *testing.T) []string {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(register.Contract)
	require.NoError(t, err)
	var names []string
	for _, item := range document.Paths.Map() {
		for method, operation := range item.Operations() {
			if method != http.MethodGet {
				names = append(names, operation.OperationID)
			}
		}
	}
	require.NotEmpty(t, names)
	return names
}

func (b *bundle) numbered(t *testing.T) int64 {
	t.Helper()
	last, err := b.store.NumberEvents(t.Context())
	require.NoError(t, err)
	return last
}

func (b *bundle) requireEntry(t *testing.T, operation string, after int64, actor string) {
	t.Helper()
	b.numbered(t)
	page, err := b.reader.AuditEntries(t.Context(), register.By{}, after, 0)
	require.NoError(t, err)
	for _, entry := range page.Entries {
		if strings.Contains(entry.Text, `"actor":`+strconv.Quote(actor)) {
			return
		}
	}
	require.Fail(t, "a change left no entry", "%s by %s left %v after %d", operation, actor, page.Entries, after)
}

func TestReadinessAndMetricsSayHowFarTheAuditIsSealed(t *testing.T) {
	t.Parallel()
	b, _ := chained(t)
	health, err := b.reader.Ready(t.Context())
	require.NoError(t, err)
	require.Equal(t, "ok", health.Parts["audit"])
	_, _, body := b.raw(t, http.MethodGet, "/metrics", "", "")
	require.Contains(t, string(body), "mosaic_audit_unsealed 0\n")
	require.Contains(t, string(body), "mosaic_audit_unsealed_seconds 0\n")

	superuser, err := pgx.Connect(t.Context(), b.superuser)
	require.NoError(t, err)
	defer func() { _ = superuser.Close(context.WithoutCancel(t.Context())) }()
	held, err := superuser.Begin(t.Context()) // nobody can seal now
	require.NoError(t, err)
	_, err = held.Exec(t.Context(), `SELECT pg_advisory_xact_lock(hashtextextended('mosaic-audit acme', 0))`)
	require.NoError(t, err)
	b.dispatch(t, ask(1))
	b.numbered(t)
	_, _, body = b.raw(t, http.MethodGet, "/metrics", "", "")
	require.Contains(t, string(body), "mosaic_audit_unsealed 1\n")
	old := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
	b.forge(t, fmt.Sprintf(`UPDATE fleet.events SET at = '%[1]s', payload = jsonb_set(payload::jsonb, '{at}', '"%[1]s"')::json
		WHERE seq = (SELECT max(seq) FROM fleet.events)`, old))
	health, err = b.reader.Ready(t.Context())
	require.NoError(t, err)
	require.Equal(t, register.HealthStatusOk, health.Status, "it answers all the same")
	require.Contains(t, health.Parts["audit"], "The oldest of 1 unsealed entries has waited 1m")
	require.NoError(t, held.Rollback(t.Context()))
	b.allSealed(t)
	require.Equal(t, "ok", (&operations{b.Gateway}).sealing(t.Context()))
}

// TestALongAuditIsVerifiedWithoutHoldingIt writes entries straight into the log, numbered, as many as make it far larger than what
// may be in memory at once. Nothing runs beside it, since the memory is that of the whole process.
func TestALongAuditIsVerifiedWithoutHoldingIt(t *testing.T) {
	b := setup(t)
	entries := b.fill(t, 12_000, 4_000)
	require.Eventually(t, func() bool {
		_, err := b.store.Seal(t.Context())
		head, asked := b.store.AuditHead(t.Context())
		return err == nil && asked == nil && head.Unsealed == 0
	}, 5*time.Minute, 50*time.Millisecond)

	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var peak atomic.Uint64
	watching, stop := context.WithCancel(t.Context())
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for watching.Err() == nil {
			runtime.GC() // what is left is held
			runtime.ReadMemStats(&now)
			peak.Store(max(peak.Load(), now.HeapAlloc))
			time.Sleep(100 * time.Millisecond)
		}
	}()
	audited, err := b.verify(t)
	stop()
	<-watched
	require.NoError(t, err)
	require.GreaterOrEqual(t, audited.Entries+audited.Unsealed, entries)
	require.GreaterOrEqual(t, audited.Entries, entries)
	held := int64(peak.Load()) - int64(before.HeapAlloc)
	t.Logf("%d MiB of entries, %d MiB held at most, gateway and reader together", entries*4000>>20, held>>20)
	require.Less(t, held, int64(40<<20), "of 45 MiB of text, gateway included")
}

// fill adds so many entries with texts of a length, numbered and not yet sealed, and answers how many there are now.
func (b *bundle) fill(t testing.TB, count, length int) int64 {
	t.Helper()
	database, err := pgx.Connect(t.Context(), b.database)
	require.NoError(t, err)
	defer func() { _ = database.Close(context.WithoutCancel(t.Context())) }()
	_, err = database.Exec(t.Context(), `INSERT INTO fleet.events (tenant_id, host, type, at, actor, cause, payload)
		SELECT e ->> 'tenant_id', e ->> 'host', e ->> 'type', (e ->> 'at')::timestamptz, e ->> 'actor', e ->> 'cause', e FROM (SELECT json_build_object(
			'seq', 0, 'type', 'fleet.resumed', 'at', now(), 'tenant_id', $1::text, 'host', 'alpha', 'actor', 'olga', 'cause', repeat('x', $3::int - 150)) AS e
			FROM generate_series(1, $2::int)) AS many`, tenant, count, length)
	require.NoError(t, err)
	last, err := b.store.NumberEvents(t.Context())
	require.NoError(t, err)
	return last
}

// BenchmarkAMillionEntries seals a million entries and walks the chain over them.
func BenchmarkAMillionEntries(b *testing.B) {
	bundle := setup(b)
	entries := bundle.fill(b, 1_000_000, 500)
	_, err := bundle.store.Seal(b.Context())
	require.NoError(b, err)
	for b.Loop() {
		audited, err := bundle.reader.VerifyAudit(b.Context(), register.By{})
		require.NoError(b, err)
		require.GreaterOrEqual(b, audited.Entries, entries)
	}
	b.ReportMetric(float64(entries)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
