-- One scheduler uses each tick number once, so a second row of a tick is a second scheduler that ran at the same time;
-- a message that is delivered twice stays one row.
CREATE TABLE heartbeats (
    tick         bigint NOT NULL,
    task_id      text NOT NULL,
    scheduler    text NOT NULL,
    published_at timestamptz NOT NULL,
    recorded_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tick, task_id)
);

CREATE INDEX heartbeats_by_time ON heartbeats (published_at);
