-- name: InsertProposal :exec
INSERT INTO fleet.proposals (tenant_id, id, host, title, body, action, dispatch_id, details, action_text, state, quorum, pass,
    closes_at, outcome, origin, opened_by, opened_at, signed, incident)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'open', $10, $11, $12, '', $13, $14, $15, $16, $17);

-- name: GetProposal :one
SELECT * FROM fleet.proposals WHERE tenant_id = $1 AND id = $2;

-- name: LockProposal :one
SELECT * FROM fleet.proposals WHERE tenant_id = $1 AND id = $2 FOR UPDATE;

-- name: GetIncident :one
SELECT id FROM fleet.proposals WHERE tenant_id = $1 AND incident = sqlc.arg(incident)::text;

-- name: ListProposals :many
SELECT * FROM fleet.proposals
WHERE tenant_id = sqlc.arg(tenant_id) AND (sqlc.arg(state)::text = '' OR state = sqlc.arg(state)::text)
  AND (sqlc.arg(before)::bigint = 0 OR id < sqlc.arg(before)::bigint)
ORDER BY id DESC LIMIT sqlc.arg(page);

-- name: DueProposals :many
SELECT id FROM fleet.proposals
WHERE tenant_id = $1 AND state = 'open' AND least(closes_at, settles_at) <= sqlc.arg(now)::timestamptz ORDER BY id;

-- name: SettleProposal :exec
UPDATE fleet.proposals SET settling = sqlc.arg(settling), settles_at = sqlc.narg(settles_at), host = sqlc.arg(host)
WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id);

-- name: HastenProposal :exec
UPDATE fleet.proposals SET closes_at = sqlc.arg(closes_at)::timestamptz, host = sqlc.arg(host)
WHERE tenant_id = sqlc.arg(tenant_id) AND id = sqlc.arg(id);

-- name: CloseProposal :exec
UPDATE fleet.proposals SET state = $3, carried_out = $4, outcome = $5, closed_at = sqlc.arg(now)::timestamptz, host = $6,
    settling = '', settles_at = NULL, closed_by = sqlc.arg(closed_by), unread = sqlc.arg(unread)::text[]
WHERE tenant_id = $1 AND id = $2;

-- name: InsertRoster :exec
INSERT INTO fleet.roster (tenant_id, proposal_id, seat, host, lens, identity, matrix_id, deputy, deputy_matrix_id, chair, recused)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: ListRoster :many
SELECT * FROM fleet.roster WHERE tenant_id = $1 AND proposal_id = ANY(sqlc.arg(proposals)::bigint[]) ORDER BY proposal_id, seat;

-- name: StandingVotes :many
SELECT * FROM fleet.votes
WHERE tenant_id = $1 AND proposal_id = ANY(sqlc.arg(proposals)::bigint[]) AND ended_at IS NULL ORDER BY proposal_id, seat, id;

-- name: VoteOfEvent :one
SELECT * FROM fleet.votes WHERE tenant_id = $1 AND proposal_id = $2 AND event_id = $3 AND actor = $4 LIMIT 1;

-- name: EndVote :exec
UPDATE fleet.votes SET ended_at = sqlc.arg(now)::timestamptz, ended_by = sqlc.arg(ended_by)::text, ended_event = sqlc.arg(ended_event),
    host = sqlc.arg(host)
WHERE tenant_id = sqlc.arg(tenant_id) AND id = ANY(sqlc.arg(ids)::bigint[]) AND ended_at IS NULL;

-- name: AcceptVotes :exec
UPDATE fleet.votes SET accepted = true, host = sqlc.arg(host)
WHERE tenant_id = sqlc.arg(tenant_id) AND id = ANY(sqlc.arg(ids)::bigint[]) AND ended_at IS NULL AND verdict = 'conditional';

-- name: InsertVote :exec
INSERT INTO fleet.votes (tenant_id, host, proposal_id, seat, verdict, reason, actor, event_id, cast_at, how, review, ended_at, ended_by, ended_event)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14);

-- name: InsertWithdrawal :exec
INSERT INTO fleet.withdrawals (tenant_id, proposal_id, event_id, actor, host, by_event, at)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING;

-- name: GetWithdrawal :one
SELECT * FROM fleet.withdrawals WHERE tenant_id = $1 AND proposal_id = $2 AND event_id = $3 AND actor = $4;

-- name: ListReaders :many
SELECT * FROM fleet.readers WHERE tenant_id = $1 AND proposal_id = $2 ORDER BY room;

-- name: PutReader :exec
INSERT INTO fleet.readers (tenant_id, proposal_id, room, host, caller, through)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant_id, proposal_id, room) DO UPDATE
SET host = excluded.host, caller = excluded.caller, through = greatest(fleet.readers.through, excluded.through);

-- name: InsertOverride :exec
INSERT INTO fleet.overrides (tenant_id, host, dispatch_id, proposal_id, actor, at)
VALUES ($1, $2, $3, $4, $5, $6);
