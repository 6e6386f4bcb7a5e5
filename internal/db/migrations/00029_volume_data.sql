-- +goose Up

-- Backups of volumes (internal/volume/backup.go). The bytes are objects of a
-- project: chunks, and a manifest that names them.
CREATE TABLE volume_backups (
    id           TEXT PRIMARY KEY,
    project      TEXT NOT NULL,
    user_id      TEXT NOT NULL,
    name         TEXT NOT NULL DEFAULT '',
    description  TEXT NOT NULL DEFAULT '',
    status       TEXT NOT NULL,
    fail_reason  TEXT NOT NULL DEFAULT '',
    volume       TEXT NOT NULL,
    snapshot     TEXT NOT NULL DEFAULT '',
    size         BIGINT NOT NULL,            -- GiB
    parent       TEXT NOT NULL DEFAULT '',   -- the backup that this one adds to
    account      TEXT NOT NULL,              -- the project whose objects the bytes are
    container    TEXT NOT NULL,
    prefix       TEXT NOT NULL DEFAULT '',   -- of the objects' names
    object_count BIGINT NOT NULL DEFAULT 0,
    metadata     TEXT NOT NULL DEFAULT '{}',
    data_at      BIGINT NOT NULL DEFAULT 0,  -- the moment whose bytes they are
    generation   BIGINT NOT NULL DEFAULT 0,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX volume_backups_project ON volume_backups (project, created_at);
CREATE INDEX volume_backups_volume ON volume_backups (volume, created_at);
CREATE INDEX volume_backups_parent ON volume_backups (parent);
CREATE INDEX volume_backups_prefix ON volume_backups (prefix);

-- Copies that a plan reads and then throws away; nothing else stands behind their
-- documents.
CREATE TABLE volume_copies (
    id     TEXT PRIMARY KEY, -- of the document
    volume TEXT NOT NULL     -- that it is a copy of
);

-- How often the bytes were made anew: reverted, or written from another image.
ALTER TABLE volumes ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;

-- Several servers may have the volume.
ALTER TABLE volumes ADD COLUMN multiattach BOOLEAN NOT NULL DEFAULT FALSE;

-- How large a volume has become while the server had it; 0 if it has not grown.
ALTER TABLE server_volumes ADD COLUMN grown BIGINT NOT NULL DEFAULT 0;
