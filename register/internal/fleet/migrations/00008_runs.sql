-- +goose Up

-- What one session of a run needs, when the run has to be over and how long it is expected to take; the deadline is then
-- worked out of both. A dispatch that ended otherwise than done is asked again as a new one, once.
ALTER TABLE fleet.dispatches
    ADD COLUMN context_tokens bigint NOT NULL DEFAULT 0 CHECK (context_tokens >= 0),
    ADD COLUMN finish_by timestamptz,
    ADD COLUMN expected jsonb,
    ADD COLUMN retry_of bigint,
    ADD COLUMN failure text NOT NULL DEFAULT '' CHECK (failure IN ('', 'budget')),
    ADD CONSTRAINT dispatch_finish CHECK ((finish_by IS NULL) = (expected IS NULL) AND (finish_by IS NULL OR deadline IS NOT NULL AND deadline < finish_by)),
    ADD CONSTRAINT dispatch_retry CHECK (retry_of < id),
    ADD CONSTRAINT dispatch_retry_of FOREIGN KEY (tenant_id, retry_of) REFERENCES fleet.dispatches,
    ADD CONSTRAINT dispatch_failure CHECK (failure = '' OR state = 'failed'),
    ADD CONSTRAINT dispatch_tries CHECK (max_attempts <= 10 AND attempt <= max_attempts);
CREATE UNIQUE INDEX dispatches_retried ON fleet.dispatches (tenant_id, retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX dispatches_done ON fleet.dispatches (tenant_id, role, model, finished_at DESC) WHERE state = 'done';

-- Spend mandate: no run ends, however it ends, without what it spent or why that is not known.
UPDATE fleet.dispatches SET unmetered = 'the run ended before this was asked' WHERE state = 'failed' AND jsonb_array_length(actuals) = 0 AND unmetered = '';
ALTER TABLE fleet.dispatches
    DROP CONSTRAINT dispatch_accounted,
    ADD CONSTRAINT dispatch_accounted CHECK (state NOT IN ('done', 'failed') OR jsonb_array_length(actuals) > 0 OR unmetered <> '');
