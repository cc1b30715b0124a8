CREATE TABLE jobs (
    id          uuid PRIMARY KEY,
    text        text NOT NULL,
    state       text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed')),
    score       integer CHECK (score BETWEEN 0 AND 100),
    statistics  jsonb,
    findings    jsonb,
    error       text,
    attempts    integer NOT NULL DEFAULT 0,
    worker      text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    sent_at     timestamptz NOT NULL DEFAULT now(),
    started_at  timestamptz,
    finished_at timestamptz,
    CHECK (state <> 'done' OR (score IS NOT NULL AND findings IS NOT NULL AND finished_at IS NOT NULL))
);

CREATE INDEX jobs_by_creation ON jobs (created_at DESC, id);
CREATE INDEX jobs_unfinished ON jobs (sent_at) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_by_end ON jobs (finished_at);
