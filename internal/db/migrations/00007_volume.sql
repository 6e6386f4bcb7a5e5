-- +goose Up

-- Block storage (internal/volume). The rows of volumes and snapshots are what
-- users see; where their bytes are wanted stands in documents.
CREATE TABLE volume_types (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL DEFAULT '',
    is_public   BOOLEAN NOT NULL,
    extra_specs TEXT NOT NULL DEFAULT '{}',
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL DEFAULT 0
);
CREATE TABLE volume_type_projects ( -- who may use a type that is not public
    type    TEXT NOT NULL REFERENCES volume_types (id) ON DELETE CASCADE,
    project TEXT NOT NULL,
    PRIMARY KEY (type, project)
);
CREATE TABLE volumes (
    id             TEXT PRIMARY KEY,
    project        TEXT NOT NULL,
    user_id        TEXT NOT NULL,
    name           TEXT NOT NULL DEFAULT '',
    description    TEXT NOT NULL DEFAULT '',
    size           BIGINT NOT NULL,            -- GiB
    status         TEXT NOT NULL,
    migration      TEXT NOT NULL DEFAULT '',   -- migration status, only ever reset
    type           TEXT NOT NULL,              -- id of the volume type
    zone           TEXT NOT NULL,
    host           TEXT NOT NULL DEFAULT '',   -- where the bytes are
    bootable       BOOLEAN NOT NULL DEFAULT FALSE,
    readonly       TEXT NOT NULL DEFAULT '',   -- True or False, '' when nobody has said
    image          TEXT NOT NULL DEFAULT '',   -- what it was made from
    source         TEXT NOT NULL DEFAULT '',
    snapshot       TEXT NOT NULL DEFAULT '',
    metadata       TEXT NOT NULL DEFAULT '{}',
    image_metadata TEXT NOT NULL DEFAULT '{}',
    epoch          BIGINT NOT NULL DEFAULT 0,  -- of the last export
    generation     BIGINT NOT NULL DEFAULT 0,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX volumes_project ON volumes (project, created_at);
CREATE INDEX volumes_host ON volumes (host, size);
CREATE INDEX volumes_source ON volumes (source);

CREATE TABLE volume_attachments (
    id          TEXT PRIMARY KEY,
    volume      TEXT NOT NULL REFERENCES volumes (id) ON DELETE CASCADE,
    project     TEXT NOT NULL,
    server      TEXT NOT NULL DEFAULT '',
    status      TEXT NOT NULL,               -- reserved, attaching, attached, detaching
    compute     BOOLEAN NOT NULL,            -- the compute service's, for it alone to end
    mode        TEXT NOT NULL,               -- rw, ro
    host        TEXT NOT NULL DEFAULT '',    -- where it is used
    device      TEXT NOT NULL DEFAULT '',
    connector   TEXT NOT NULL DEFAULT 'null',
    epoch       BIGINT NOT NULL DEFAULT 0,   -- of its export, 0 before there is one
    attached_at BIGINT NOT NULL DEFAULT 0,
    created_at  BIGINT NOT NULL
);
CREATE INDEX volume_attachments_volume ON volume_attachments (volume);
CREATE INDEX volume_attachments_project ON volume_attachments (project, created_at);

CREATE TABLE snapshots (
    id          TEXT PRIMARY KEY,
    volume      TEXT NOT NULL,
    project     TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    name        TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    size        BIGINT NOT NULL,
    status      TEXT NOT NULL,
    type        TEXT NOT NULL,
    host        TEXT NOT NULL,
    metadata    TEXT NOT NULL DEFAULT '{}',
    generation  BIGINT NOT NULL DEFAULT 0,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX snapshots_project ON snapshots (project, created_at);
CREATE INDEX snapshots_volume ON snapshots (volume);
CREATE INDEX snapshots_host ON snapshots (host, size);
