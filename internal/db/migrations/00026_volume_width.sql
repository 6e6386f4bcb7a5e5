-- +goose Up

-- What block storage has around volumes (internal/volume): quality of service,
-- default types, groups, transfers, messages to users, switched-off hosts.
CREATE TABLE qos_specs (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    consumer   TEXT NOT NULL,              -- front-end, back-end, both
    specs      TEXT NOT NULL DEFAULT '{}',
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL DEFAULT 0
);
ALTER TABLE volume_types ADD COLUMN qos TEXT NOT NULL DEFAULT ''; -- id of QoS specs
CREATE TABLE default_volume_types (
    project TEXT PRIMARY KEY,
    type    TEXT NOT NULL REFERENCES volume_types (id) ON DELETE CASCADE
);

CREATE TABLE group_types (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL DEFAULT '',
    is_public   BOOLEAN NOT NULL,
    specs       TEXT NOT NULL DEFAULT '{}',
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE volume_groups (
    id             TEXT PRIMARY KEY,
    project        TEXT NOT NULL,
    user_id        TEXT NOT NULL,
    name           TEXT NOT NULL DEFAULT '',
    description    TEXT NOT NULL DEFAULT '',
    status         TEXT NOT NULL,
    type           TEXT NOT NULL,            -- id of the group type
    volume_types   TEXT NOT NULL DEFAULT '[]',
    zone           TEXT NOT NULL,
    host           TEXT NOT NULL DEFAULT '', -- all volumes of a group are on one
    group_snapshot TEXT NOT NULL DEFAULT '', -- what it was made from; at most one of the two
    source_group   TEXT NOT NULL DEFAULT '',
    generation     BIGINT NOT NULL DEFAULT 0,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX volume_groups_project ON volume_groups (project, created_at);
CREATE TABLE group_snapshots (
    id          TEXT PRIMARY KEY,
    volume_group TEXT NOT NULL,
    project     TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    name        TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    status      TEXT NOT NULL,
    type        TEXT NOT NULL,               -- id of the group type
    generation  BIGINT NOT NULL DEFAULT 0,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX group_snapshots_project ON group_snapshots (project, created_at);
CREATE INDEX group_snapshots_group ON group_snapshots (volume_group);
ALTER TABLE volumes ADD COLUMN volume_group TEXT NOT NULL DEFAULT '';
ALTER TABLE snapshots ADD COLUMN group_snapshot TEXT NOT NULL DEFAULT '';
ALTER TABLE snapshots ADD COLUMN progress TEXT NOT NULL DEFAULT ''; -- as a client has told it
CREATE INDEX volumes_group ON volumes (volume_group);
CREATE INDEX snapshots_group_snapshot ON snapshots (group_snapshot);

CREATE TABLE volume_transfers (
    id          TEXT PRIMARY KEY,
    volume      TEXT NOT NULL REFERENCES volumes (id) ON DELETE CASCADE,
    project     TEXT NOT NULL,               -- who gives
    name        TEXT NOT NULL DEFAULT '',
    salt        TEXT NOT NULL,
    key_hash    TEXT NOT NULL,               -- SHA-256 of salt and key
    snapshots   BOOLEAN NOT NULL,            -- whether they go along
    created_at  BIGINT NOT NULL
);
CREATE INDEX volume_transfers_project ON volume_transfers (project, created_at);
CREATE INDEX volume_transfers_volume ON volume_transfers (volume);

CREATE TABLE volume_messages (
    id            TEXT PRIMARY KEY,
    project       TEXT NOT NULL,
    request       TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    resource      TEXT NOT NULL,
    action        TEXT NOT NULL,             -- three digits each, as Cinder counts them
    detail        TEXT NOT NULL,
    event         TEXT NOT NULL,
    level         TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL
);
CREATE INDEX volume_messages_project ON volume_messages (project, created_at);
CREATE INDEX volume_messages_expires ON volume_messages (expires_at);

CREATE TABLE volume_hosts ( -- hosts that an operator has said something about
    name     TEXT PRIMARY KEY,
    disabled BOOLEAN NOT NULL DEFAULT FALSE,
    reason   TEXT NOT NULL DEFAULT '',
    frozen   BOOLEAN NOT NULL DEFAULT FALSE
);
