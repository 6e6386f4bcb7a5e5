-- +goose Up

-- Durable plans (internal/work).
CREATE TABLE plans (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    action     TEXT NOT NULL DEFAULT '', -- name as an action that users see, '' for none
    resource   TEXT NOT NULL,            -- id of what the plan is about
    turn       INTEGER NOT NULL,         -- its place among all plans of the resource
    project    TEXT NOT NULL DEFAULT '',
    caller     TEXT NOT NULL DEFAULT '{}', -- who asked: user, project, request id
    state      TEXT NOT NULL,            -- JSON, the plan's own
    step       TEXT NOT NULL,            -- name of the step to do or undo next
    phase      TEXT NOT NULL,            -- queued, doing, undoing, done, undone
    attempt    BIGINT NOT NULL DEFAULT 0, -- fences writers together with owner and step
    tries      INTEGER NOT NULL DEFAULT 0, -- failures of the current step in a row
    owner      TEXT NOT NULL DEFAULT '', -- process that holds the lease
    lease      BIGINT NOT NULL DEFAULT 0, -- until when
    wake       BIGINT NOT NULL,          -- not before
    deadline   BIGINT NOT NULL,          -- give up doing and undo after this
    cancelled  INTEGER NOT NULL DEFAULT 0,
    fault      TEXT NOT NULL DEFAULT '', -- JSON, why it is undone
    reason     TEXT NOT NULL DEFAULT '', -- what it waits for, or why it failed
    since      BIGINT NOT NULL,          -- when the current step began
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (resource, turn)
);
CREATE INDEX plans_due ON plans (phase, wake);
CREATE INDEX plans_owner ON plans (owner);

CREATE TABLE plan_steps (
    plan     TEXT NOT NULL REFERENCES plans (id) ON DELETE CASCADE,
    seq      INTEGER NOT NULL,
    step     TEXT NOT NULL,
    undo     INTEGER NOT NULL,
    started  BIGINT NOT NULL,
    finished BIGINT NOT NULL,
    result   TEXT NOT NULL,            -- success, error
    message  TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (plan, seq)
);

-- Events on their way out (internal/bus).
CREATE TABLE outbox (
    seq        INTEGER PRIMARY KEY,
    topic      TEXT NOT NULL,
    type       TEXT NOT NULL,
    resource   TEXT NOT NULL,
    payload    TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Quotas (internal/quota).
CREATE TABLE quota_limits (
    project  TEXT NOT NULL,
    resource TEXT NOT NULL,
    hard     BIGINT NOT NULL,
    PRIMARY KEY (project, resource)
);
CREATE TABLE quota_usages (
    project  TEXT NOT NULL,
    resource TEXT NOT NULL,
    used     BIGINT NOT NULL,
    PRIMARY KEY (project, resource)
);

-- Hosts and the documents between them and us (internal/hosts).
CREATE TABLE hosts (
    name       TEXT PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    sequence   BIGINT NOT NULL DEFAULT 0, -- the last generation given to one of its documents
    seen_at    BIGINT NOT NULL,
    info       TEXT NOT NULL DEFAULT '{}',
    created_at BIGINT NOT NULL
);
CREATE TABLE documents (
    host       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    id         TEXT NOT NULL,
    generation BIGINT NOT NULL,
    desired    TEXT NOT NULL,             -- JSON; '' when the node should forget it
    answered   BIGINT NOT NULL DEFAULT 0, -- generation that observed is about
    observed   TEXT NOT NULL DEFAULT '',
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (host, kind, id)
);
CREATE INDEX documents_id ON documents (id);
CREATE INDEX documents_sequence ON documents (host, generation);
