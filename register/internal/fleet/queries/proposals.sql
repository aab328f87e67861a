-- name: InsertProposal :exec
INSERT INTO fleet.proposals (tenant_id, id, host, title, body, action, dispatch_id, action_text, state, quorum, pass,
    closes_at, outcome, origin, opened_by, opened_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'open', $9, $10, $11, '', $12, $13, $14);

-- name: GetProposal :one
SELECT * FROM fleet.proposals WHERE tenant_id = $1 AND id = $2;

-- name: LockProposal :one
SELECT * FROM fleet.proposals WHERE tenant_id = $1 AND id = $2 FOR UPDATE;

-- name: ListProposals :many
SELECT * FROM fleet.proposals
WHERE tenant_id = sqlc.arg(tenant_id) AND (sqlc.arg(state)::text = '' OR state = sqlc.arg(state)::text)
  AND (sqlc.arg(before)::bigint = 0 OR id < sqlc.arg(before)::bigint)
ORDER BY id DESC LIMIT sqlc.arg(page);

-- name: DueProposals :many
SELECT id FROM fleet.proposals WHERE tenant_id = $1 AND state = 'open' AND closes_at <= sqlc.arg(now)::timestamptz ORDER BY id;

-- name: CloseProposal :exec
UPDATE fleet.proposals SET state = $3, carried_out = $4, outcome = $5, closed_at = sqlc.arg(now)::timestamptz, host = $6
WHERE tenant_id = $1 AND id = $2;

-- name: InsertRoster :exec
INSERT INTO fleet.roster (tenant_id, proposal_id, seat, host, lens, identity, matrix_id)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: ListRoster :many
SELECT * FROM fleet.roster WHERE tenant_id = $1 AND proposal_id = ANY(sqlc.arg(proposals)::bigint[]) ORDER BY proposal_id, seat;

-- name: LiveVotes :many
SELECT * FROM fleet.votes
WHERE tenant_id = $1 AND proposal_id = ANY(sqlc.arg(proposals)::bigint[]) AND ended_at IS NULL ORDER BY proposal_id, seat;

-- name: EndVote :exec
UPDATE fleet.votes SET ended_at = sqlc.arg(now)::timestamptz, ended_by = sqlc.arg(ended_by)::text
WHERE tenant_id = sqlc.arg(tenant_id) AND proposal_id = sqlc.arg(proposal_id) AND seat = sqlc.arg(seat) AND ended_at IS NULL;

-- name: InsertVote :exec
INSERT INTO fleet.votes (tenant_id, host, proposal_id, seat, verdict, reason, actor, event_id, cast_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: InsertOverride :exec
INSERT INTO fleet.overrides (tenant_id, host, dispatch_id, proposal_id, actor, at)
VALUES ($1, $2, $3, $4, $5, $6);
